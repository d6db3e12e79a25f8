//! The tools: their names, what they take, and which function does them.

mod ask;
mod edit;
mod files;
mod listing;
mod said;
mod table;

use rmcp::model::{ContentBlock, Tool};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fail::Fail;

pub(crate) use said::{is_visible, may_be_refused, not_granted, words};

/// The tool that goes on waiting for a call; the server does it itself.
pub(crate) const AWAIT_RESULT: &str = "await_result";

/// What a tool did.
#[derive(Debug)]
pub(crate) struct Done {
    /// For a model.
    pub(crate) content: Vec<ContentBlock>,
    /// For a program.
    pub(crate) structured: Value,
}

impl Done {
    /// One text, in both forms.
    fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            content: vec![ContentBlock::text(text.clone())],
            structured: json!({"content": text}),
        }
    }

    /// A text with further members for programs.
    fn with(text: impl Into<String>, name: &str, value: Value) -> Self {
        let mut done = Self::text(text);
        if let Some(members) = done.structured.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        done
    }
}

type Act = fn(Value) -> Result<Done, Fail>;

/// What is done under each name. The files' are those of the reference file-system server.
const ACTS: [(&str, Act); 20] = [
    ("read_file", files::read_text),
    ("read_text_file", files::read_text),
    ("read_media_file", files::read_media),
    ("read_multiple_files", files::read_several),
    ("write_file", files::write),
    ("edit_file", edit::edit),
    ("create_directory", files::make_directory),
    ("list_directory", listing::list),
    ("list_directory_with_sizes", listing::list_with_sizes),
    ("directory_tree", listing::tree),
    ("move_file", files::move_to),
    ("search_files", listing::search),
    ("get_file_info", files::information),
    ("list_allowed_directories", ask::allowed_directories),
    ("request_access", ask::request),
    ("list_access", ask::list),
    ("release_access", ask::release),
    ("explain_denial", ask::explain),
    ("append_rows", ask::append_rows),
    (AWAIT_RESULT, nowhere),
];

/// Every tool, as a client is told of it.
pub(crate) fn list() -> Vec<Tool> {
    table::tools()
}

/// Whether there is a tool of this name.
pub(crate) fn is_known(name: &str) -> bool {
    ACTS.iter().any(|(own, _)| *own == name)
}

/// Does what the tool does; may wait for a person.
pub(crate) fn run(name: &str, arguments: Value) -> Result<Done, Fail> {
    let act = ACTS.iter().find(|(own, _)| *own == name);
    let (_, act) = act.ok_or_else(|| Fail::said(format!("Tool {name} not found")))?;
    act(arguments).map_err(|fail| match fail {
        Fail::Said(why) if why.starts_with(BAD) => {
            Fail::Said(why.replacen(BAD, &format!("Invalid arguments for tool {name}: "), 1))
        }
        other @ (Fail::Said(_) | Fail::System { .. } | Fail::Door(_)) => other,
    })
}

/// Begins what is said of arguments, until the tool's name is put in.
const BAD: &str = "arguments: ";

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, Fail> {
    serde_json::from_value(arguments).map_err(|error| Fail::said(format!("{BAD}{error}")))
}

fn nowhere(_: Value) -> Result<Done, Fail> {
    Err(Fail::said("this call is the server's own"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_told_is_what_is_done() {
        let told: BTreeSet<String> = list().iter().map(|tool| tool.name.to_string()).collect();
        let done: BTreeSet<String> = ACTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(told, done);
    }

    #[test]
    fn wrong_arguments_are_said_with_the_tools_name() {
        let fail = run("write_file", json!({"path": "/a"})).expect_err("refused");
        assert!(
            fail.line()
                .starts_with("Invalid arguments for tool write_file: "),
            "{}",
            fail.line()
        );
        assert!(run("read_multiple_files", json!({"paths": []})).is_err());
    }
}
