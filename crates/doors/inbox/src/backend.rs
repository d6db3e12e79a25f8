//! Drawing on a terminal of the usual kind: the few sequences that all of them know, gathered and written at once.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

/// A terminal that is written to.
#[derive(Debug)]
pub(crate) struct Ansi<W> {
    out: W,
    size: Size,
    gathered: Vec<u8>,
}

impl<W: Write> Ansi<W> {
    pub(crate) fn new(out: W, size: Size) -> Self {
        Self {
            out,
            size,
            gathered: Vec::new(),
        }
    }

    pub(crate) fn set_size(&mut self, size: Size) {
        self.size = size;
    }

    fn put(&mut self, text: &str) {
        self.gathered.extend_from_slice(text.as_bytes());
    }

    fn go(&mut self, x: u16, y: u16) {
        let (row, column) = (y.saturating_add(1), x.saturating_add(1));
        self.put(&format!("\x1b[{row};{column}H"));
    }

    fn style(&mut self, fg: Color, modifier: Modifier) {
        self.put("\x1b[0");
        for (flag, code) in [
            (Modifier::BOLD, ";1"),
            (Modifier::DIM, ";2"),
            (Modifier::UNDERLINED, ";4"),
            (Modifier::REVERSED, ";7"),
        ] {
            if modifier.contains(flag) {
                self.put(code);
            }
        }
        // The view uses these and no other; what it does not use looks plain.
        for (colour, code) in [(Color::Red, ";31"), (Color::Yellow, ";33")] {
            if fg == colour {
                self.put(code);
            }
        }
        self.put("m");
    }
}

impl<W: Write> Backend for Ansi<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut next: Option<(u16, u16)> = None;
        let mut style = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                self.go(x, y);
            }
            if style != Some((cell.fg, cell.modifier)) {
                self.style(cell.fg, cell.modifier);
                style = Some((cell.fg, cell.modifier));
            }
            // Whatever came before, no cell holds what a terminal would act on.
            let symbol = cell.symbol();
            let is_plain = symbol.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if symbol.chars().any(char::is_control) {
                self.put("?");
            } else {
                self.put(symbol);
            }
            // Where the cursor is after a wide character is the terminal's opinion: it is told anew.
            next = is_plain.then(|| (x.saturating_add(1), y));
        }
        self.put("\x1b[0m");
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.put("\x1b[?25l");
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.put("\x1b[?25h");
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let at = position.into();
        self.go(at.x, at.y);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.put("\x1b[0m\x1b[2J");
        Ok(())
    }

    fn clear_region(&mut self, _region: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.gathered)?;
        self.gathered.clear();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn no_cell_reaches_the_terminal_as_a_command() {
        let mut out = Vec::new();
        let mut backend = Ansi::new(&mut out, Size::new(10, 2));
        let mut hostile = Cell::default();
        hostile.set_symbol("\x1b]52;c;eA==\x07");
        let mut plain = Cell::default();
        plain.set_symbol("x").set_style(Style::new().red().bold());
        backend
            .draw([(0, 0, &hostile), (1, 0, &plain), (0, 1, &plain)].into_iter())
            .unwrap();
        backend.flush().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\x1b[1;1H\x1b[0m?\x1b[1;2H\x1b[0;1;31mx\x1b[2;1Hx\x1b[0m"
        );
    }
}
