//! For programs that ask Valetkey for access: a typed, blocking client of the agent door, in a cell or outside of one.
//!
//! ```no_run
//! use std::time::Duration;
//! use valetkey_client::{Agent, Ask, ClientError, State};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut door = Agent::connect()?;
//! let ask = Ask::new("file:/home/alice/notes.txt".parse()?, "read".parse()?).because("to sum up the meeting");
//! match door.ask_and_wait(ask, Duration::from_secs(120)) {
//!     Ok(State::Granted { .. }) => println!("{}", std::fs::read_to_string("/home/alice/notes.txt")?),
//!     Ok(State::Pending { expires_at, .. }) => println!("nobody has answered yet; the question closes at {expires_at}"),
//!     Err(ClientError::Problem(problem)) => println!("{}", problem.detail),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod agent;
mod place;

pub use agent::{Agent, AppendRows, Ask, Narrowed, Narrowing, Performed, State};
pub use place::{IN_CELL, default_socket};
pub use valetkey_api::{ClientError, Denial, Problem, ProblemKind};
pub use valetkey_capability::{Capability, Jwk, Jwks};
pub use valetkey_model::{
    Action, ActionSet, CapabilityId, Constraints, RequestId, Resource, Timestamp,
};
