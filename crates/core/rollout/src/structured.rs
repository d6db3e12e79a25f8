//! The hash of one file of a bundle, as OPA takes it: of text its bytes, of JSON its content, whatever its spaces and order.

use std::collections::BTreeMap;

use valetkey_model::Digest;

/// How deep JSON may be nested: as deep as every other reader here takes it.
const MAX_DEPTH: usize = 128;

/// The SHA-256 of a file as OPA's signatures have it.
///
/// # Errors
/// When a file that must be JSON is none, names a member twice, or is nested too deep.
pub(crate) fn hash(path: &str, content: &[u8]) -> Result<Digest, String> {
    if !is_structured(path) {
        return Ok(Digest::of(content));
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let mut canonical = String::with_capacity(content.len());
    Reader::read(text)?.write(&mut canonical);
    Ok(Digest::of(canonical.as_bytes()))
}

/// The files that OPA hashes by their content.
fn is_structured(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "data.json" | ".manifest")
}

/// JSON with the text of its numbers, which are hashed as they were written.
#[derive(Debug, PartialEq)]
enum Json<'a> {
    Word(&'a str),
    Text(String),
    List(Vec<Self>),
    Members(BTreeMap<String, Self>),
}

impl Json<'_> {
    /// Members in the order of their names' bytes, no spaces.
    fn write(&self, out: &mut String) {
        match self {
            Self::Word(word) => out.push_str(word),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Members(members) => {
                out.push('{');
                for (at, (name, member)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    member.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// As Go's encoder writes text without its care for HTML: two line separators are escaped beside what has to be.
fn write_text(text: &str, out: &mut String) {
    let quoted = serde_json::Value::from(text).to_string();
    for c in quoted.chars() {
        match c {
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
}

/// A reader that keeps numbers as text.
struct Reader<'a> {
    left: &'a str,
}

impl<'a> Reader<'a> {
    fn read(text: &'a str) -> Result<Json<'a>, String> {
        let mut reader = Self { left: text };
        let value = reader.value(0)?;
        reader.skip_spaces();
        if reader.left.is_empty() {
            Ok(value)
        } else {
            Err("there is something behind its JSON".to_owned())
        }
    }

    fn skip_spaces(&mut self) {
        self.left = self.left.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes a sign if it is next.
    fn takes(&mut self, sign: char) -> bool {
        self.skip_spaces();
        match self.left.strip_prefix(sign) {
            Some(rest) => {
                self.left = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, String> {
        if depth > MAX_DEPTH {
            return Err("its JSON is nested too deep".to_owned());
        }
        self.skip_spaces();
        if self.takes('{') {
            return self.members(depth);
        }
        if self.takes('[') {
            return self.list(depth);
        }
        if self.left.starts_with('"') {
            return Ok(Json::Text(self.text()?));
        }
        let end = self
            .left
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(self.left.len());
        let (word, rest) = self.left.split_at(end);
        // One reader of numbers: what it does not take is none.
        serde_json::from_str::<serde_json::Value>(word).map_err(|_| not_json())?;
        self.left = rest;
        Ok(Json::Word(word))
    }

    fn text(&mut self) -> Result<String, String> {
        self.skip_spaces();
        let body = self.left.strip_prefix('"').ok_or_else(not_json)?;
        let mut escaped = false;
        let end = body.char_indices().find_map(|(at, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at)
        });
        // Both quotes are one byte each.
        let end = end.ok_or_else(not_json)?.saturating_add(2);
        let (quoted, rest) = self.left.split_at_checked(end).ok_or_else(not_json)?;
        self.left = rest;
        serde_json::from_str(quoted).map_err(|_| not_json())
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, String> {
        let mut items = Vec::new();
        if self.takes(']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth.saturating_add(1))?);
            if self.takes(']') {
                return Ok(Json::List(items));
            }
            if !self.takes(',') {
                return Err(not_json());
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<Json<'a>, String> {
        let mut members = BTreeMap::new();
        if self.takes('}') {
            return Ok(Json::Members(members));
        }
        loop {
            let name = self.text()?;
            if !self.takes(':') {
                return Err(not_json());
            }
            let member = self.value(depth.saturating_add(1))?;
            if members.insert(name.clone(), member).is_some() {
                return Err(format!("its JSON has the member `{name}` twice"));
            }
            if self.takes('}') {
                return Ok(Json::Members(members));
            }
            if !self.takes(',') {
                return Err(not_json());
            }
        }
    }
}

fn not_json() -> String {
    "it is no JSON".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, String> {
        let mut out = String::new();
        Reader::read(text)?.write(&mut out);
        Ok(out)
    }

    #[test]
    fn json_is_hashed_by_its_content_and_numbers_as_they_were_written() {
        assert_eq!(
            canonical(" { \"b\" : [1.0, 1e2 ,-0,true,null], \"a\":\"\\u0041\\n<\\u2028\" } "),
            Ok(r#"{"a":"A\n<\u2028","b":[1.0,1e2,-0,true,null]}"#.to_owned())
        );
        let (one, other) = (br#"{"a":1,"b":{}}"#, b"{\"b\":{ },\n\"a\":1}");
        assert_eq!(hash("x/data.json", one), hash("x/data.json", other));
        assert_eq!(hash(".manifest", one), hash(".manifest", other));
        assert_ne!(hash("x.rego", one), hash("x.rego", other));
        // SHA-256 of `{"a":1,"b":{}}`, taken with another program.
        assert_eq!(
            hash("data.json", other).unwrap(),
            Digest::of(br#"{"a":1,"b":{}}"#)
        );
    }

    #[test]
    fn what_is_no_json_has_no_hash() {
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,\"a\":1}",
            "01",
            "nul",
            "\"",
            "\"\\\"",
            "1 2",
            "{a:1}",
            "[1 2]",
            "\"\u{1}\"",
            "+1",
            ".5",
        ] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
        assert!(canonical(&"[".repeat(100_000)).is_err());
    }
}
