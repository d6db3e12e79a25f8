//! `valetkey-verify`: checks a log, a proof or an export from files alone, for auditors who want as little program as possible.
#![forbid(unsafe_code)]

mod export;
mod files;
mod log;
mod proof;

use std::io::Write as _;
use std::process::ExitCode;

/// What went wrong, by whose matter it is: the same numbers as of `valetkey`.
#[derive(Debug)]
enum Fail {
    /// A file cannot be read.
    Failed(String),
    /// The command line.
    Usage(String),
    /// It is not as it was signed.
    NotVerified(String),
}

const USAGE: &str = "\
valetkey-verify checks what Valetkey's audit log left, from files alone.

  valetkey-verify log DIR --key KEY [--since CHECKPOINT]
  valetkey-verify proof FILE --key KEY [--event FILE]
  valetkey-verify export FILE --key KEY [--proof FILE]

KEY is a file with the log's public key (`log.vkey`), or the key itself.
Exit status: 0 verified, 1 failed, 2 usage, 4 not as it was signed.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (result, status) = match run(&words) {
        Ok(text) => (writeln!(std::io::stdout(), "{text}"), 0),
        Err(Fail::Failed(why)) => (writeln!(std::io::stderr(), "error: {why}"), 1),
        Err(Fail::Usage(why)) => (writeln!(std::io::stderr(), "error: {why}\n\n{USAGE}"), 2),
        Err(Fail::NotVerified(why)) => (writeln!(std::io::stderr(), "error: {why}"), 4),
    };
    // A verdict that nobody could read is none.
    if result.is_err() {
        return ExitCode::from(1);
    }
    ExitCode::from(status)
}

fn run(words: &[String]) -> Result<String, Fail> {
    let Some((command, rest)) = words.split_first() else {
        return Err(Fail::Usage("say what to check".to_owned()));
    };
    let asked = Asked::read(rest)?;
    match command.as_str() {
        "log" => log::verify(&asked),
        "proof" => proof::verify(&asked),
        "export" => export::verify(&asked),
        "--help" | "-h" | "help" => Ok(USAGE.to_owned()),
        "--version" | "-V" => Ok(format!("valetkey-verify {}", env!("CARGO_PKG_VERSION"))),
        other => Err(Fail::Usage(format!(
            "`{}` is nothing that can be checked",
            files::safe(other)
        ))),
    }
}

/// The words after the command.
#[derive(Debug, Default)]
struct Asked {
    place: Option<String>,
    key: Option<String>,
    since: Option<String>,
    event: Option<String>,
    proof: Option<String>,
}

impl Asked {
    fn read(words: &[String]) -> Result<Self, Fail> {
        let mut asked = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let place = match word.as_str() {
                "--key" => &mut asked.key,
                "--since" => &mut asked.since,
                "--event" => &mut asked.event,
                "--proof" => &mut asked.proof,
                plain if !plain.starts_with('-') && asked.place.is_none() => {
                    asked.place = Some(plain.to_owned());
                    continue;
                }
                other => {
                    return Err(Fail::Usage(format!(
                        "`{}` is unknown here",
                        files::safe(other)
                    )));
                }
            };
            if place.is_some() {
                return Err(Fail::Usage(format!("`{word}` is given twice")));
            }
            *place = words.next().cloned();
            if place.is_none() {
                return Err(Fail::Usage(format!("`{word}` needs a value")));
            }
        }
        Ok(asked)
    }

    fn place(&self) -> Result<&str, Fail> {
        let place = self.place.as_deref();
        place.ok_or_else(|| Fail::Usage("say which file or directory".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_checks_nothing() {
        let check = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert!(matches!(run(&words), Err(Fail::Usage(_))), "{words:?}");
        };
        check(&[]);
        check(&["everything"]);
        check(&["log"]);
        check(&["log", "dir"]);
        check(&["log", "dir", "--key"]);
        check(&["log", "dir", "--keys", "x"]);
        check(&["log", "dir", "other", "--key", "x"]);
        check(&["log", "dir", "--key", "x", "--key", "y"]);
    }
}
