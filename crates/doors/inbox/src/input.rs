//! Keys from the bytes of a terminal. What is not known is nothing: a sequence that is not read whole gives no key, and no part of it does.

use zeroize::Zeroizing;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character that can be seen, or a space.
    Char(char),
    Enter,
    Escape,
    Backspace,
    Tab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// The interrupt key: it ends the inbox, wherever it is.
    Interrupt,
    /// Erases the line.
    EraseLine,
}

/// What the terminal puts around what is pasted.
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";
/// The longest sequence or character that is waited for.
const LONGEST: usize = 32;

/// Keys out of bytes. It wipes the bytes that it holds: a passphrase passes through.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    waiting: Zeroizing<Vec<u8>>,
    /// Within what is pasted, which is never keys.
    pasting: bool,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A key that was pressed.
    Key(Key),
    /// A character that was pasted: text for a line, and never a command.
    Pasted(char),
}

impl Parser {
    /// Takes bytes, and gives what they make.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        for byte in bytes {
            self.waiting.push(*byte);
            self.read(&mut typed);
        }
        typed
    }

    /// Whether something is waited for, so that [`Self::flush`] is due soon.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nothing more came: a lone escape is the key.
    pub(crate) fn flush(&mut self) -> Option<Typed> {
        let lone = *self.waiting == *b"\x1b" && !self.pasting;
        self.waiting.clear();
        lone.then_some(Typed::Key(Key::Escape))
    }

    fn read(&mut self, typed: &mut Vec<Typed>) {
        let read = if self.pasting {
            self.read_pasted()
        } else {
            read_key(&self.waiting)
        };
        match read {
            Read::More if self.waiting.len() < LONGEST => {}
            Read::More | Read::Nothing => self.waiting.clear(),
            Read::PasteBegins => {
                self.pasting = true;
                self.waiting.clear();
            }
            Read::PasteEnds => {
                self.pasting = false;
                self.waiting.clear();
            }
            Read::Key(key) => {
                self.waiting.clear();
                typed.push(match (key, self.pasting) {
                    (Key::Char(c), true) => Typed::Pasted(c),
                    (key, _) => Typed::Key(key),
                });
            }
        }
    }

    fn read_pasted(&self) -> Read {
        let bytes = &**self.waiting;
        match bytes {
            PASTE_ENDS => Read::PasteEnds,
            _ if PASTE_ENDS.starts_with(bytes) => Read::More,
            [first, ..] if *first < b' ' || *first == 0x7f => Read::Nothing,
            _ => read_character(bytes),
        }
    }
}

#[derive(Debug)]
enum Read {
    Key(Key),
    More,
    Nothing,
    PasteBegins,
    PasteEnds,
}

fn read_key(bytes: &[u8]) -> Read {
    match bytes {
        [b'\r' | b'\n'] => Read::Key(Key::Enter),
        [b'\t'] => Read::Key(Key::Tab),
        [0x7f | 0x08] => Read::Key(Key::Backspace),
        [0x03] => Read::Key(Key::Interrupt),
        [0x15] => Read::Key(Key::EraseLine),
        [0x1b, ..] => read_sequence(bytes),
        [first, ..] if *first < b' ' => Read::Nothing,
        _ => read_character(bytes),
    }
}

fn read_character(bytes: &[u8]) -> Read {
    match std::str::from_utf8(bytes) {
        Ok(text) => match text.chars().next() {
            Some(c) if !c.is_control() => Read::Key(Key::Char(c)),
            _ => Read::Nothing,
        },
        // Cut short is waited for; what can be no character is dropped.
        Err(error) if error.error_len().is_none() => Read::More,
        Err(_) => Read::Nothing,
    }
}

fn read_sequence(bytes: &[u8]) -> Read {
    let key = match bytes {
        [0x1b] | [0x1b, b'[' | b'O'] => return Read::More,
        PASTE_BEGINS => return Read::PasteBegins,
        [0x1b, b'[' | b'O', end] => match end {
            b'A' => Key::Up,
            b'B' => Key::Down,
            b'H' => Key::Home,
            b'F' => Key::End,
            b'0'..=b'?' => return Read::More,
            _ => return Read::Nothing,
        },
        [0x1b, b'[', number, b'~'] => match number {
            b'1' | b'7' => Key::Home,
            b'4' | b'8' => Key::End,
            b'5' => Key::PageUp,
            b'6' => Key::PageDown,
            _ => return Read::Nothing,
        },
        // Parameters and what stands between, up to the final byte.
        [0x1b, b'[', .., last] if (b' '..=b'?').contains(last) => return Read::More,
        // With the meta key, or a sequence that means nothing here.
        _ => return Read::Nothing,
    };
    Read::Key(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Typed> {
        let mut parser = Parser::default();
        let mut typed = parser.take(bytes);
        typed.extend(parser.flush());
        typed
    }

    fn key(key: Key) -> Typed {
        Typed::Key(key)
    }

    #[test]
    fn keys_are_read_however_their_bytes_come() {
        let bytes = "ay\r\x1b[A\x1bOB\x1b[5~\x1b[6~\u{e9}\t\x7f\x03".as_bytes();
        let whole = keys(bytes);
        assert_eq!(
            whole,
            [
                key(Key::Char('a')),
                key(Key::Char('y')),
                key(Key::Enter),
                key(Key::Up),
                key(Key::Down),
                key(Key::PageUp),
                key(Key::PageDown),
                key(Key::Char('\u{e9}')),
                key(Key::Tab),
                key(Key::Backspace),
                key(Key::Interrupt),
            ]
        );
        let mut parser = Parser::default();
        let single: Vec<Typed> = bytes
            .iter()
            .flat_map(|byte| parser.take(&[*byte]))
            .collect();
        assert_eq!(single, whole);
        assert_eq!(keys(b"\x1b"), [key(Key::Escape)]);
    }

    #[test]
    fn no_part_of_an_unknown_sequence_is_a_key() {
        for bytes in [
            &b"\x1b[1;5a"[..],
            b"\x1b[99y",
            b"\x1by",
            b"\x1b[<0;1;1y",
            b"\x1b[?1;2y",
            b"\x1b[3~",
            b"\xff",
            b"\xc3",
            b"\x00\x01\x1a",
            "\u{85}".as_bytes(),
        ] {
            assert_eq!(keys(bytes), [], "{bytes:?}");
        }
        // One that never ends is given up, and ends no later key.
        let mut parser = Parser::default();
        assert_eq!(
            parser.take(&[b"\x1b[".as_slice(), &[b'1'; 29]].concat()),
            []
        );
        assert!(parser.is_waiting());
        assert_eq!(parser.take(b"1"), []);
        assert_eq!(parser.take(b"q"), [key(Key::Char('q'))]);
    }

    #[test]
    fn what_is_pasted_is_no_key() {
        assert_eq!(
            keys(b"\x1b[200~ay\r\x03\x1b[201~q"),
            [Typed::Pasted('a'), Typed::Pasted('y'), key(Key::Char('q'))]
        );
    }
}
