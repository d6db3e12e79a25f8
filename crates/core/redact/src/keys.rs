//! Secrets that show by their name: `DB_PASSWORD=…`, `"apiKey": "…"`, `client-secret: …`.

use crate::detectors::Detectors;
use crate::value::{self, Stands};
use crate::{Found, entropy};

/// Words that make a name one of a secret.
const STRONG: [&str; 22] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "passwort",
    "secret",
    "secrets",
    "token",
    "credential",
    "credentials",
    "apikey",
    "psk",
    "authtoken",
    "accesskey",
    "secretkey",
    "privatekey",
    "accesstoken",
    "clientsecret",
    "pass",
    "pat",
    "otp",
];

/// Ends of a word that do.
const STRONG_ENDS: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "authtoken",
    "accesstoken",
    "passwort",
];

/// Two words that do.
const STRONG_PAIRS: [(&str, &str); 22] = [
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("secret", "key"),
    ("auth", "key"),
    ("signing", "key"),
    ("encryption", "key"),
    ("master", "key"),
    ("account", "key"),
    ("storage", "key"),
    ("shared", "key"),
    ("license", "key"),
    ("session", "key"),
    ("service", "key"),
    ("app", "key"),
    ("ssh", "key"),
    ("deploy", "key"),
    ("connection", "string"),
    ("recovery", "code"),
    ("backup", "code"),
    ("host", "key"),
    ("security", "code"),
];

/// Words at the end of a name that say that it is about a secret and is none.
const ABOUT: [&str; 62] = [
    "name",
    "type",
    "count",
    "length",
    "len",
    "min",
    "max",
    "policy",
    "url",
    "uri",
    "path",
    "file",
    "filename",
    "dir",
    "directory",
    "id",
    "ttl",
    "expiry",
    "expires",
    "expiration",
    "timeout",
    "enabled",
    "disabled",
    "required",
    "limit",
    "limits",
    "size",
    "field",
    "label",
    "hint",
    "placeholder",
    "prompt",
    "endpoint",
    "header",
    "issuer",
    "algorithm",
    "alg",
    "at",
    "rotation",
    "version",
    "ref",
    "reference",
    "format",
    "strength",
    "validator",
    "budget",
    "usage",
    "provider",
    "store",
    "manager",
    "class",
    "error",
    "message",
    "title",
    "description",
    "generator",
    "scope",
    "scopes",
    "seconds",
    "days",
    "interval",
    "reset",
];

/// Words that make a name one of a secret if its value looks like one.
const WEAK: [&str; 15] = [
    "key",
    "auth",
    "cookie",
    "session",
    "signature",
    "seed",
    "salt",
    "sas",
    "sig",
    "hash",
    "pin",
    "code",
    "cert",
    "jwt",
    "webhook",
];

/// The least length of a value under a weak name.
const WEAK_VALUE_MIN: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    Strong,
    Weak,
}

pub(crate) fn find(detectors: &Detectors, content: &[u8], found: &mut Vec<Found>) {
    for expression in [&detectors.key, &detectors.pair] {
        for captures in expression.captures_iter(content) {
            let (Some(all), Some(key)) = (captures.get(0), captures.name("k")) else {
                continue;
            };
            let Some(strength) = strength(key.as_bytes()) else {
                continue;
            };
            let (stands, indent) = stands(content, key.start());
            let Some(value) = value::at(content, all.end(), stands, indent) else {
                continue;
            };
            let text = content.get(value.range.clone()).unwrap_or_default();
            if strength == Strength::Strong
                || (text.len() >= WEAK_VALUE_MIN && entropy::is_high(text))
            {
                found.push(value);
            }
        }
    }
}

/// Whether the name is the first word on its line, and how far in the line is.
fn stands(content: &[u8], at: usize) -> (Stands, usize) {
    let before = content.get(..at).unwrap_or_default();
    let line = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(before, |end| {
            before.get(end.saturating_add(1)..).unwrap_or_default()
        });
    let indent = value::indentation(line);
    let rest = line.trim_ascii();
    let leads = rest.is_empty()
        || [
            &b"export"[..],
            b"set",
            b"-",
            b"ENV",
            b"ARG",
            b"declare -x",
            b"setenv",
        ]
        .contains(&rest);
    let stands = if leads { Stands::First } else { Stands::Within };
    (stands, indent)
}

fn strength(key: &[u8]) -> Option<Strength> {
    let words = words(key);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.last().is_some_and(|last| ABOUT.contains(last)) {
        return None;
    }
    let strong = words
        .iter()
        .any(|word| STRONG.contains(word) || STRONG_ENDS.iter().any(|end| word.ends_with(end)));
    let pair = words
        .iter()
        .zip(words.iter().skip(1))
        .any(|(a, b)| STRONG_PAIRS.contains(&(a, b)));
    if strong || pair {
        Some(Strength::Strong)
    } else if words.iter().any(|word| WEAK.contains(word)) && !words.contains(&"public") {
        Some(Strength::Weak)
    } else {
        None
    }
}

/// The words of a name, in small letters: parted by `_`, `-`, `.` and by capitals, without digits at their ends.
fn words(key: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    let mut letters = key.iter().peekable();
    while let Some(byte) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|next| next.is_ascii_lowercase());
        let separates = matches!(byte, b'_' | b'-' | b'.');
        let begins = byte.is_ascii_uppercase()
            && (before_is_lower
                || (next_is_lower && words.last().is_some_and(|word| word.len() > 1)));
        if separates || begins {
            words.push(String::new());
        }
        if !separates && let Some(word) = words.last_mut() {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
        before_is_lower = byte.is_ascii_lowercase() || byte.is_ascii_digit();
    }
    for word in &mut words {
        let kept = word
            .trim_end_matches(|letter: char| letter.is_ascii_digit())
            .len();
        word.truncate(kept);
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let check =
            |key: &str, expected: &[&str]| assert_eq!(words(key.as_bytes()), expected, "{key}");
        check("DB_PASSWORD", &["db", "password"]);
        check("clientSecret2", &["client", "secret"]);
        check("AWSSecretAccessKey", &["aws", "secret", "access", "key"]);
        check("_auth-token.prod", &["auth", "token", "prod"]);
        check("x", &["x"]);
    }

    #[test]
    fn a_name_about_a_secret_is_none() {
        let check = |key: &str, expected| assert_eq!(strength(key.as_bytes()), expected, "{key}");
        for key in [
            "password",
            "SECRET_KEY_BASE",
            "dbpassword",
            "api-key",
            "GITHUB_TOKEN",
            "Pwd",
            "MYSQL_PWD",
            "clientSecret",
        ] {
            check(key, Some(Strength::Strong));
        }
        for key in ["key", "AUTH", "salt"] {
            check(key, Some(Strength::Weak));
        }
        for key in [
            "max_tokens",
            "token_type",
            "password_min_length",
            "secretName",
            "tokenizer",
            "PASSWORD_FILE",
            "color",
            "compass",
        ] {
            check(key, None);
        }
    }
}
