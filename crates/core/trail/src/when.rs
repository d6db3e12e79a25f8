//! Points in time as people write them: a date, a time, or how long ago.

use std::str::FromStr;

use thiserror::Error;
use valetkey_model::Timestamp;

/// The text is no point in time.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "a time is `2026-01-17T15:12:00Z`, `2026-01-17T15:12`, `2026-01-17` (UTC), or how long ago: `90s`, `15m`, `2h`, `7d`"
)]
pub struct ParseWhenError;

/// How long something takes: `90s`, `15m`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// In milliseconds.
    pub ms: u64,
}

impl FromStr for Span {
    type Err = ParseWhenError;

    fn from_str(text: &str) -> Result<Self, ParseWhenError> {
        const UNITS: [(char, u64); 4] = [
            ('s', 1000),
            ('m', 60_000),
            ('h', 3_600_000),
            ('d', 86_400_000),
        ];
        let span = UNITS.into_iter().find_map(|(unit, ms)| {
            let number = text.strip_suffix(unit)?;
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| number.parse::<u64>().ok()?.checked_mul(ms))
                .flatten()
        });
        span.map(|ms| Self { ms }).ok_or(ParseWhenError)
    }
}

/// A point in time, or a time before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Exactly then.
    At(Timestamp),
    /// So long before now.
    Ago(Span),
}

impl When {
    /// The point in time, seen from `now`.
    #[must_use]
    pub fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => Timestamp::from_unix_ms(now.unix_ms().saturating_sub(span.ms)),
        }
    }
}

impl FromStr for When {
    type Err = ParseWhenError;

    fn from_str(text: &str) -> Result<Self, ParseWhenError> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        let bare = text.strip_suffix('Z').unwrap_or(text);
        let full = match bare.len() {
            10 => format!("{bare}T00:00:00.000Z"),
            16 => format!("{bare}:00.000Z"),
            19 => format!("{bare}.000Z"),
            _ => format!("{bare}Z"),
        };
        full.parse().map(Self::At).map_err(|_| ParseWhenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-01-17T15:12:00.000Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-17T15:12:00.000Z", "2026-01-17T15:12:00.000Z"),
            ("2026-01-17T15:12:00Z", "2026-01-17T15:12:00.000Z"),
            ("2026-01-17T15:12", "2026-01-17T15:12:00.000Z"),
            ("2026-01-17", "2026-01-17T00:00:00.000Z"),
            ("90s", "2026-01-17T15:10:30.000Z"),
            ("2h", "2026-01-17T13:12:00.000Z"),
            ("1d", "2026-01-16T15:12:00.000Z"),
        ] {
            let when: When = text.parse().unwrap();
            assert_eq!(when.seen_from(now).to_string(), expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "-2h",
            "2 h",
            "h",
            "99999999999999999999d",
            "2026-13-01",
        ] {
            assert_eq!(text.parse::<When>(), Err(ParseWhenError), "{text}");
        }
    }
}
