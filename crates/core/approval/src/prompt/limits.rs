//! Limits, sizes and times in words with units.

use serde_json::Value;
use valetkey_model::Constraints;

use crate::show::{SafeText, visible};

/// Each limit in words. A limit that has no words here is shown by its name and value: none is ever left out.
pub(super) fn of(constraints: &Constraints) -> Vec<SafeText> {
    let Ok(Value::Object(members)) = serde_json::to_value(constraints) else {
        return vec![SafeText::words("limits that cannot be shown: answer no")];
    };
    members
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| words(name, value))
        .collect()
}

fn words(name: &str, value: &Value) -> SafeText {
    let text = match (name, value) {
        ("max_bytes", Value::Number(_)) => format!("reads at most {} in all", bytes_of(value)),
        ("max_write_bytes", Value::Number(_)) => {
            format!("writes at most {} in all", bytes_of(value))
        }
        ("max_files", Value::Number(count)) => format!("at most {count} different files"),
        ("max_operations", Value::Number(count)) => format!("at most {count} operations"),
        ("max_rows", Value::Number(count)) => format!("at most {count} rows"),
        ("single_use", Value::Bool(true)) => "one use only".to_owned(),
        ("allow_macros", Value::Bool(false)) => "no document with macros".to_owned(),
        ("allow_macros", Value::Bool(true)) => "documents with macros, too".to_owned(),
        ("media_types", Value::Array(types)) => format!("only of the types {}", listed(types)),
        ("methods", Value::Array(methods)) => format!("only by the methods {}", listed(methods)),
        ("redact", Value::Array(kinds)) => format!("with {} taken out", listed(kinds)),
        ("not_before", Value::String(time)) => format!("not before {}", visible(time)),
        (name, value) => visible(&format!("{name}: {value}")),
    };
    SafeText::words(text)
}

fn listed(values: &[Value]) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            SafeText::quoted(text.as_bytes()).to_string()
        })
        .collect();
    quoted.join(", ")
}

fn bytes_of(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(|| visible(&value.to_string()), size)
}

/// A number of bytes, exact.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| bytes >= *unit) else {
        return counted(bytes, "byte");
    };
    let whole = bytes.checked_div(*unit).unwrap_or(0);
    let rest = bytes.checked_rem(*unit).unwrap_or(0);
    if rest == 0 {
        return format!("{whole} {name}");
    }
    let tenth = rest.saturating_mul(10).checked_div(*unit).unwrap_or(0);
    format!("{whole}.{tenth} {name} ({bytes} bytes)")
}

/// A time span, exact.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0 => "no time".to_owned(),
        s if s.is_multiple_of(3600) => counted(s / 3600, "hour"),
        s if s.is_multiple_of(60) => counted(s / 60, "minute"),
        s => counted(s, "second"),
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
