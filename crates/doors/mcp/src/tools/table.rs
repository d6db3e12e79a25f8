//! What clients and models are told of each tool: its words, its arguments, its result.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

/// What a tool does to the world.
#[derive(Clone, Copy)]
enum Effect {
    Reads,
    /// Adds, and does the same again if called again.
    Adds,
    /// Replaces; called again it comes to the same.
    Replaces,
    /// Changes each time that it is called.
    Changes,
}

/// Every tool.
pub(super) fn tools() -> Vec<Tool> {
    let mut tools = reading();
    tools.extend(writing());
    tools.extend(listing());
    tools.extend(asking());
    tools
}

fn tool(
    name: &'static str,
    title: &str,
    description: &'static str,
    effect: Effect,
    properties: Value,
    required: &[&str],
) -> Tool {
    let hints = ToolAnnotations::new().open_world(false);
    let hints = match effect {
        Effect::Reads => hints.read_only(true),
        Effect::Adds => hints.read_only(false).idempotent(true).destructive(false),
        Effect::Replaces => hints.read_only(false).idempotent(true).destructive(true),
        Effect::Changes => hints.read_only(false).idempotent(false).destructive(true),
    };
    let input = json!({"type": "object", "properties": properties, "required": required});
    // A call that is not done yet says so in `content` too, with `pending` and `handle` beside it.
    let content = json!({"type": ["string", "array"]});
    let output =
        json!({"type": "object", "properties": {"content": content}, "required": ["content"]});
    Tool::new_with_raw(name, Some(description.into()), object(input))
        .with_title(title)
        .with_raw_output_schema(object(output))
        .with_annotations(hints)
}

fn object(value: Value) -> Arc<JsonObject> {
    Arc::new(serde_json::from_value(value).unwrap_or_default())
}

fn path() -> Value {
    json!({"path": {"type": "string"}})
}

fn reading() -> Vec<Tool> {
    let lines = json!({
        "path": {"type": "string"},
        "tail": {"type": "number", "description": "If provided, returns only the last N lines of the file"},
        "head": {"type": "number", "description": "If provided, returns only the first N lines of the file"},
    });
    let paths = json!({"paths": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "The files to read"}});
    vec![
        tool(
            "read_file",
            "Read File (Deprecated)",
            "Read a file as text. Deprecated: use read_text_file instead.",
            Effect::Reads,
            lines.clone(),
            &["path"],
        ),
        tool(
            "read_text_file",
            "Read Text File",
            "Read a file as text, whole or, with `head` or `tail`, its first or last N lines.",
            Effect::Reads,
            lines,
            &["path"],
        ),
        tool(
            "read_media_file",
            "Read Media File",
            "Read a file as base64 with its media type: images and audio as such, anything else as an embedded resource.",
            Effect::Reads,
            path(),
            &["path"],
        ),
        tool(
            "read_multiple_files",
            "Read Multiple Files",
            "Read several files as text, each after its path. One that cannot be read does not stop the others.",
            Effect::Reads,
            paths,
            &["paths"],
        ),
        tool(
            "get_file_info",
            "Get File Info",
            "Size, times, permissions and kind of a file or directory.",
            Effect::Reads,
            path(),
            &["path"],
        ),
    ]
}

fn writing() -> Vec<Tool> {
    let edits = json!({
        "path": {"type": "string"},
        "edits": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "oldText": {"type": "string", "description": "Text to search for - must match exactly"},
                "newText": {"type": "string", "description": "Text to replace with"},
            },
            "required": ["oldText", "newText"],
        }},
        "dryRun": {"type": "boolean", "default": false, "description": "Preview changes using git-style diff format"},
    });
    vec![
        tool(
            "write_file",
            "Write File",
            "Make a file, or replace all of its content without warning.",
            Effect::Replaces,
            json!({"path": {"type": "string"}, "content": {"type": "string"}}),
            &["path", "content"],
        ),
        tool(
            "edit_file",
            "Edit File",
            "Replace passages of a text file, one after another; answers with a diff. With `dryRun` nothing is written.",
            Effect::Changes,
            edits,
            &["path", "edits"],
        ),
        tool(
            "create_directory",
            "Create Directory",
            "Make a directory and those above it; one that is there already is no error.",
            Effect::Adds,
            path(),
            &["path"],
        ),
        tool(
            "move_file",
            "Move File",
            "Move or rename a file or directory. Fails if the destination exists.",
            Effect::Changes,
            json!({"source": {"type": "string"}, "destination": {"type": "string"}}),
            &["source", "destination"],
        ),
    ]
}

fn listing() -> Vec<Tool> {
    let exclude = json!({"type": "array", "items": {"type": "string"}, "default": []});
    vec![
        tool(
            "list_directory",
            "List Directory",
            "The names in a directory, each after [FILE] or [DIR].",
            Effect::Reads,
            path(),
            &["path"],
        ),
        tool(
            "list_directory_with_sizes",
            "List Directory with Sizes",
            "The names in a directory with their sizes, and the sum.",
            Effect::Reads,
            json!({
                "path": {"type": "string"},
                "sortBy": {"type": "string", "enum": ["name", "size"], "default": "name", "description": "Sort entries by name or size"},
            }),
            &["path"],
        ),
        tool(
            "directory_tree",
            "Directory Tree",
            "All below a directory as JSON: `name`, `type`, and `children` of directories; `refused` where one may not be listed.",
            Effect::Reads,
            json!({"path": {"type": "string"}, "excludePatterns": exclude}),
            &["path"],
        ),
        tool(
            "search_files",
            "Search Files",
            "Full paths of everything below a directory whose relative path a pattern matches: `*.md` in the directory itself, `**/*.md` anywhere below.",
            Effect::Reads,
            json!({"path": {"type": "string"}, "pattern": {"type": "string"}, "excludePatterns": exclude}),
            &["path", "pattern"],
        ),
        tool(
            "list_allowed_directories",
            "List Allowed Directories",
            "The directories and files that you were given. `list_access` says more exactly what may be done there.",
            Effect::Reads,
            json!({}),
            &[],
        ),
    ]
}

fn asking() -> Vec<Tool> {
    let request = json!({
        "path": {"type": "string", "description": "A file or directory"},
        "tree": {"type": "boolean", "default": false, "description": "The directory `path` with everything below"},
        "resource": {"type": "string", "description": "In place of `path`, for experts: a resource such as file:/srv/**/*.csv"},
        "actions": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": [
            "read", "write", "append", "create", "delete", "execute", "list", "metadata", "connect", "call", "use",
        ]}},
        "reason": {"type": "string", "description": "Why the task needs it, in a true sentence; a person reads it"},
        "limits": {"type": "object", "description": "Limits that you offer to keep, such as {\"max_bytes\":100000}"},
    });
    let rows = json!({
        "path": {"type": "string"},
        "sheet": {"type": "string", "description": "The sheet's name"},
        "rows": {"type": "array", "items": {"type": "array"}, "description": "Rows of cells: null, booleans, numbers, text; text is never a formula"},
        "reason": {"type": "string", "description": "Why; a person may read it"},
    });
    vec![
        tool(
            "request_access",
            "Request Access",
            "Ask for access to something before you use it. Policy decides, and may ask a person; ask for no more than the task needs.",
            Effect::Adds,
            request,
            &["actions", "reason"],
        ),
        tool(
            "list_access",
            "List Access",
            "What you may do at this moment, until when, and within which limits.",
            Effect::Reads,
            json!({}),
            &[],
        ),
        tool(
            "release_access",
            "Release Access",
            "Give access back that is not needed any more, by its capability_id.",
            Effect::Adds,
            json!({"capability_id": {"type": "string"}}),
            &["capability_id"],
        ),
        tool(
            "explain_denial",
            "Explain Denial",
            "Why something was refused lately, whether asking can help, and how.",
            Effect::Reads,
            json!({"path": {"type": "string", "description": "Refusals of this path alone"}}),
            &[],
        ),
        tool(
            "append_rows",
            "Append Rows",
            "Append rows to a sheet of a workbook (.xlsx); everything else in it stays as it is.",
            Effect::Changes,
            rows,
            &["path", "sheet", "rows"],
        ),
        tool(
            super::AWAIT_RESULT,
            "Await Result",
            "Go on waiting for a call that answered that it is pending, by its handle.",
            Effect::Reads,
            json!({"handle": {"type": "string"}}),
            &["handle"],
        ),
    ]
}
