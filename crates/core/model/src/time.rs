//! A point in time with millisecond precision, and its RFC 3339 text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored as in POSIX time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// The text is not an RFC 3339 time in UTC.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not an RFC 3339 time in UTC such as `2026-01-17T15:12:00.000Z`")]
pub struct ParseTimestampError;

const MS_PER_DAY: u64 = 86_400_000;
/// The last millisecond of the year 9999, past which RFC 3339 has no text.
const MAX_UNIX_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the Unix epoch; clamped to the year 9999.
    #[must_use]
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(if ms > MAX_UNIX_MS { MAX_UNIX_MS } else { ms })
    }

    /// From seconds since the Unix epoch, as in a token's `exp`; clamped to the year 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: u64) -> Self {
        Self::from_unix_ms(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This time and `seconds` more.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self::from_unix_ms(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Milliseconds from `earlier` to this time; zero if this one is not later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Year, month and day of a count of days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
#[expect(
    clippy::arithmetic_side_effects,
    reason = "days is at most 2,932,896: nothing here can overflow a u64"
)]
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The inverse of [`civil_from_days`] for years from 1970 on.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "year is in 1970..=9999, month in 1..=12, day in 1..=31"
)]
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y / 400;
    let yoe = y % 400;
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / MS_PER_DAY);
        let ms = self.0 % MS_PER_DAY;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1000 % 60,
            ms % 1000
        )
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads exactly the form that [`fmt::Display`] writes; anything else is refused.
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let number = |from: usize, to: usize| -> Result<u64, ParseTimestampError> {
            let digits = text.get(from..to).ok_or(ParseTimestampError)?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(ParseTimestampError);
            }
            digits.parse().map_err(|_| ParseTimestampError)
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second, ms) = (
            number(11, 13)?,
            number(14, 16)?,
            number(17, 19)?,
            number(20, 23)?,
        );
        let ranges = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !ranges {
            return Err(ParseTimestampError);
        }
        let of_day = hour
            .saturating_mul(3_600_000)
            .saturating_add(minute.saturating_mul(60_000))
            .saturating_add(second.saturating_mul(1000))
            .saturating_add(ms);
        let time = Self::from_unix_ms(
            days_from_civil(year, month, day)
                .saturating_mul(MS_PER_DAY)
                .saturating_add(of_day),
        );
        // Writing it again catches wrong separators and days that the month does not have.
        if time.to_string() == text {
            Ok(time)
        } else {
            Err(ParseTimestampError)
        }
    }
}

impl TryFrom<String> for Timestamp {
    type Error = ParseTimestampError;

    fn try_from(text: String) -> Result<Self, ParseTimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> String {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times_have_their_known_text() {
        assert_eq!(
            Timestamp::from_unix_ms(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(951_782_399_999).to_string(),
            "2000-02-28T23:59:59.999Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(951_782_400_000).to_string(),
            "2000-02-29T00:00:00.000Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(1_768_662_720_000).to_string(),
            "2026-01-17T15:12:00.000Z"
        );
        assert_eq!(
            Timestamp::from_unix_ms(u64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn text_that_is_not_canonical_is_refused() {
        for text in [
            "2026-01-17T15:12:00Z",
            "2026-02-30T00:00:00.000Z",
            "2026-01-17 15:12:00.000Z",
            "2026-01-17T15:12:00.000+00:00",
            "+026-01-17T15:12:00.000Z",
            "",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(ms in 0..=MAX_UNIX_MS) {
            let time = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }
    }
}
