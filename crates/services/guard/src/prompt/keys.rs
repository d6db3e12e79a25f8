//! What the person types, as keys: whatever a terminal sends by itself, such as answers to queries, mouse reports and pastes, is none.

/// A key that a prompt knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character.
    Char(char),
    /// Return.
    Enter,
    /// The erase key.
    Erase,
    /// Erases the line.
    EraseLine,
    /// The escape key by itself, or a key that usually ends or stops a program.
    Leave,
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After an escape.
    Escape,
    /// After an escape and intermediate bytes.
    EscapeMore,
    /// In a control sequence.
    Control,
    /// One byte belongs to a function key.
    Function,
    /// In a string that ends with ST; a BEL ends it where the flag says so.
    Text { bell: bool },
    /// After an escape in such a string.
    TextEscape { bell: bool },
    /// Characters of an old mouse report.
    Mouse(u8),
}

/// Reads keys from bytes. It sees all that comes from the terminal, also while there is no prompt, so that it always knows where a sequence
/// began: the rest of an answer to the agent's query is not taken for keys because a prompt opened in its middle.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    /// The parameters of a control sequence, as far as they matter.
    parameters: Vec<u8>,
    /// Bytes of a character that is not whole.
    partial: Vec<u8>,
    /// In a bracketed paste: nothing of it is a key.
    pasting: bool,
}

/// Most bytes of parameters that are kept: longer ones belong to no key.
const PARAMETERS_MAX: usize = 8;

impl Keys {
    /// Reads further bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        bytes.iter().filter_map(|byte| self.byte(*byte)).collect()
    }

    /// Whether an escape waits for what may follow it: if nothing does, it was the escape key.
    pub(super) fn waits(&self) -> bool {
        self.state == State::Escape
    }

    /// Nothing followed.
    pub(super) fn nothing_followed(&mut self) -> Option<Key> {
        if self.state != State::Escape {
            return None;
        }
        self.state = State::Ground;
        self.key(Key::Leave)
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        match self.state {
            State::Ground => self.ground(byte),
            State::Escape => self.escape(byte),
            State::EscapeMore => {
                if !(0x20..=0x2f).contains(&byte) {
                    self.state = State::Ground;
                }
                None
            }
            State::Function => {
                self.state = State::Ground;
                match byte {
                    b'A' => self.key(Key::Up),
                    b'B' => self.key(Key::Down),
                    b'M' => self.key(Key::Enter),
                    _ => None,
                }
            }
            State::Control => self.control(byte),
            State::Text { bell } => {
                match byte {
                    0x1b => self.state = State::TextEscape { bell },
                    0x07 if bell => self.state = State::Ground,
                    0x18 | 0x1a => self.state = State::Ground,
                    _ => {}
                }
                None
            }
            State::TextEscape { .. } => {
                self.state = State::Ground;
                // `ESC \` ended it. Anything else ended it, too, and begins a sequence of its own.
                if byte == b'\\' {
                    None
                } else {
                    self.state = State::Escape;
                    self.escape(byte)
                }
            }
            State::Mouse(left) => {
                // In the mode for large windows these are characters of more bytes: the first byte counts.
                if byte & 0xc0 != 0x80 {
                    self.state = match left.checked_sub(1) {
                        None | Some(0) => State::Ground,
                        Some(left) => State::Mouse(left),
                    };
                }
                None
            }
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        if !self.partial.is_empty() || byte >= 0x80 {
            return self.character(byte);
        }
        match byte {
            0x1b => {
                self.state = State::Escape;
                None
            }
            b'\r' | b'\n' => self.key(Key::Enter),
            0x7f | 0x08 => self.key(Key::Erase),
            0x15 => self.key(Key::EraseLine),
            // Interrupt, end of input, suspend, quit.
            0x03 | 0x04 | 0x1a | 0x1c => self.key(Key::Leave),
            0x20..=0x7e => self.key(Key::Char(char::from(byte))),
            _ => None,
        }
    }

    fn character(&mut self, byte: u8) -> Option<Key> {
        if byte < 0x80 {
            // What began was no character.
            self.partial.clear();
            return self.ground(byte);
        }
        if byte >= 0xc0 {
            self.partial.clear();
        }
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let found = text.chars().next();
                self.partial.clear();
                found
                    .filter(|c| !c.is_control())
                    .and_then(|c| self.key(Key::Char(c)))
            }
            Err(error) => {
                if error.error_len().is_some() {
                    self.partial.clear();
                }
                None
            }
        }
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.state = match byte {
            b'[' => {
                self.parameters.clear();
                State::Control
            }
            b'O' => State::Function,
            b']' => State::Text { bell: true },
            b'P' | b'X' | b'^' | b'_' => State::Text { bell: false },
            0x20..=0x2f => State::EscapeMore,
            // The first was the key; this may begin a sequence.
            0x1b => {
                self.state = State::Escape;
                return self.key(Key::Leave);
            }
            // A key with Alt, which is no key of a prompt.
            _ => State::Ground,
        };
        None
    }

    fn control(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x1b => self.state = State::Escape,
            0x18 | 0x1a => self.state = State::Ground,
            0x40..=0x7e => {
                self.state = State::Ground;
                return self.sequence(byte);
            }
            _ if self.parameters.len() < PARAMETERS_MAX => self.parameters.push(byte),
            _ => {}
        }
        None
    }

    fn sequence(&mut self, last: u8) -> Option<Key> {
        match (self.parameters.as_slice(), last) {
            (b"200", b'~') => {
                self.pasting = true;
                None
            }
            (b"201", b'~') => {
                self.pasting = false;
                None
            }
            (b"", b'A') => self.key(Key::Up),
            (b"", b'B') => self.key(Key::Down),
            (b"5", b'~') => self.key(Key::PageUp),
            (b"6", b'~') => self.key(Key::PageDown),
            (b"27", b'u') => self.key(Key::Leave),
            (b"", b'M') => {
                self.state = State::Mouse(3);
                None
            }
            _ => None,
        }
    }

    fn key(&self, key: Key) -> Option<Key> {
        (!self.pasting).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Keys::default().feed(bytes)
    }

    #[test]
    fn keys_are_read() {
        use Key::*;
        assert_eq!(keys(b"a\r"), [Char('a'), Enter]);
        assert_eq!(
            keys("\u{e9}\x7f\x15".as_bytes()),
            [Char('\u{e9}'), Erase, EraseLine]
        );
        assert_eq!(keys(b"\x03\x1a\x04"), [Leave; 3]);
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~"),
            [Up, Down, PageUp, PageDown]
        );
        assert_eq!(keys(b"\xc3(\xffb"), [Char('('), Char('b')]);
    }

    #[test]
    fn what_a_terminal_answers_is_no_key() {
        for answer in [
            &b"\x1b[?62;c"[..],
            b"\x1b[>41;354;0c",
            b"\x1b[24;80R",
            b"\x1b[?2004;1$y",
            b"\x1b]11;rgb:0000/0000/0000\x07",
            b"\x1b]lyes\r\na\r\x1b\\",
            b"\x1bP1$ryes\ra\r\x1b\\",
            b"\x1bP!~a\r\x1b\\",
            b"\x1b_Gi=1;yes\r\x1b\\",
            b"\x1b[Ma\r\r",
            "\x1b[M\u{e1}\u{e1}\u{e1}".as_bytes(),
            b"\x1b[<0;1;1M",
            b"\x1b[200~yes\ra\r\x1b[201~",
            b"\x1b[I\x1b[O",
            b"\x1b[3;1;4;2y",
            b"\x1b[97;5u",
            b"\x1ba",
        ] {
            assert_eq!(keys(answer), [], "{:?}", String::from_utf8_lossy(answer));
            // Wherever a prompt opens in it.
            for at in 0..answer.len() {
                let mut parser = Keys::default();
                let (before, after) = answer.split_at(at);
                let mut found = parser.feed(before);
                found.extend(parser.feed(after));
                assert_eq!(found, [], "{:?} at {at}", String::from_utf8_lossy(answer));
            }
        }
    }

    #[test]
    fn the_escape_key_is_an_escape_that_nothing_follows() {
        let mut parser = Keys::default();
        assert_eq!(parser.feed(b"\x1b"), []);
        assert!(parser.waits());
        assert_eq!(parser.nothing_followed(), Some(Key::Leave));
        assert_eq!(parser.nothing_followed(), None);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Leave, Key::Up]);
    }

    #[test]
    fn an_answer_without_an_end_does_not_take_the_keys_for_ever() {
        assert_eq!(
            keys(b"\x1b]11;rgb:0\x1b\x1b\x1b[A\r"),
            [Key::Leave, Key::Leave, Key::Up, Key::Enter]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_split_anywhere_are_the_same_keys(bytes in proptest::collection::vec(any::<u8>(), 0..60), at in 0_usize..60) {
            let (before, after) = bytes.split_at(at.min(bytes.len()));
            let mut parser = Keys::default();
            let mut found = parser.feed(before);
            found.extend(parser.feed(after));
            prop_assert_eq!(found, keys(&bytes));
        }
    }
}
