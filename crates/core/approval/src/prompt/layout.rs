//! A prompt as plain lines of text. Line feeds are ours alone: what is shown has none.

use super::{Emphasis, Field, Prompt};
use crate::risk::Risk;
use crate::show::{columns, folded};

/// The narrowest layout, in columns: below it, lines wrap where they must.
const MIN_WIDTH: usize = 40;
/// Columns for the names of lines.
const NAME_WIDTH: usize = 12;

impl Prompt {
    /// Lines of at most `width` columns. Long paths are folded where nothing operative is hidden; all else is wrapped, and nothing is cut.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let width = width.max(MIN_WIDTH);
        self.lines(width, width.saturating_sub(NAME_WIDTH))
    }

    /// The same with nothing folded.
    #[must_use]
    pub fn whole(&self, width: usize) -> String {
        self.lines(width.max(MIN_WIDTH), usize::MAX)
    }

    fn lines(&self, width: usize, fold: usize) -> String {
        let mut out = String::new();
        put(&mut out, "", self.title.as_str(), width);
        put(&mut out, "allows it to", self.plain_words.as_str(), width);
        let risk = match self.risk {
            Risk::Low => "low",
            Risk::Elevated => "elevated",
            Risk::High => "HIGH",
        };
        let because = if self.risk_because.is_empty() && self.warnings.is_empty() {
            risk.to_owned()
        } else if self.risk_because.is_empty() {
            format!("{risk}: see the warnings")
        } else {
            format!("{risk}: {}", self.risk_because.join("; "))
        };
        put(&mut out, "risk", &because, width);
        for warning in &self.warnings {
            put(&mut out, "WARNING", warning.as_str(), width);
        }
        for new in &self.new {
            put(&mut out, "new", new.as_str(), width);
        }
        for field in &self.fields {
            put(&mut out, field.name, &value(field, fold), width);
        }
        out
    }
}

fn value(field: &Field, fold: usize) -> String {
    let value = field.value.as_str();
    match field.emphasis {
        Emphasis::Plain | Emphasis::Strong => value.to_owned(),
        Emphasis::Path => folded(value, fold),
        Emphasis::Unverified if field.name.is_empty() => value.to_owned(),
        Emphasis::Unverified => format!("(not verified) {value}"),
    }
}

/// One line, wrapped below its value where it is too long.
fn put(out: &mut String, name: &str, value: &str, width: usize) {
    let indent = if name.is_empty() && out.is_empty() {
        0
    } else {
        NAME_WIDTH.saturating_add(2)
    };
    let room = width.saturating_sub(indent).max(8);
    for (at, line) in wrapped(value, room).iter().enumerate() {
        let name = if at == 0 { name } else { "" };
        if indent == 0 {
            out.push_str(line);
        } else {
            let pad = " ".repeat(NAME_WIDTH.saturating_sub(columns(name)));
            out.push_str(&format!(" {name}{pad} {line}"));
        }
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
}

/// Lines of at most `room` columns, broken after spaces where there are any.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && columns(&line).saturating_add(columns(word.trim_end())) > room {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            let mut buffer = [0; 4];
            let next = columns(c.encode_utf8(&mut buffer));
            if columns(&line).saturating_add(next) > room.saturating_add(usize::from(c == ' ')) {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}
