//! A model of what the agent's terminal shows, fed with all that the agent writes, and from it what a prompt needs to come and go unseen.

use std::num::NonZeroU16;

use vt100::{Parser, Screen};

use super::modes::Modes;
use super::sequence::{Kind, Piece, Sequences};

/// What the person's terminal shows of the agent.
pub(super) struct Model {
    parser: Parser,
    sequences: Sequences,
    modes: Modes,
    /// The agent keeps a place of the cursor in the main screen which it has not gone back to.
    kept_place: bool,
    /// The prompt that is shown was opened over the main screen.
    over_main: bool,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

impl Model {
    /// An empty screen of that size.
    pub(super) fn new(rows: u16, columns: u16) -> Self {
        let (rows, columns) = size(rows, columns);
        Self {
            parser: Parser::new(rows, columns, 0),
            sequences: Sequences::default(),
            modes: Modes::default(),
            kept_place: false,
            over_main: true,
        }
    }

    /// The agent writes: what the person's terminal is given of it now. What is not whole yet follows with its rest.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for piece in self.sequences.feed(bytes) {
            if reads_the_screen(&piece) {
                continue;
            }
            self.modes.learn(&piece);
            self.show(&piece);
            out.extend(piece.bytes);
        }
        out
    }

    /// What is still held when the agent will write no more.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        self.sequences.rest()
    }

    /// The window has another size now.
    pub(super) fn resize(&mut self, rows: u16, columns: u16) {
        let (rows, columns) = size(rows, columns);
        self.parser.set_size(rows, columns);
        self.modes.margins = None;
    }

    /// Whether the agent has the whole screen to itself.
    pub(super) fn in_alternate(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    /// A line of our own was shown.
    pub(super) fn told(&mut self, line: &[u8]) {
        self.parser.process(line);
    }

    /// What prepares the terminal for a prompt. Over the main screen the alternate one is used, so that nothing of the main one is touched.
    pub(super) fn open(&mut self) -> Vec<u8> {
        self.over_main = !self.in_alternate();
        self.sequences.break_off();
        // Whatever sequence the terminal may be in, also one that began with a control that is not looked for here, ends.
        let mut out = b"\x18\x1b\\".to_vec();
        if self.over_main {
            out.extend(b"\x1b[?1049h");
        }
        out.extend(self.modes.put_aside());
        out.extend(b"\x1b[2J");
        out
    }

    /// What brings the agent's screen back as it was.
    pub(super) fn close(&self) -> Vec<u8> {
        let mut out = b"\x1b[m".to_vec();
        out.extend(self.modes.end_keyboard());
        if self.over_main {
            out.extend(b"\x1b[?1049l");
            let sides = self.modes.side_margins();
            if !sides.is_empty() {
                // The terminal has just kept the cursor's place itself.
                out.extend(sides);
                out.extend(b"\x1b8");
            }
            out.extend(self.kept_place_again());
        } else {
            out.extend(self.repaint());
        }
        out.extend(self.modes.bring_back());
        out
    }

    fn repaint(&self) -> Vec<u8> {
        let screen = self.parser.screen();
        let mut out = b"\x1b[r".to_vec();
        out.extend(screen.contents_formatted().bytes());
        let (rows, _) = screen.size();
        let sides = self.modes.side_margins();
        let margins = self
            .modes
            .margins
            .map(|(top, bottom)| (top, bottom.min(rows.get())))
            .filter(|(top, bottom)| top < bottom);
        out.extend(&sides);
        if let Some((top, bottom)) = margins {
            out.extend(format!("\x1b[{top};{bottom}r").bytes());
        }
        if self.modes.is_set(6) {
            let top = margins.map_or(0, |(top, _)| top.saturating_sub(1));
            let (row, column) = screen.cursor_position();
            let row = row.saturating_sub(top).saturating_add(1);
            let column = column.saturating_add(1);
            out.extend(format!("\x1b[?6h\x1b[{row};{column}H").bytes());
        } else {
            out.extend(screen.cursor_state_formatted().bytes());
        }
        out
    }

    /// Opening a prompt made the terminal keep the cursor's place, and so forget the one that the agent had it keep. In the main screen the
    /// model knows places only relative to each other: where the screen began is the terminal's own.
    fn kept_place_again(&self) -> Vec<u8> {
        let screen = self.parser.screen();
        let (_, columns) = screen.size();
        let here = screen.cursor_position();
        if !self.kept_place || here.1 >= columns.get() {
            return Vec::new();
        }
        let kept = self.at_kept_place();
        let there = kept.cursor_position();
        let mut out = relative(here, there);
        out.extend(kept.attributes_formatted().bytes());
        out.extend(b"\x1b7");
        out.extend(relative(there, here));
        out.extend(screen.attributes_formatted().bytes());
        out
    }

    /// The screen if the agent went back to the place that it keeps.
    fn at_kept_place(&self) -> Screen {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let mut probe = Parser::new(rows, columns, 0);
        *probe.screen_mut() = screen.clone();
        probe.process(b"\x1b8");
        probe.screen().clone()
    }

    /// Shows a piece on the model, in words that the library knows.
    fn show(&mut self, piece: &Piece) {
        let bytes = piece.bytes.as_slice();
        match piece.kind {
            Kind::Text => self.text(bytes),
            Kind::Escape | Kind::Control => {
                let known: &[u8] = match bytes {
                    b"\x1bD" => b"\n",
                    b"\x1bE" => b"\r\n",
                    b"\x1b[s" if !self.modes.is_set(69) => b"\x1b7",
                    b"\x1b[u" => b"\x1b8",
                    b"\x1b[?1047h" => b"\x1b[?47h",
                    b"\x1b[?1047l" => b"\x1b[?47l",
                    b"\x1b[?1048h" => b"\x1b7",
                    b"\x1b[?1048l" => b"\x1b8",
                    _ => bytes,
                };
                match (known, self.in_alternate()) {
                    (b"\x1b7", false) => self.kept_place = true,
                    (b"\x1b8", false) => self.kept_place = false,
                    _ => {}
                }
                self.parser.process(known);
            }
            // Titles, colours and images are not on the model, and nothing of a prompt changes them.
            Kind::String | Kind::Part => {}
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        if !self.modes.draws_lines() && !self.modes.inserts() {
            self.parser.process(bytes);
            return;
        }
        for c in String::from_utf8_lossy(bytes).chars() {
            if self.modes.inserts() && !c.is_control() {
                self.parser.process(b"\x1b[@");
            }
            let c = if self.modes.draws_lines() { line(c) } else { c };
            let mut buffer = [0; 4];
            self.parser.process(c.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// A request for the checksum of a part of the screen, which lets an agent read it cell by cell: what stands there from before the session is none of its business.
fn reads_the_screen(piece: &Piece) -> bool {
    piece.kind == Kind::Control && piece.bytes.ends_with(b"*y")
}

fn size(rows: u16, columns: u16) -> (NonZeroU16, NonZeroU16) {
    let of = |given: u16, usual: NonZeroU16| NonZeroU16::new(given).unwrap_or(usual);
    (
        of(rows, Parser::<()>::DEFAULT_ROWS),
        of(columns, Parser::<()>::DEFAULT_COLS),
    )
}

/// Moves the cursor from one place to another without saying where on the screen either is.
fn relative(from: (u16, u16), to: (u16, u16)) -> Vec<u8> {
    let step = |less: u16, more: u16, back: char, on: char| {
        if more > less {
            format!("\x1b[{}{on}", more.saturating_sub(less))
        } else if less > more {
            format!("\x1b[{}{back}", less.saturating_sub(more))
        } else {
            String::new()
        }
    };
    let mut out = step(from.0, to.0, 'A', 'B').into_bytes();
    out.extend(step(from.1, to.1, 'D', 'C').bytes());
    out
}

/// What the character set for lines shows for a letter.
fn line(c: char) -> char {
    const LINES: [char; 31] = [
        '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─',
        '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
    ];
    u32::from(c)
        .checked_sub(0x60)
        .and_then(|at| usize::try_from(at).ok())
        .and_then(|at| LINES.get(at).copied())
        .unwrap_or(c)
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
