//! What is changed in an agent's settings and instructions: the text before, and the text after.

use std::path::Path;

use super::json;
use crate::agents::profile::Install;

/// The name under which the server stands in an agent's settings.
pub(super) const SERVER: &str = "valetkey";
/// What stands around the instructions.
const BEGIN: &str = "<!-- valetkey: begin -->";
const END: &str = "<!-- valetkey: end -->";
/// What an agent is told.
const INSTRUCTIONS: &str = include_str!("../../../../../policies/agents/instructions.md");

/// Settings with the server in them, or without it. Nothing if they cannot be changed without harm.
pub(super) fn settings(
    file: &Path,
    text: &str,
    install: &Install,
    wanted: bool,
) -> Result<String, String> {
    if file.extension().is_some_and(|end| end == "toml") {
        return toml(text, install, wanted);
    }
    let under = &install.under;
    if !wanted {
        // Not there is as it should be.
        return Ok(json::remove(text, under, SERVER).unwrap_or_else(|| text.to_owned()));
    }
    let server =
        serde_json::to_string_pretty(&install.server).map_err(|error| error.to_string())?;
    json::set(text, under, SERVER, &server)
        .ok_or_else(|| format!("it is not JSON with at most one `{under}` that is an object"))
}

fn toml(text: &str, install: &Install, wanted: bool) -> Result<String, String> {
    let mut document: toml_edit::DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let under = install.under.as_str();
    let is_there = document
        .get(under)
        .and_then(|servers| servers.get(SERVER))
        .is_some();
    if !wanted {
        if !is_there {
            return Ok(text.to_owned());
        }
        let servers = document
            .get_mut(under)
            .and_then(toml_edit::Item::as_table_like_mut);
        let servers = servers.ok_or_else(|| format!("`{under}` is no table"))?;
        servers.remove(SERVER);
        if servers.is_empty() {
            document.remove(under);
        }
        return Ok(document.to_string());
    }
    let mut server =
        toml_edit::ser::to_document(&install.server).map_err(|error| error.to_string())?;
    let server = std::mem::take(server.as_table_mut());
    let servers = document.entry(under).or_insert_with(|| {
        let mut servers = toml_edit::Table::new();
        servers.set_implicit(true);
        toml_edit::Item::Table(servers)
    });
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| format!("`{under}` is no table"))?;
    if servers
        .get(SERVER)
        .is_some_and(|there| is_same(there, &server))
    {
        return Ok(text.to_owned());
    }
    servers.insert(SERVER, toml_edit::Item::Table(server));
    Ok(document.to_string())
}

/// Whether a table says the same, however it is written.
fn is_same(there: &toml_edit::Item, wanted: &toml_edit::Table) -> bool {
    let plain = |text: String| toml_edit::de::from_str::<serde_json::Value>(&text).ok();
    let there = there.as_table_like().map(|table| {
        let lines = table
            .iter()
            .map(|(key, item)| format!("{key} = {}\n", item.to_string().trim()));
        lines.collect::<String>()
    });
    there
        .and_then(plain)
        .is_some_and(|there| plain(wanted.to_string()) == Some(there))
}

/// Instructions with what an agent is to know of Valetkey at their end, or without it.
pub(super) fn instructions(text: &str, wanted: bool) -> Result<String, String> {
    let begin = text.find(BEGIN);
    let end = begin.and_then(|begin| {
        let rest = text.get(begin..)?;
        rest.find(END)?.checked_add(begin)?.checked_add(END.len())
    });
    let (before, after) = match (begin, end) {
        (None, _) => (text, ""),
        (Some(begin), Some(end)) => (
            text.get(..begin).unwrap_or_default(),
            text.get(end..).unwrap_or_default(),
        ),
        (Some(_), None) => return Err(format!("`{BEGIN}` has no `{END}`")),
    };
    if !wanted {
        if begin.is_none() {
            return Ok(text.to_owned());
        }
        let before = before.strip_suffix('\n').unwrap_or(before);
        return Ok([before, after.strip_prefix('\n').unwrap_or(after)].concat());
    }
    let block = format!("{BEGIN}\n{}\n{END}", INSTRUCTIONS.trim_end());
    if begin.is_some() {
        return Ok([before, &block, after].concat());
    }
    let gap = if before.is_empty() { "" } else { "\n" };
    Ok([before, gap, &block, "\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codex() -> Install {
        Install {
            settings: ".codex/config.toml".to_owned(),
            under: "mcp_servers".to_owned(),
            server: serde_json::json!({"command": "valetkey", "args": ["mcp", "serve"]}),
            instructions: None,
        }
    }

    #[test]
    fn toml_keeps_its_form_and_comes_back() {
        let file = Path::new("config.toml");
        for text in [
            "",
            "# mine\nmodel = \"x\"   # the best\n\n[mcp_servers.other]\ncommand = \"y\"\n",
            "mcp_servers = { other = { command = 'y' } }\n",
        ] {
            let set = settings(file, text, &codex(), true).unwrap();
            assert_eq!(settings(file, &set, &codex(), true).unwrap(), set);
            let value: serde_json::Value = toml_edit::de::from_str(&set).unwrap();
            assert_eq!(
                value["mcp_servers"]["valetkey"]["args"][1], "serve",
                "{set}"
            );
            assert_eq!(
                settings(file, &set, &codex(), false).unwrap().trim_end(),
                text.trim_end()
            );
        }
        assert!(settings(file, "mcp_servers = 1", &codex(), true).is_err());
        assert!(settings(file, "= x", &codex(), true).is_err());
    }

    #[test]
    fn instructions_stand_at_the_end_once_and_come_back() {
        for text in ["", "# Mine\n", "# Mine\n\nno line break at the end"] {
            let set = instructions(text, true).unwrap();
            assert!(
                set.starts_with(text) && set.contains("denials.json"),
                "{set}"
            );
            assert_eq!(instructions(&set, true).unwrap(), set);
            assert_eq!(instructions(&set, false).unwrap(), text);
            let later = format!("{set}\nadded later\n");
            assert!(
                instructions(&later, false)
                    .unwrap()
                    .ends_with("\nadded later\n")
            );
        }
        assert!(instructions(BEGIN, true).is_err());
    }
}
