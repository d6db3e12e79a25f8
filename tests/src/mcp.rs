//! A small client of the Model Context Protocol over standard input and output.

use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Call, Finished, Started, until};

/// How long an answer may take that no person decides.
const SOON: Duration = Duration::from_secs(60);

/// A conversation with a server.
#[derive(Debug)]
pub struct Mcp {
    server: Started,
    read: usize,
    last: u64,
    /// Messages that were no answers: requests and notifications of the server's.
    pub others: Vec<Value>,
}

impl Mcp {
    /// Starts a server and begins with it.
    ///
    /// # Panics
    /// When it does not begin.
    #[must_use]
    pub fn start(call: Call, revision: &str) -> Self {
        let mut mcp = Self::connect(call);
        let begun = mcp.request(
            "initialize",
            &json!({
                "protocolVersion": revision,
                "capabilities": {"roots": {"listChanged": true}, "elicitation": {}},
                "clientInfo": {"name": "tests", "version": "1"},
            }),
        );
        assert_eq!(begun["result"]["protocolVersion"], revision, "{begun}");
        mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        mcp
    }

    /// Starts a server and says nothing yet.
    #[must_use]
    pub fn connect(call: Call) -> Self {
        Self {
            server: call.open_input().start(),
            read: 0,
            last: 0,
            others: Vec::new(),
        }
    }

    /// Sends one message.
    pub fn send(&mut self, message: &Value) {
        self.server.write(format!("{message}\n").as_bytes());
    }

    /// Sends a request and gives its number.
    pub fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Waits for the answer to a request.
    ///
    /// # Panics
    /// When it does not come, or something else does.
    pub fn answer(&mut self, id: u64, patience: Duration) -> Value {
        let Self {
            server,
            read,
            others,
            ..
        } = self;
        until("an answer of the server", patience, || {
            let output = server.output();
            let whole = output.rfind('\n').map_or("", |end| &output[..end]);
            let lines: Vec<&str> = whole.split('\n').skip(*read).collect();
            for line in lines.into_iter().filter(|line| !line.is_empty()) {
                *read += 1;
                let message: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if message["id"] == id && message.get("method").is_none() {
                    return Some(message);
                }
                others.push(message);
            }
            assert!(server.is_running(), "the server ended: {}", server.errors());
            None
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Panics
    /// As [`Mcp::answer`].
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id, SOON)
    }

    /// Calls a tool and gives its result.
    ///
    /// # Panics
    /// When the answer is no result.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        let result = answer.get("result");
        result
            .unwrap_or_else(|| panic!("no result: {answer}"))
            .clone()
    }

    /// Calls a tool that does what it is asked, and gives the text of its result.
    ///
    /// # Panics
    /// When it is an error.
    #[track_caller]
    pub fn did(&mut self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool} {arguments}: {result}");
        text(&result)
    }

    /// Calls a tool that refuses, and gives what it says.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn refused(&mut self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
        text(&result)
    }

    /// What the server wrote on standard error.
    #[must_use]
    pub fn errors(&self) -> String {
        self.server.errors()
    }

    /// Ends the conversation as clients do, by closing the server's input.
    ///
    /// # Panics
    /// When the server does not end.
    pub fn finish(mut self) -> Finished {
        self.server.end_input();
        self.server.finish(SOON)
    }
}

/// The text of a result.
#[must_use]
pub fn text(result: &Value) -> String {
    let blocks = result["content"].as_array().cloned().unwrap_or_default();
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect();
    texts.join("\n")
}
