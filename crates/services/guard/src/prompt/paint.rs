//! A prompt as rows of text. Nothing in it has a colour or another attribute: an agent can redefine those, and so hide what has them.

use valetkey_approval::visible;
use valetkey_model::Timestamp;

use super::phrase::Phrase;
use super::state::{Dialog, Stage};

/// The smallest terminal that shows a prompt.
pub(super) const MIN_ROWS: u16 = 10;
/// The narrowest.
pub(super) const MIN_COLUMNS: u16 = 41;
/// The narrowest on which the help also says how a yes reaches less.
const WIDE: u16 = 80;
/// Rows around the question: two above, four below.
const FRAME: usize = 6;

/// When something is painted, and how large.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) clock: Timestamp,
    pub(super) settled: bool,
}

/// The rows of what is to be seen, as many as the terminal has.
pub(super) fn rows(dialog: &mut Dialog, phrase: &Phrase, canvas: Canvas) -> Vec<String> {
    let width = usize::from(canvas.columns);
    let room = usize::from(canvas.rows).saturating_sub(FRAME).max(1);
    let whole = dialog
        .current()
        .map(|question| question.prompt.whole(width.saturating_sub(1)))
        .unwrap_or_default();
    let lines: Vec<&str> = whole.lines().collect();
    dialog.painted(lines.len(), room);
    let frame = |mut row: String| {
        cut(&mut row, width.saturating_sub(1));
        row
    };
    let of = match dialog.waiting() {
        0 | 1 => String::new(),
        more => format!(", the first of {more}"),
    };
    let mut out = vec![
        frame(format!("== {} == valetkey asks{of} ==", phrase.as_str())),
        String::new(),
    ];
    let shown = lines.iter().skip(dialog.top).take(room);
    out.extend(shown.map(|line| (*line).to_owned()));
    out.resize(room.saturating_add(2), String::new());
    let message = dialog.message.as_deref().map(visible).unwrap_or_default();
    out.extend(
        [
            scroll(dialog),
            message,
            help(dialog, canvas),
            input(dialog, width, canvas.settled),
        ]
        .map(frame),
    );
    out
}

/// The same as bytes: every row that is not there already at its place, and the cursor where one types.
pub(super) fn bytes(rows: &[String], there: &[String]) -> Vec<u8> {
    let mut out = b"\x1b[?25l".to_vec();
    for (at, row) in rows.iter().enumerate() {
        let last = at.saturating_add(1) == rows.len();
        if there.get(at) == Some(row) && !last {
            continue;
        }
        let at = at.saturating_add(1);
        // A line of double height or width would show less than it says.
        out.extend(format!("\x1b[{at};1H\x1b#5\x1b[2K{row}").bytes());
    }
    out.extend(b"\x1b[?25h");
    out
}

fn scroll(dialog: &Dialog) -> String {
    let below = dialog
        .lines
        .saturating_sub(dialog.top.saturating_add(dialog.room));
    match (dialog.top, below) {
        (0, 0) => "--".to_owned(),
        (above, 0) => format!("-- {above} lines above"),
        (0, below) => format!("-- {below} more lines: Space or Page Down"),
        (above, below) => format!("-- {above} lines above, {below} below: Space or Page Down"),
    }
}

fn help(dialog: &Dialog, canvas: Canvas) -> String {
    let left = dialog.left(canvas.clock);
    let yes = if dialog.wants_word() { "yes" } else { "a" };
    match dialog.stage {
        Stage::Answer => {
            // What reaches less is said where there is room for it; it can be typed all the same.
            let less = dialog
                .reach()
                .filter(|reach| reach.is_choice && canvas.columns >= WIDE)
                .map(|reach| match reach.max_seconds {
                    Some(300..) => format!(" ({yes} once, {yes} 5m: less)"),
                    Some(_) | None => format!(" ({yes} once: less)"),
                })
                .unwrap_or_default();
            format!("{yes} = approve{less}, d = deny, l = later; then Enter. {left} s left")
        }
        Stage::Reason => format!("say why, then Enter; Esc = later. {left} s left"),
        Stage::Passphrase => {
            format!("passphrase of your approver key, then Enter. {left} s left")
        }
        Stage::Giving => "signing".to_owned(),
    }
}

fn input(dialog: &Dialog, width: usize, settled: bool) -> String {
    match dialog.stage {
        Stage::Answer if dialog.line.is_empty() && !settled => {
            "wait: keys do not count yet".to_owned()
        }
        Stage::Answer | Stage::Reason => {
            let typed = visible(&dialog.line);
            let room = width.saturating_sub(10);
            let skipped = typed.chars().count().saturating_sub(room);
            format!(
                "answer> {}",
                typed.chars().skip(skipped).collect::<String>()
            )
        }
        Stage::Passphrase => "passphrase (not shown)> ".to_owned(),
        Stage::Giving => String::new(),
    }
}

/// Cuts our own frame to the width. The question's lines are wrapped to it already.
fn cut(row: &mut String, width: usize) {
    if let Some((at, _)) = row.char_indices().nth(width) {
        row.truncate(at);
    }
}

#[cfg(test)]
#[path = "paint_tests.rs"]
mod tests;
