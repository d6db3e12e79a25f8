//! The licences of everything that is built: each must be one that `deny.toml` allows.

use std::fs;

use serde_json::Value;

use crate::cargo::Cargo;

/// Packages whose licences `deny.toml` does not allow.
///
/// # Errors
/// When cargo or the file cannot be read.
pub fn refused(cargo: &Cargo) -> Result<Vec<String>, String> {
    let path = cargo.root().join("deny.toml");
    let rules =
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(findings(&cargo.everything()?, &allowed(&rules)))
}

fn findings(metadata: &Value, allowed: &[&str]) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array);
    packages
        .into_iter()
        .flatten()
        .filter_map(|package| {
            let name = package.get("name").and_then(Value::as_str)?;
            match package.get("license").and_then(Value::as_str) {
                None => Some(format!("{name}: its manifest names no licence")),
                Some(text) if satisfied(text, allowed) == Some(true) => None,
                Some(text) => Some(format!("{name}: `{text}` is not allowed by deny.toml")),
            }
        })
        .collect()
}

/// The list `allow` of the section `[licenses]`.
fn allowed(rules: &str) -> Vec<&str> {
    rules
        .lines()
        .skip_while(|line| line.trim() != "[licenses]")
        .skip_while(|line| !line.starts_with("allow = ["))
        .skip(1)
        .take_while(|line| line.trim() != "]")
        .filter_map(|line| line.split('"').nth(1))
        .collect()
}

/// Whether an SPDX expression can be met with `allowed`; nothing if it does not read.
fn satisfied(expression: &str, allowed: &[&str]) -> Option<bool> {
    // An older spelling of OR, and parentheses as words of their own.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader {
        words: &words,
        allowed,
    };
    let result = reader.either()?;
    reader.words.is_empty().then_some(result)
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn next_is(&mut self, wanted: &str) -> bool {
        match self.words.split_first() {
            Some((word, rest)) if *word == wanted => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = self.words.split_first()?;
        self.words = rest;
        Some(word)
    }

    fn either(&mut self) -> Option<bool> {
        let mut result = self.both()?;
        while self.next_is("OR") {
            result |= self.both()?;
        }
        Some(result)
    }

    fn both(&mut self) -> Option<bool> {
        let mut result = self.one()?;
        while self.next_is("AND") {
            result &= self.one()?;
        }
        Some(result)
    }

    fn one(&mut self) -> Option<bool> {
        if self.next_is("(") {
            let result = self.either()?;
            return self.next_is(")").then_some(result);
        }
        let licence = self.word()?;
        if ["OR", "AND", "WITH", ")"].contains(&licence) {
            return None;
        }
        let name = if self.next_is("WITH") {
            format!("{licence} WITH {}", self.word()?)
        } else {
            licence.to_owned()
        };
        Some(self.allowed.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &str = "[licenses]\nallow = [\n    \"MIT\",\n    # A reason.\n    \"BSD-3-Clause\",\n]\n[bans]\nallow = [\n    \"GPL-3.0\",\n]\n";

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = allowed(RULES);
        assert_eq!(allowed, ["MIT", "BSD-3-Clause"]);
        for text in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "MIT AND BSD-3-Clause",
            "(GPL-3.0 OR MIT) AND BSD-3-Clause",
        ] {
            assert_eq!(satisfied(text, &allowed), Some(true), "{text}");
        }
        for text in ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH LLVM-exception"] {
            assert_eq!(satisfied(text, &allowed), Some(false), "{text}");
        }
        for text in ["", "MIT OR", "(MIT", "MIT MIT", "AND"] {
            assert_eq!(satisfied(text, &allowed), None, "{text}");
        }
    }

    #[test]
    fn a_package_with_another_licence_or_none_is_found() {
        let metadata = json!({"packages": [
            {"name": "good", "license": "MIT"},
            {"name": "viral", "license": "AGPL-3.0"},
            {"name": "silent", "license": null},
        ]});
        let found = findings(&metadata, &allowed(RULES));
        assert_eq!(
            found,
            [
                "viral: `AGPL-3.0` is not allowed by deny.toml",
                "silent: its manifest names no licence"
            ]
        );
    }
}
