//! The server: what a client hears of itself, and every call on a thread that may wait.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::access;
use crate::fail::Fail;
use crate::job::{Jobs, Listener, refusal};
use crate::tools::{self, Done};

/// What a model is told of this server.
const INSTRUCTIONS: &str = "Files and access in a Valetkey cell. You see the files that you were given; what is not there for you may exist. \
A call on a file about which policy wants a person asked waits for the answer; `await_result` goes on waiting. \
Ask with `request_access` before you need something, with a true reason in a sentence: a person reads it. \
When a refusal says that asking does not help, do not try other ways to the same thing: work without it, or tell the person what you would need and why.";
/// The longest wait for which `await_result` is asked at a time; [`Jobs::attend`] waits less where that is too long.
const AWAIT: Duration = Duration::from_secs(60);

/// One client's server.
#[derive(Debug, Default)]
pub(crate) struct Server {
    jobs: Arc<Jobs>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    async fn call(&self, name: String, arguments: Value, listener: &Listener) -> CallToolResult {
        if !self.jobs.has_room() {
            return refusal(
                "Too many calls wait already. Get their results with `await_result` first.",
            );
        }
        let running = spawn_blocking(move || perform(&name, arguments));
        self.jobs.attend(running, listener, AWAIT).await
    }

    async fn go_on(&self, arguments: &Value, listener: &Listener) -> CallToolResult {
        let Some(handle) = arguments.get("handle").and_then(Value::as_str) else {
            return refusal("Invalid arguments for tool await_result: `handle` is missing");
        };
        match self.jobs.take(handle) {
            Some(running) => self.jobs.attend(running, listener, AWAIT).await,
            None => refusal(format!(
                "No call waits under the handle {handle}: its result was given already, or it never was one."
            )),
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let own = Implementation::new("valetkey", env!("CARGO_PKG_VERSION")).with_title("Valetkey");
        ServerConfig::new(capabilities)
            .with_server_info(own)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let listener = Listener {
            token: context.meta.get_progress_token(),
            peer: context.peer,
        };
        if request.name == tools::AWAIT_RESULT {
            return Ok(self.go_on(&arguments, &listener).await.into());
        }
        if !tools::is_known(&request.name) {
            let why = format!("Tool {} not found", request.name);
            return Err(ErrorData::invalid_params(why, None));
        }
        let name = request.name.into_owned();
        Ok(self.call(name, arguments, &listener).await.into())
    }
}

/// Does what a tool does and says how it went.
fn perform(name: &str, arguments: Value) -> CallToolResult {
    let began = SystemTime::now();
    let clock = Instant::now();
    match tools::run(name, arguments) {
        Ok(Done {
            content,
            structured,
        }) => {
            let mut result = CallToolResult::success(content);
            result.is_error = None;
            result.structured_content = Some(structured);
            result
        }
        Err(fail) => CallToolResult::error(vec![ContentBlock::text(explained(
            &fail,
            began,
            clock.elapsed(),
        ))]),
    }
}

/// The failure with what its caller can do about it.
fn explained(fail: &Fail, began: SystemTime, took: Duration) -> String {
    let line = fail.line();
    match fail {
        Fail::Said(_) => line,
        Fail::Door(error) => match &**error {
            valetkey_client::ClientError::Problem(problem) => {
                format!("Refused: {}", tools::words(problem))
            }
            valetkey_client::ClientError::Unreachable { .. }
            | valetkey_client::ClientError::Broken(_) => line,
        },
        Fail::System { path, error, .. } => match access::refusal_of(path, began) {
            Some(denial) => format!("{line}\nRefused: {}", tools::words(&denial.problem)),
            None if tools::may_be_refused(error) && !tools::is_visible(path) => {
                format!("{line}\n{}", tools::not_granted(path, took))
            }
            None => line,
        },
    }
}
