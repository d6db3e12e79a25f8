//! What the agent told the terminal beside text: modes that a prompt must put aside and bring back.

use std::collections::BTreeMap;

use super::sequence::{Kind, Piece};

/// Private modes that are off for a prompt: where the cursor counts from, the margins, what the mouse and the window report, frozen output.
const OFF: [u16; 13] = [
    6, 9, 69, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2026,
];
/// What the mouse reports, and in which form.
const MOUSE: [u16; 5] = [9, 1000, 1001, 1002, 1003];
const MOUSE_FORMS: [u16; 4] = [1005, 1006, 1015, 1016];
/// Longest link that is brought back.
const LINK_MAX: usize = 4096;
/// How deep keyboard modes are looked at: whether there are any.
const MODIFIERS_MAX: usize = 16;

/// The modes that the agent set, as far as a prompt has to know them.
#[derive(Clone, Debug, Default)]
pub(super) struct Modes {
    private: BTreeMap<u16, bool>,
    insert: bool,
    /// The final bytes of what was put into the first two character sets.
    sets: [Option<u8>; 2],
    shifted: bool,
    /// Top and bottom, from one.
    pub(super) margins: Option<(u16, u16)>,
    sides: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    keyboard: bool,
    modifiers: Option<Vec<u8>>,
    latin: bool,
}

impl Modes {
    /// Learns from a piece of output.
    pub(super) fn learn(&mut self, piece: &Piece) {
        let bytes = piece.bytes.as_slice();
        match piece.kind {
            Kind::Text => {
                for byte in bytes {
                    match byte {
                        0x0e => self.shifted = true,
                        0x0f => self.shifted = false,
                        _ => {}
                    }
                }
            }
            Kind::Escape => match bytes {
                [0x1b, b'c'] => *self = Self::default(),
                [0x1b, b'(', set] => self.sets = [Some(*set), self.second()],
                [0x1b, b')', set] => self.sets = [self.first(), Some(*set)],
                [0x1b, b'%', b'@'] => self.latin = true,
                [0x1b, b'%', b'G'] => self.latin = false,
                _ => {}
            },
            Kind::Control => self.control(bytes),
            Kind::String => {
                if let Some(rest) = bytes.strip_prefix(b"\x1b]8;") {
                    let ends = rest.starts_with(b";\x07") || rest.starts_with(b";\x1b\\");
                    self.link = (!ends && bytes.len() <= LINK_MAX).then(|| bytes.to_vec());
                }
            }
            Kind::Part => {}
        }
    }

    fn first(&self) -> Option<u8> {
        let [first, _] = self.sets;
        first
    }

    fn second(&self) -> Option<u8> {
        let [_, second] = self.sets;
        second
    }

    fn control(&mut self, bytes: &[u8]) {
        let Some((last, rest)) = bytes.split_last() else {
            return;
        };
        let inner = rest.get(2..).unwrap_or_default();
        match (inner.first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                for mode in numbers(inner.get(1..).unwrap_or_default()) {
                    self.set(mode, *last == b'h');
                }
            }
            (Some(b'>'), b'm') => {
                self.modifiers = (bytes.len() <= MODIFIERS_MAX).then(|| bytes.to_vec());
            }
            (Some(b'>' | b'=' | b'<'), b'u') => self.keyboard = true,
            (Some(b'!'), b'p') => *self = Self::default(),
            (_, b'h' | b'l') if numbers(inner).contains(&4) => self.insert = *last == b'h',
            (None | Some(b'0'..=b'9' | b';'), b'r') => {
                let given = numbers(inner);
                let at = |index: usize| given.get(index).copied().filter(|number| *number > 0);
                self.margins = match (at(0), at(1)) {
                    (None, None) => None,
                    (top, bottom) => Some((top.unwrap_or(1), bottom.unwrap_or(u16::MAX))),
                };
            }
            (Some(b'0'..=b'9' | b';'), b's') if self.is_set(69) => {
                self.sides = (bytes.len() <= MODIFIERS_MAX).then(|| bytes.to_vec());
            }
            _ => {}
        }
    }

    fn set(&mut self, mode: u16, on: bool) {
        if OFF.contains(&mode) || [7, 25, 2004].contains(&mode) {
            // Of these one at a time is on: what was set last.
            let rivals = [MOUSE.as_slice(), MOUSE_FORMS.as_slice()];
            let rivals = rivals.into_iter().find(|modes| modes.contains(&mode));
            for rival in rivals.into_iter().flatten().filter(|_| on) {
                self.private.insert(*rival, false);
            }
            self.private.insert(mode, on);
        }
    }

    /// Whether a private mode is on.
    pub(super) fn is_set(&self, mode: u16) -> bool {
        self.private.get(&mode).copied().unwrap_or(false)
    }

    /// Whether characters are put in before others.
    pub(super) fn inserts(&self) -> bool {
        self.insert
    }

    /// Whether letters are shown as lines.
    pub(super) fn draws_lines(&self) -> bool {
        let set = if self.shifted {
            self.second()
        } else {
            self.first()
        };
        set == Some(b'0')
    }

    /// What makes the terminal plain for a prompt.
    pub(super) fn put_aside(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for mode in OFF {
            if self.is_set(mode) {
                out.extend(format!("\x1b[?{mode}l").bytes());
            }
        }
        if self.private.get(&7) == Some(&false) {
            out.extend(b"\x1b[?7h");
        }
        if self.insert {
            out.extend(b"\x1b[4l");
        }
        if self.link.is_some() {
            out.extend(b"\x1b]8;;\x1b\\");
        }
        if self.latin {
            out.extend(b"\x1b%G");
        }
        if self.keyboard {
            out.extend(b"\x1b[>0u");
        }
        if self.modifiers.is_some() {
            out.extend(b"\x1b[>4;0m");
        }
        // Colours stay the terminal's own, letters are letters, and a paste says that it is one.
        out.extend(b"\x1b(B\x0f\x1b[m\x1b[?2004h\x1b[?25h");
        out
    }

    /// What must be as it was before the agent's screen is shown again.
    pub(super) fn end_keyboard(&self) -> &'static [u8] {
        if self.keyboard { b"\x1b[<u" } else { b"" }
    }

    /// What brings the modes back that do not move the cursor.
    pub(super) fn bring_back(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for mode in OFF.into_iter().filter(|mode| ![6, 69].contains(mode)) {
            if self.is_set(mode) {
                out.extend(format!("\x1b[?{mode}h").bytes());
            }
        }
        if self.private.get(&7) == Some(&false) {
            out.extend(b"\x1b[?7l");
        }
        if !self.is_set(2004) {
            out.extend(b"\x1b[?2004l");
        }
        if self.private.get(&25) == Some(&false) {
            out.extend(b"\x1b[?25l");
        }
        if self.insert {
            out.extend(b"\x1b[4h");
        }
        if let Some(set) = self.first() {
            out.extend([0x1b, b'(', set]);
        }
        if self.shifted {
            out.push(0x0e);
        }
        if let Some(link) = &self.link {
            out.extend(link);
        }
        if let Some(modifiers) = &self.modifiers {
            out.extend(modifiers);
        }
        if self.latin {
            out.extend(b"\x1b%@");
        }
        out
    }

    /// The margins at the sides, if there are any; setting them moves the cursor.
    pub(super) fn side_margins(&self) -> Vec<u8> {
        if !self.is_set(69) {
            return Vec::new();
        }
        let mut out = b"\x1b[?69h".to_vec();
        out.extend(self.sides.iter().flatten());
        out
    }
}

fn numbers(text: &[u8]) -> Vec<u16> {
    text.split(|byte| *byte == b';')
        .map(|number| {
            std::str::from_utf8(number)
                .ok()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        })
        .collect()
}
