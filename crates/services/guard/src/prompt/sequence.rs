//! The agent's output cut into whole characters and whole escape sequences, so that a prompt never opens in the middle of one.

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Characters and controls.
    Text,
    /// `ESC` and what belongs to it.
    Escape,
    /// `ESC [ …`.
    Control,
    /// A string: `ESC ]`, `ESC P` and kin, to its end.
    String,
    /// A part of a string that is too long to be kept: its beginning was passed on before its end came.
    Part,
}

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// Most bytes of a sequence that are held back until it is whole: a clipboard of usual size fits, an image does not.
const HELD_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    EscapeMore,
    Control,
    String {
        bell: bool,
    },
    StringEscape {
        bell: bool,
    },
}

/// Cuts output into pieces. What is not whole yet is held.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    state: State,
    held: Vec<u8>,
    /// A part of the sequence was passed on already.
    parted: bool,
    /// The rest of that sequence is dropped: the prompt broke it off.
    dropping: bool,
}

impl Sequences {
    /// Cuts further output.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in bytes {
            self.byte(*byte, &mut pieces);
        }
        match self.state {
            State::Ground => {
                let tail = incomplete(&self.held);
                let whole = self.held.len().saturating_sub(tail);
                let rest = self.held.split_off(whole);
                self.emit(Kind::Text, &mut pieces);
                self.held = rest;
            }
            State::Escape
            | State::EscapeMore
            | State::Control
            | State::String { .. }
            | State::StringEscape { .. } => {
                if self.held.len() > HELD_MAX {
                    self.parted = true;
                    self.emit(Kind::Part, &mut pieces);
                }
            }
        }
        pieces
    }

    /// Breaks off a sequence whose beginning the terminal has and whose end it has not: the rest of it will be dropped.
    pub(super) fn break_off(&mut self) {
        if self.parted {
            self.dropping = true;
        }
    }

    /// What is held at the end of all output.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn byte(&mut self, byte: u8, pieces: &mut Vec<Piece>) {
        match (self.state, byte) {
            (State::Ground, 0x1b) => {
                self.emit(Kind::Text, pieces);
                self.go(State::Escape, byte);
            }
            (State::Ground, _) => self.held.push(byte),
            // An escape begins anew, cancel and substitute end what there is.
            (State::Escape | State::EscapeMore | State::Control, 0x1b) => {
                self.emit(Kind::Escape, pieces);
                self.go(State::Escape, byte);
            }
            (_, 0x18 | 0x1a) => self.end(Kind::Escape, byte, pieces),
            (State::Escape, b'[') => self.go(State::Control, byte),
            (State::Escape, b']') => self.go(State::String { bell: true }, byte),
            (State::Escape, b'P' | b'X' | b'^' | b'_') => {
                self.go(State::String { bell: false }, byte);
            }
            (State::Escape | State::EscapeMore, 0x20..=0x2f) => self.go(State::EscapeMore, byte),
            (State::Escape | State::EscapeMore, 0x30..=0x7e) => {
                self.end(Kind::Escape, byte, pieces);
            }
            (State::Control, 0x40..=0x7e) => self.end(Kind::Control, byte, pieces),
            (State::Escape | State::EscapeMore | State::Control, _) => self.held.push(byte),
            (State::String { bell }, 0x1b) => self.go(State::StringEscape { bell }, byte),
            (State::String { bell: true }, 0x07) | (State::StringEscape { .. }, b'\\') => {
                self.end(Kind::String, byte, pieces);
            }
            (State::String { .. }, _) => self.held.push(byte),
            (State::StringEscape { .. }, _) => {
                // The escape ended the string and begins another sequence.
                self.held.pop();
                self.emit(Kind::String, pieces);
                self.parted = false;
                self.dropping = false;
                self.go(State::Escape, 0x1b);
                self.byte(byte, pieces);
            }
        }
    }

    fn go(&mut self, state: State, byte: u8) {
        self.state = state;
        self.held.push(byte);
    }

    fn end(&mut self, kind: Kind, byte: u8, pieces: &mut Vec<Piece>) {
        self.held.push(byte);
        let kind = if self.parted { Kind::Part } else { kind };
        self.emit(kind, pieces);
        self.state = State::Ground;
        self.parted = false;
        self.dropping = false;
    }

    fn emit(&mut self, kind: Kind, pieces: &mut Vec<Piece>) {
        let bytes = std::mem::take(&mut self.held);
        if !bytes.is_empty() && !self.dropping {
            pieces.push(Piece { kind, bytes });
        }
    }
}

/// How many bytes at the end begin a character that is not whole.
fn incomplete(bytes: &[u8]) -> usize {
    for back in 1..=3_usize {
        let Some(byte) = bytes.len().checked_sub(back).and_then(|at| bytes.get(at)) else {
            return 0;
        };
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(bytes: &[u8]) -> Vec<Kind> {
        let pieces = Sequences::default().feed(bytes);
        pieces.into_iter().map(|piece| piece.kind).collect()
    }

    #[test]
    fn output_is_cut_where_sequences_begin_and_end() {
        use Kind::*;
        assert_eq!(
            kinds(b"a\r\n\x1b[31mb\x1b]0;t\x07\x1b(B\x1bP1\x1b\\c"),
            [Text, Control, Text, String, Escape, String, Text]
        );
        assert_eq!(kinds(b"\x1b[3\x1b[m"), [Escape, Control]);
        assert_eq!(kinds(b"\x1b]0;t\x1b[mx"), [String, Control, Text]);
    }

    #[test]
    fn what_is_not_whole_is_held() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.feed(b"\x1b[3"), []);
        assert_eq!(sequences.feed(b"1m").len(), 1);
        assert_eq!(sequences.feed(b"\xe2\x82"), []);
        assert_eq!(sequences.feed(b"\xac").len(), 1);
        assert_eq!(sequences.feed(b"\x80\x80\x80\x80").len(), 1);
    }

    #[test]
    fn a_long_string_is_passed_in_parts_and_its_rest_dropped_once_it_is_broken_off() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.feed(b"\x1b]52;c;"), []);
        let long = sequences.feed(&vec![b'A'; HELD_MAX]);
        assert_eq!(long.first().map(|piece| piece.kind), Some(Kind::Part));
        assert_eq!(sequences.feed(b"AAAA"), []);
        sequences.break_off();
        let rest = sequences.feed(b"more\x07after");
        assert_eq!(
            rest,
            [Piece {
                kind: Kind::Text,
                bytes: b"after".to_vec()
            }]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_changed(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b']'), Just(7)], 0..80), at in 0_usize..80) {
            let (before, after) = bytes.split_at(at.min(bytes.len()));
            let mut sequences = Sequences::default();
            let mut all: Vec<u8> = Vec::new();
            for part in [before, after] {
                for piece in sequences.feed(part) {
                    all.extend(piece.bytes);
                }
            }
            all.extend(sequences.rest());
            prop_assert_eq!(all, bytes);
        }
    }
}
