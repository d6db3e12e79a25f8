//! What can be wrong with a bundle, said with the place and the parser's own words.

use std::collections::BTreeMap;
use std::fmt;

use regorus::unstable::Span;
use thiserror::Error;

/// How many columns the engine counts for a tab.
const TAB_COLUMNS: u32 = 4;

/// A place in a bundle's file; line and column count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file's path within the bundle.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a bundle is not taken. A bundle with an error is refused whole: the live policy stays as it was.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PolicyError {
    /// More files than allowed.
    #[error("the bundle has {count} files; at most {max} are read")]
    TooManyFiles {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// More bytes than allowed, in all files together.
    #[error("the bundle is larger than {max} bytes")]
    TooLarge {
        /// How many bytes are allowed.
        max: usize,
    },
    /// A file's path is not a plain relative path, or is there twice.
    #[error("`{file}`: {reason}")]
    Path {
        /// The path.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file that the bundle's format does not allow here, or that is not what its name says.
    #[error("`{file}`: {message}")]
    File {
        /// The path.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// The Rego parser or compiler refuses a module.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// The file's path within the bundle.
        file: String,
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
        /// The parser's words.
        message: String,
    },
    /// Valid Rego that is not safe to decide with.
    #[error("{place}: `{what}` is not available in a policy here: {reason}")]
    Refused {
        /// Where it stands.
        place: Place,
        /// The built-in function or form.
        what: String,
        /// Why, and what to use instead.
        reason: &'static str,
    },
    /// The bundle does not define the rule that is asked.
    #[error(
        "the bundle does not define the rule `{rule}`: write it in a `.rego` file (rules under `data.json` do not count)"
    )]
    NoEntryPoint {
        /// The rule.
        rule: &'static str,
    },
    /// There is no starter bundle of this name.
    #[error("there is no starter bundle `{name}`: `valetkey policy starters` lists them")]
    NoSuchStarter {
        /// The name.
        name: String,
    },
}

impl PolicyError {
    /// Something that the parser lets pass and that is wrong all the same.
    pub(crate) fn syntax(place: Place, message: String) -> Self {
        Self::Syntax {
            file: place.file,
            line: place.line,
            column: place.column,
            message,
        }
    }

    /// Reads the place and the words out of the engine's message, which has the form
    /// `--> FILE:LINE:COLUMN`, the line with a mark under it, and `error: WORDS`.
    ///
    /// `modules` are the texts, by their paths: the engine counts a tab as four columns, and people and editors do not.
    pub(crate) fn from_engine(
        fallback_file: &str,
        text: &str,
        modules: &BTreeMap<String, String>,
    ) -> Self {
        let place = text
            .split_once("--> ")
            .and_then(|(_, rest)| rest.lines().next())
            .and_then(read_place);
        let message = text
            .rsplit_once("\nerror: ")
            .map_or(text, |(_, words)| words)
            .trim();
        let (file, line, column) = place.unwrap_or_else(|| (fallback_file.to_owned(), 1, 1));
        let column = modules
            .get(&file)
            .map_or(column, |module| column_in(module, line, column));
        Self::Syntax {
            file,
            line,
            column,
            message: message.to_owned(),
        }
    }
}

/// Where a span of the engine's tree begins.
pub(crate) fn place_of(span: &Span) -> Place {
    Place {
        file: span.source.file().clone(),
        line: span.line,
        column: column_in(span.source.contents(), span.line, span.col),
    }
}

/// The column in characters, from 1, of a column in which each tab counts as four.
pub(crate) fn column_in(module: &str, line: u32, column: u32) -> u32 {
    let at = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut wide: u32 = 1;
    let mut real: u32 = 1;
    for c in module.lines().nth(at).unwrap_or_default().chars() {
        if wide >= column {
            break;
        }
        wide = wide.saturating_add(if c == '\t' { TAB_COLUMNS } else { 1 });
        real = real.saturating_add(1);
    }
    real
}

fn read_place(text: &str) -> Option<(String, u32, u32)> {
    let (rest, column) = text.trim_end().rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_message_is_read() {
        let none = BTreeMap::new();
        let text = "\n--> a/b.rego:3:7\n  |\n3 | x := }\n  |      ^\nerror: unexpected `}`";
        assert_eq!(
            PolicyError::from_engine("z", text, &none),
            PolicyError::Syntax {
                file: "a/b.rego".into(),
                line: 3,
                column: 7,
                message: "unexpected `}`".into()
            }
        );
        assert_eq!(
            PolicyError::from_engine("z.rego", "out of luck", &none).to_string(),
            "z.rego:1:1: out of luck"
        );
    }

    #[test]
    fn columns_are_counted_in_characters() {
        let module = "one\n\t\tß := x\n";
        assert_eq!(column_in(module, 2, 9), 3);
        assert_eq!(column_in(module, 2, 14), 8);
        assert_eq!(column_in(module, 1, 2), 2);
        assert_eq!(column_in(module, 9, 5), 1);
    }
}
