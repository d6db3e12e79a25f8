//! The calls of the agent door, each as a method.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use valetkey_api::{
    AgentAsk, AgentNarrow, AgentRequestState, Client, ClientError, Denial, Denials,
    LiveCapabilities, OutsideCapability, Released,
};
use valetkey_capability::{Capability, Jwks};
use valetkey_model::{ActionSet, CapabilityId, Constraints, RequestId, Resource};

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

/// What of a capability is kept in a narrower one. What is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing(AgentNarrow);

impl Narrowing {
    /// Nothing less yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Part of its resource alone.
    #[must_use]
    pub fn to(mut self, resource: Resource) -> Self {
        self.0.resource = Some(resource);
        self
    }

    /// Some of its actions alone.
    #[must_use]
    pub fn only(mut self, actions: ActionSet) -> Self {
        self.0.actions = Some(actions);
        self
    }

    /// Further limits; of two, the tighter holds.
    #[must_use]
    pub fn within(mut self, constraints: Constraints) -> Self {
        self.0.constraints = constraints;
        self
    }

    /// Without what this names.
    #[must_use]
    pub fn without(mut self, resource: Resource) -> Self {
        self.0.except.push(resource);
        self
    }

    /// For so many seconds at most.
    #[must_use]
    pub fn for_seconds(mut self, seconds: u64) -> Self {
        self.0.ttl_seconds = Some(seconds);
        self
    }
}

/// What was narrowed: in a cell told in words, outside of one with the token that the program carries itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    /// In words.
    pub capability: Capability,
    /// The same, signed; never there in a cell.
    pub token: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NarrowAnswer {
    Outside(Box<OutsideCapability>),
    InCell(Box<Capability>),
}

impl From<NarrowAnswer> for Narrowed {
    fn from(answer: NarrowAnswer) -> Self {
        match answer {
            NarrowAnswer::Outside(both) => Self {
                capability: both.capability,
                token: Some(both.token),
            },
            NarrowAnswer::InCell(capability) => Self {
                capability: *capability,
                token: None,
            },
        }
    }
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
        let held: LiveCapabilities = self.client.get("/v1/capabilities")?;
        Ok(held.capabilities)
    }

    /// Makes a capability that gives less. It ends with the one that it is made from, at the latest.
    ///
    /// # Errors
    /// [`ClientError::Problem`] when it would not be narrower or the capability is not live, [`ClientError::Broken`] when the answer
    /// does not come.
    pub fn narrow(
        &mut self,
        id: &CapabilityId,
        narrowing: &Narrowing,
    ) -> Result<Narrowed, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        let target = format!("/v1/capabilities/{id}/narrow");
        let answer: NarrowAnswer = self.client.post(&target, &narrowing.0)?;
        Ok(answer.into())
    }

    /// Gives a capability back. Tells what ended: it, and all that was narrowed from it.
    ///
    /// # Errors
    /// [`ClientError::Problem`] when it is not live, [`ClientError::Broken`] when the answer does not come.
    pub fn release(&mut self, id: &CapabilityId) -> Result<Vec<CapabilityId>, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        let target = format!("/v1/capabilities/{id}/release");
        let released: Released = self.client.post(&target, &serde_json::json!({}))?;
        Ok(released.capabilities)
    }

    /// The public keys that tokens verify with, for whoever enforces them.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the answer does not come.
    pub fn keys(&mut self) -> Result<Jwks, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        self.client.get("/.well-known/jwks.json")
    }

    /// The last refusals, newest last.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the answer does not come.
    pub fn denials(&mut self) -> Result<Vec<Denial>, ClientError> {
        self.client.set_timeout(Some(PATIENCE))?;
        let refused: Denials = self.client.get("/v1/denials")?;
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
