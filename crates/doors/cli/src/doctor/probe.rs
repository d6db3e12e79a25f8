//! The probes: what is tried from inside a cell, which wall should hold it, and how it is judged.
//!
//! Each is harmless where it succeeds, since the same probes are made outside of the cell too: a probe that comes through there and
//! not in the cell shows a wall; one that comes through nowhere shows nothing.

mod files;
mod kernel;
mod process;

use std::io;

use serde::{Deserialize, Serialize};
use valetkey_sys::attempt::KNOCKS;

use super::aim::Aim;

pub(super) use process::value as status_value;

/// The wall that should hold a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wall {
    /// What capabilities cover, and nothing else.
    View,
    /// System directories are read-only, devices few, `/proc` covered in parts.
    Mounts,
    /// Processes, network, users and more of its own.
    Namespaces,
    /// The filter of system calls.
    Seccomp,
    /// No capability, none to be had.
    Privilege,
    /// A scrubbed environment, no descriptor, no terminal of the person.
    Environment,
}

impl Wall {
    /// Every wall.
    pub(super) const ALL: [Self; 6] = [
        Self::View,
        Self::Mounts,
        Self::Namespaces,
        Self::Seccomp,
        Self::Privilege,
        Self::Environment,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Mounts => "mounts",
            Self::Namespaces => "namespaces",
            Self::Seccomp => "seccomp",
            Self::Privilege => "privilege",
            Self::Environment => "environment",
        }
    }
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict", content = "note")]
pub(super) enum Answer {
    /// It went nowhere, and why.
    Held(String),
    /// It came through, and how far.
    Through(String),
}

/// One attempt.
pub(super) struct Probe {
    pub(super) id: &'static str,
    /// In words: to do what.
    pub(super) tries: &'static str,
    pub(super) wall: Wall,
    /// Whether it is tried outside too, to see it come through.
    pub(super) control: bool,
    attempt: fn(&Aim) -> Answer,
}

/// A short form for the tables: one that is tried outside too.
const fn probe(
    id: &'static str,
    tries: &'static str,
    wall: Wall,
    attempt: fn(&Aim) -> Answer,
) -> Probe {
    Probe {
        id,
        tries,
        wall,
        control: true,
        attempt,
    }
}

/// What one attempt told, as it crosses from the cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

/// What is known of a probe besides its attempt.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) id: &'static str,
    pub(super) tries: &'static str,
    pub(super) wall: Wall,
    pub(super) control: bool,
}

/// All probes, those of the table and the calls of the kernel.
pub(super) fn all() -> Vec<About> {
    let table = table().map(|probe| About {
        id: probe.id,
        tries: probe.tries,
        wall: probe.wall,
        control: probe.control,
    });
    let calls = KNOCKS.iter().map(|knock| About {
        id: knock.name(),
        tries: "make this call of the kernel",
        wall: Wall::Seccomp,
        control: true,
    });
    table.chain(calls).collect()
}

/// Makes one attempt.
pub(super) fn attempt(id: &str, aim: &Aim) -> Option<Answer> {
    if let Some(knock) = KNOCKS.iter().find(|knock| knock.name() == id) {
        return Some(reached(knock.make()));
    }
    let probe = table().find(|probe| probe.id == id)?;
    Some((probe.attempt)(aim))
}

fn table() -> impl Iterator<Item = &'static Probe> {
    files::PROBES
        .iter()
        .chain(process::PROBES)
        .chain(kernel::PROBES)
}

/// How a closed door answers: `EPERM`, `EACCES`, `ENOSYS`, `EPROTONOSUPPORT`, `EAFNOSUPPORT`.
const CLOSED: [i32; 5] = [1, 13, 38, 93, 97];

/// A call that worked came through.
fn worked<T>(result: io::Result<T>) -> Answer {
    match result {
        Ok(_) => Answer::Through("done".to_owned()),
        Err(error) => Answer::Held(error.to_string()),
    }
}

/// A call that the kernel took and then refused for its arguments came through, too.
fn reached(result: io::Result<()>) -> Answer {
    match result {
        Ok(()) => Answer::Through("done".to_owned()),
        Err(error) => match error.raw_os_error() {
            Some(code) if CLOSED.contains(&code) => Answer::Held(error.to_string()),
            _ => Answer::Through(format!("let in, then {error}")),
        },
    }
}

/// Something that is there and should not be, with what it is.
fn unless(found: Option<String>, otherwise: &str) -> Answer {
    found.map_or_else(|| Answer::Held(otherwise.to_owned()), Answer::Through)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_many_probes_each_with_its_own_name() {
        let mut names: Vec<_> = all().iter().map(|probe| probe.id).collect();
        let count = names.len();
        assert!(count >= 60, "{count}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_closed_door_and_an_open_one_are_told_apart() {
        let answer = |errno| reached(Err(io::Error::from_raw_os_error(errno)));
        for closed in [1, 13, 38] {
            assert!(matches!(answer(closed), Answer::Held(_)));
        }
        for open in [14, 22, 9, 3] {
            assert!(matches!(answer(open), Answer::Through(_)));
        }
        assert!(matches!(reached(Ok(())), Answer::Through(_)));
    }
}
