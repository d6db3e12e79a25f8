//! The calls of the agent door, each as a method.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use valetkey_api::{AgentAsk, AgentRequestState, Client, ClientError, Problem};
use valetkey_capability::Capability;
use valetkey_model::{ActionSet, CapabilityId, Constraints, RequestId, Resource, Timestamp};

use crate::place::default_socket;

/// The longest wait of one call; a longer one is made of several.
const LONGEST_WAIT: Duration = Duration::from_secs(50);
/// How long an answer may take beyond the wait that was asked for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long work on a document may take.
const OPERATION: Duration = Duration::from_secs(180);

/// How a request stands.
pub type State = AgentRequestState;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask(AgentAsk);

impl Ask {
    /// Actions on a resource, without limits of its own and without words.
    #[must_use]
    pub fn new(resource: Resource, actions: ActionSet) -> Self {
        Self(AgentAsk {
            resource,
            actions,
            constraints: Constraints::default(),
            justification: None,
        })
    }

    /// Why, in words for the person who is asked; at most 2000 bytes.
    #[must_use]
    pub fn because(mut self, words: impl Into<String>) -> Self {
        self.0.justification = Some(words.into());
        self
    }

    /// Limits that the agent offers to keep: what it does not need, it need not be trusted with.
    #[must_use]
    pub fn within(mut self, constraints: Constraints) -> Self {
        self.0.constraints = constraints;
        self
    }
}

/// A refusal that the agent was told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Denial {
    /// When.
    pub time: Timestamp,
    /// What was asked for.
    pub resource: Resource,
    /// Which actions.
    pub actions: ActionSet,
    /// Why not, and what to do.
    #[serde(flatten)]
    pub problem: Problem,
}

/// Rows to append to a sheet of a workbook.
#[derive(Clone, Debug, Serialize)]
pub struct AppendRows {
    /// The workbook.
    pub resource: Resource,
    /// The sheet's name.
    pub sheet: String,
    /// The rows: null, booleans, numbers and text; text is never a formula.
    pub rows: Vec<Vec<Value>>,
    /// Why, where a person has to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
}

/// What work on a document did.
#[derive(Clone, Debug, Deserialize)]
pub struct Performed {
    /// The capability that it was done under.
    pub capability_id: CapabilityId,
    /// What was done, as the document's adapter tells it.
    pub report: Value,
}

#[derive(Deserialize)]
struct Held {
    capabilities: Vec<Capability>,
}

#[derive(Deserialize)]
struct Refused {
    denials: Vec<Denial>,
}

#[derive(Serialize)]
struct Operation<'a> {
    operation: &'static str,
    #[serde(flatten)]
    rows: &'a AppendRows,
}

/// A connection to the agent door.
#[derive(Debug)]
pub struct Agent {
    client: Client,
}

impl Agent {
    /// Connects to the door that [`default_socket`] names.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nobody answers there.
    pub fn connect() -> Result<Self, ClientError> {
        let path = default_socket().map_err(|error| ClientError::Unreachable {
            path: crate::IN_CELL.into(),
            source: std::io::Error::other(error.to_string()),
        })?;
        Self::at(&path)
    }

    /// Connects to a socket.
    ///
    /// # Errors
    /// As [`Agent::connect`].
    pub fn at(path: &Path) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::connect(path)?,
        })
    }

    /// Asks. The answer comes at once: granted, or that a person is being asked.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with the refusal, [`ClientError::Broken`] when the answer does not come.
    pub fn ask(&mut self, ask: Ask) -> Result<State, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        self.client.post("/v1/requests", &ask.0)
    }

    /// Asks, and waits for a person for as long as `patience`.
    ///
    /// # Errors
    /// As [`Agent::ask`]. A question that is still open in the end is [`State::Pending`], no error.
    pub fn ask_and_wait(&mut self, ask: Ask, patience: Duration) -> Result<State, ClientError> {
        match self.ask(ask)? {
            AgentRequestState::Pending { request_id, .. } if !patience.is_zero() => {
                self.wait(&request_id, patience)
            }
            state @ (AgentRequestState::Granted { .. } | AgentRequestState::Pending { .. }) => {
                Ok(state)
            }
        }
    }

    /// Waits for the answer to a request for as long as `patience`.
    ///
    /// # Errors
    /// As [`Agent::ask_and_wait`].
    pub fn wait(&mut self, id: &RequestId, patience: Duration) -> Result<State, ClientError> {
        let started = Instant::now();
        loop {
            let left = patience.saturating_sub(started.elapsed());
            let slice = left.min(LONGEST_WAIT);
            // Whole seconds at the door: the last part of one is waited for in full.
            let seconds = slice
                .as_secs()
                .saturating_add(u64::from(slice.subsec_nanos() > 0));
            self.client
                .set_timeout(Some(slice.saturating_add(PATIENCE)))?;
            let state = self
                .client
                .get(&format!("/v1/requests/{id}?wait={seconds}"))?;
            if !matches!(state, AgentRequestState::Pending { .. }) || slice == left {
                return Ok(state);
            }
        }
    }

    /// What is granted now.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the answer does not come.
    pub fn capabilities(&mut self) -> Result<Vec<Capability>, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        let held: Held = self.client.get("/v1/capabilities")?;
        Ok(held.capabilities)
    }

    /// The last refusals, newest last.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the answer does not come.
    pub fn denials(&mut self) -> Result<Vec<Denial>, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        let refused: Refused = self.client.get("/v1/denials")?;
        Ok(refused.denials)
    }

    /// Appends rows to a sheet, in a cell; waits for a person where policy asks one.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with the refusal, [`ClientError::Broken`] when the answer does not come.
    pub fn append_rows(&mut self, rows: &AppendRows) -> Result<Performed, ClientError> {
        self.client.set_timeout(Some(OPERATION))?;
        let operation = Operation {
            operation: "sheet.append_rows",
            rows,
        };
        self.client.post("/v1/operations", &operation)
    }
}
