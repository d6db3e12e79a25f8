//! The text forms of the model's types as regular expressions, for readers of schemas.
//!
//! What a parser takes, its expression matches. The other way round holds as far as an expression can say it: that an escape is the one
//! spelling of its byte, that a day is one of its month, or that a number ends no host is the parser's to refuse. The expressions keep
//! to what JSON Schema recommends of ECMA-262: no look-around, no names, no classes beyond ranges.

/// The characters of a ULID in Crockford's base 32; the first says at most 7, so that it fits 128 bits.
const ULID: &str = "[0-7][0-9A-HJKMNP-TV-Z]{25}";
/// A tool's server, a tool, or a part of a secret's path: at most 128 characters, and not one or two dots.
const NAME: &str = r"(?:[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,127}|\.[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,126}|\.\.[A-Za-z0-9_.+-]{1,126})";
/// A port without leading zeros.
const PORT: &str = "[1-9][0-9]{0,4}";
/// A name, an IPv4 address, or an IPv6 address in brackets.
const HOST: &str = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*|\[[0-9a-f:.]{2,45}\])";

/// One element of a path's segment that is neither `*` nor `.`: a plain character, or an escape of a byte that has no plain form.
const PATH_UNIT: &str = r"(?:[!$&'()+,\-0-9:;=@A-Z\[\]_a-z~]|[^\x00-\x7F\x80-\xA0\xAD\u061C\u115F\u1160\u1680\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFD]|%(?:0[1-9A-F]|1[0-9A-F]|2[0235A]|3[CEF]|5[CE]|60|7[BCDF]|[89A-F][0-9A-F]))";
/// The same in a URL's path: ASCII alone, and no escape of a slash.
const URL_UNIT: &str = r"(?:[!$&'()+,\-0-9:;=@A-Z_a-z~]|%(?:0[1-9A-F]|1[0-9A-F]|2[0235A]|3[CEF]|5[BDE]|60|7[BCDF]|[89A-F][0-9A-F]))";

/// An id with this prefix.
pub(crate) fn id(prefix: &str) -> String {
    format!("^{prefix}-{ULID}$")
}

/// An agent's name.
pub(crate) fn agent() -> String {
    "^[A-Za-z0-9._@+-]{1,128}$".to_owned()
}

/// A SHA-256 digest.
pub(crate) fn digest() -> String {
    "^sha256:[0-9a-f]{64}$".to_owned()
}

/// A time in UTC, to the millisecond.
pub(crate) fn timestamp() -> String {
    r"^(?:19[7-9][0-9]|[2-9][0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
        .to_owned()
}

/// An HTTP method; CONNECT and TRACE are refused beside it.
pub(crate) fn method() -> String {
    "^[A-Z][A-Z-]{0,23}$".to_owned()
}

/// The pattern of a ticket's number.
pub(crate) fn ticket() -> String {
    r"^\^(?:[A-Za-z0-9_/#?*+{},-]|\\\.|\[[A-Za-z0-9_/#.-]+\])+\$$".to_owned()
}

/// A resource of any kind.
pub(crate) fn resource() -> String {
    let path = path(PATH_UNIT);
    let url = self::path(URL_UNIT);
    let word = "[A-Za-z_][A-Za-z0-9_]*";
    let element = "[A-Za-z_-][A-Za-z0-9_-]*";
    let kinds = [
        format!("file:{path}"),
        format!("exec:{path}(?:#sha256:[0-9a-f]{{64}})?"),
        format!("https://{HOST}(?::{PORT})?{url}"),
        format!("tcp:{HOST}:{PORT}"),
        format!("tool:{NAME}/{NAME}"),
        format!("secret:{NAME}(?:/{NAME})*"),
        format!(r"bus:{element}(?:\.{element})+/(?:{word}(?:\.{word})+\.)?{word}"),
    ];
    format!("^(?:{})$", kinds.join("|"))
}

/// An absolute path or pattern: no empty segment, none that is `.` or `..`, `**` only as a whole one.
fn path(unit: &str) -> String {
    // Elements, each followed by one star or none: no two stars stand side by side.
    let rest = format!(r"(?:(?:{unit}|\.)\*?)*");
    let segment = [
        r"\*\*".to_owned(),
        format!(r"\*{rest}"),
        format!(r"{unit}\*?{rest}"),
        format!(r"\.\*{rest}"),
        format!(r"\.{unit}\*?{rest}"),
        format!(r"\.\.\*{rest}"),
        format!(r"\.\.(?:{unit}|\.)\*?{rest}"),
    ]
    .join("|");
    format!("(?:/|(?:/(?:{segment}))+)")
}

#[cfg(test)]
mod tests;
