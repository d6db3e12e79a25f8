//! Bounds a module's nesting before the parser sees it.
//!
//! The parser tries a bracket as a comprehension first and then again as a list, so that its work doubles with each level of
//! brackets; and it and the compiler recurse along chains such as `1 + 1 + …` or `a[b][b]…`. A few hundred bytes could keep
//! it busy for years, and a few thousand could overflow the stack and end the broker. So brackets and chains are counted
//! first, by a reader that needs to know no more of Rego than where strings and comments end: after the first text that it
//! and the parser could read differently, the parser gives up anyway.

use crate::PolicyError;

/// Levels of brackets. Ten are much; the parser itself stops some of its recursions at 32.
const MAX_DEPTH: usize = 20;
/// Operators, dots and brackets in one unbroken chain of operands.
const MAX_CHAIN: u32 = 200;
/// Brackets in the module, each counted as two to the power of its depth: about a second of the parser's work.
const MAX_WORK: u64 = 1 << 19;

/// Refuses a module whose nesting is out of all proportion.
///
/// # Errors
/// [`PolicyError::Syntax`] with the place.
pub(crate) fn check(file: &str, text: &str) -> Result<(), PolicyError> {
    let mut scan = Scan {
        file,
        line: 1,
        column: 0,
        here: Level::default(),
        outer: Vec::new(),
        work: 0,
    };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        scan.advance(c);
        match c {
            '#' => scan.skip(&mut chars, |c| c == '\n', false),
            '"' => {
                scan.operand(false);
                scan.skip(&mut chars, |c| matches!(c, '"' | '\n'), true);
            }
            '`' => {
                scan.operand(false);
                scan.skip(&mut chars, |c| c == '`', false);
            }
            '(' | '[' | '{' => scan.open()?,
            ')' | ']' | '}' => scan.close(),
            ',' | ';' => scan.end_chain(),
            c if c.is_whitespace() => scan.space(),
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    scan.advance(next);
                    if word.len() < 3 {
                        word.push(next);
                    }
                }
                if word == "in" {
                    scan.link()?;
                } else {
                    scan.operand(false);
                }
            }
            _ => scan.link()?,
        }
    }
    Ok(())
}

/// What is known of one level of brackets.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Links of the chain so far.
    chain: u32,
    /// Whether the last thing was an operand.
    after_operand: bool,
    /// Whether white space follows it.
    after_space: bool,
}

struct Scan<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    here: Level,
    outer: Vec<Level>,
    work: u64,
}

impl Scan<'_> {
    fn advance(&mut self, c: char) {
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 0;
        } else {
            self.column = self.column.saturating_add(1);
        }
    }

    fn skip(
        &mut self,
        chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
        ends: impl Fn(char) -> bool,
        escapes: bool,
    ) {
        while let Some(c) = chars.next() {
            self.advance(c);
            if ends(c) {
                return;
            }
            if escapes
                && c == '\\'
                && let Some(escaped) = chars.next()
            {
                self.advance(escaped);
            }
        }
    }

    fn space(&mut self) {
        self.here.after_space = true;
    }

    /// A name, a literal or a closed bracket. Two of them in a row belong to two expressions.
    fn operand(&mut self, of_chain: bool) {
        if self.here.after_operand && !of_chain {
            self.here.chain = 0;
        }
        self.here.after_operand = true;
        self.here.after_space = false;
    }

    fn end_chain(&mut self) {
        self.here = Level::default();
    }

    /// An operator, a dot, or a bracket that belongs to the operand before it.
    fn link(&mut self) -> Result<(), PolicyError> {
        self.here.chain = self.here.chain.saturating_add(1);
        self.here.after_operand = false;
        self.here.after_space = false;
        if self.here.chain > MAX_CHAIN {
            return Err(self.refused("the expression is a chain of more than 200 parts: split it"));
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), PolicyError> {
        if self.here.after_operand && !self.here.after_space {
            self.link()?;
        }
        self.outer.push(std::mem::take(&mut self.here));
        let depth = self.outer.len();
        if depth > MAX_DEPTH {
            return Err(self.refused("brackets are nested more than 20 deep: split the expression"));
        }
        self.work = self.work.saturating_add(1 << depth);
        if self.work > MAX_WORK {
            return Err(self.refused("the file holds too many deeply nested brackets: split it"));
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(level) = self.outer.pop() {
            self.here = level;
            // The bracket and what it closes are one operand.
            self.operand(true);
        }
    }

    fn refused(&self, message: &str) -> PolicyError {
        PolicyError::Syntax {
            file: self.file.to_owned(),
            line: self.line,
            column: self.column,
            message: message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
