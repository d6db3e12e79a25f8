//! The testkit of the black-box suites: real binaries, homes of their own, bounded waits, and helpers in C that run in cells.
#![forbid(unsafe_code)]

mod binaries;
mod desktop;
mod helper;
mod home;
mod mcp;
mod peer;
mod place;
mod process;
mod pty;
mod signer;

pub use binaries::{Binaries, binaries};
pub use desktop::{Desktop, cannot_have_desktop, no_bus, said};
pub use helper::{
    activate_program, agent_program, attack_program, hostile_program, lacking_program,
    outside_program,
};
pub use home::{Home, NOBODY, Person, Question, id};
pub use mcp::{Mcp, text};
pub use peer::{Answer, Guard, Peer};
pub use place::{Device, cannot_run_cells, host_program, is_root, scratch, skipped};
pub use process::{Call, Finished, Started, until};
pub use pty::Pty;
pub use signer::{Signer, asked_digest, give, post, tagged, tagged_bytes};
