//! One cell's value, as plain JSON and as a typed value.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest integer up to which a spreadsheet's numbers (IEEE 754 doubles) are exact: 2^53.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// The value of one cell. Text is always text: it is never read as a formula.
#[derive(Clone, PartialEq)]
pub enum Cell {
    /// No cell at all.
    Null,
    /// A boolean.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// Text, written as an inline string.
    Text(String),
}

impl fmt::Debug for Cell {
    /// Shows the kind only: what a person writes into a ledger does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bool(_) => f.write_str("Bool(…)"),
            Self::Number(_) => f.write_str("Number(…)"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
        }
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Number(f64::from(value))
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// The shortest decimal text that reads back as the same double, without a needless fraction.
pub(crate) fn number_text(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        // Adding zero turns -0 into 0, which is what a spreadsheet shows.
        format!("{:.0}", value + 0.0)
    } else {
        format!("{value:?}")
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Text(text) => serializer.serialize_str(text),
            // A whole number leaves as the integer it came in as.
            Self::Number(value) => match number_text(*value).parse::<i64>() {
                Ok(integer) => serializer.serialize_i64(integer),
                Err(_) => serializer.serialize_f64(*value),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null => Ok(Self::Null),
            serde_json::Value::Bool(value) => Ok(Self::Bool(value)),
            serde_json::Value::String(text) => Ok(Self::Text(text)),
            serde_json::Value::Number(number) => exact_number(&number).map_err(D::Error::custom),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Err(D::Error::custom(
                "a cell is null, a boolean, a number or a string, not a list or an object",
            )),
        }
    }
}

/// Refuses what a spreadsheet would silently round, such as a card or account number of 17 digits.
fn exact_number(number: &serde_json::Number) -> Result<Cell, &'static str> {
    let magnitude = number
        .as_u64()
        .or_else(|| number.as_i64().map(i64::unsigned_abs));
    if magnitude.is_some_and(|magnitude| magnitude > MAX_EXACT_INTEGER) {
        return Err(
            "an integer beyond 2^53 would be rounded by a spreadsheet: send it as a string",
        );
    }
    match number.as_f64() {
        Some(value) if value.is_finite() => Ok(Cell::Number(value)),
        Some(_) | None => Err("a number is too large for a spreadsheet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_goes_in_and_comes_out_unchanged() {
        let text = r#"[null,true,-3,0.1,1e300,"=1+1",9007199254740992]"#;
        let cells: Vec<Cell> = serde_json::from_str(text).unwrap();
        assert_eq!(cells[5], Cell::from("=1+1"));
        let again: Vec<Cell> =
            serde_json::from_str(&serde_json::to_string(&cells).unwrap()).unwrap();
        assert_eq!(cells, again);
        assert!(
            serde_json::to_string(&cells)
                .unwrap()
                .starts_with("[null,true,-3,0.1,")
        );
    }

    #[test]
    fn what_a_spreadsheet_would_round_or_cannot_hold_is_refused() {
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "1e999",
            "[1]",
            "{}",
        ] {
            assert!(
                serde_json::from_str::<Cell>(text).is_err(),
                "{text} was accepted"
            );
        }
    }

    #[test]
    fn numbers_have_their_shortest_exact_text() {
        for (value, text) in [
            (5.0, "5"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (-2.5e-7, "-2.5e-7"),
        ] {
            assert_eq!(number_text(value), text);
        }
    }
}
