//! System call filters as data: a [`Profile`] is a table that [`compile`] turns into BPF.
//!
//! A profile names what is allowed, in groups with a reason each; anything else gets the profile's
//! answer, so a system call that this program has never heard of is never let through. Refusals
//! (whole calls, or calls with certain arguments) override what is allowed. A call of a foreign
//! architecture (32-bit code on a 64-bit kernel) kills the process under every profile.

mod agent;
mod attestor;
mod compile;
mod init;
mod service;
mod table;
mod worker;

pub use agent::{AGENT, WITHOUT_FILES_IN_MEMORY};
pub use attestor::{ATTESTOR, ATTESTOR_KEEPER};
pub use init::INIT;
pub use service::SERVICE;
pub use table::Call;
pub use worker::WORKER;

use crate::error::{Fault, Step};
use seccompiler::BpfProgram;

/// A filter for one role.
#[derive(Debug)]
pub struct Profile {
    /// The name that people and logs see.
    pub name: &'static str,
    /// The answer to every call that is not allowed.
    pub otherwise: Otherwise,
    /// What is allowed.
    pub allowed: &'static [Group],
    /// What is refused with an answer of its own, even if it is allowed above.
    pub refused: &'static [Refusal],
}

/// The answer to what a profile does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// The process is killed.
    Kill,
    /// The call fails with this error.
    Errno(i32),
}

/// Calls that are allowed for one reason.
#[derive(Debug)]
pub struct Group {
    /// The reason.
    pub why: &'static str,
    /// The calls.
    pub calls: &'static [Call],
}

/// Calls that are refused for one reason.
#[derive(Debug)]
pub struct Refusal {
    /// The reason.
    pub why: &'static str,
    /// The error that the caller sees.
    pub errno: i32,
    /// The calls.
    pub calls: &'static [Call],
    /// The arguments for which they are refused: each list is one case, in which all must hold. No
    /// case at all means always.
    pub when: &'static [&'static [Argument]],
}

/// A condition on the low 32 bits of one argument. The kernel looks at no more of any argument that a
/// profile tests, so bits above them must not hide what is asked.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Which argument, from nought to five.
    pub index: u8,
    /// What must hold.
    pub test: Test,
}

/// A test of an argument.
#[derive(Debug, Clone, Copy)]
pub enum Test {
    /// It is this value.
    Is(u32),
    /// It is not this value.
    IsNot(u32),
    /// Under the mask, it is the value.
    Masked {
        /// The mask.
        mask: u32,
        /// The value.
        value: u32,
    },
}

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Compiled(BpfProgram);

impl Profile {
    /// How many calls the profile allows, some of them with conditions.
    #[must_use]
    pub fn allowed_count(&self) -> usize {
        self.allowed
            .iter()
            .map(|group| group.calls.len())
            .fold(0, usize::saturating_add)
    }

    /// Compiles the profile for this machine.
    pub(crate) fn compile(&self) -> Result<Compiled, Fault> {
        compile::program(self).map(Compiled)
    }

    /// Compiles and installs the profile on this thread, for good.
    pub(crate) fn install(&self) -> Result<(), Fault> {
        self.compile()?.install()
    }
}

impl Compiled {
    /// Installs the filter on this thread, for good.
    pub(crate) fn install(&self) -> Result<(), Fault> {
        seccompiler::apply_filter(&self.0)
            .map_err(|error| Fault::new(Step::Seccomp, error.to_string()))
    }
}

#[cfg(test)]
mod tests;
