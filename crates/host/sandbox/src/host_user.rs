//! Whom the processes of a cell are on the host: the person who started it or, where that is the superuser, nobody.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Uid, fchown};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{AtStep, Fault, Step};

/// Where ids of guards with every id of the host begin: beyond what accounts, containers and services are given.
const FIRST: u32 = 0x7000_0000;
/// As many as there are process ids, so that no two guards of one host that live at one time have the same.
const COUNT: u32 = 1 << 22;
/// The same for a guard in a container that has 65,536 ids: where service managers take ids for a time from.
const FIRST_OF_FEW: u32 = 61_184;
/// How many of those there are.
const COUNT_OF_FEW: u32 = 4_336;

/// Whom the processes of a cell are on the host, whoever they are in the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostUser {
    /// The person who started it.
    Person,
    /// A user and group that nobody else is, who owns nothing, without further groups.
    Throwaway,
    /// The superuser, without capabilities: what root owns is theirs.
    Superuser,
}

/// The id for a cell that this process starts, if it is the superuser and has one to give.
pub(crate) fn throwaway() -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let number = rustix::process::getpid().as_raw_pid().unsigned_abs();
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    let accounts =
        ["/etc/passwd", "/etc/group"].map(|path| fs::read_to_string(path).unwrap_or_default());
    [(FIRST, COUNT), (FIRST_OF_FEW, COUNT_OF_FEW)]
        .into_iter()
        .filter_map(|(first, count)| first.checked_add(number.checked_rem(count)?))
        .find(|id| {
            maps.iter().all(|map| maps_id(map, *id))
                && !accounts.iter().any(|table| names_id(table, *id))
        })
}

/// Gives the child `pid`, in a user namespace of its own that has no ids yet, the user and group `id` as its only ones, under the
/// number 0, and the pipes that it was handed.
pub(crate) fn map(pid: Pid, id: u32, pipes: &[OwnedFd]) -> Result<(), Fault> {
    for pipe in pipes {
        fchown(pipe, Some(Uid::from_raw(id)), Some(Gid::from_raw(id))).at(Step::MapUser, "pipe")?;
    }
    for name in ["gid_map", "uid_map"] {
        let path = format!("/proc/{}/{name}", pid.as_raw_pid());
        fs::write(&path, format!("0 {id} 1")).at(Step::MapUser, path)?;
    }
    Ok(())
}

/// Whether the process `pid` is the user and group `id` in every way, and in no further group.
pub(crate) fn is_nobody_but(pid: Pid, id: u32) -> bool {
    let status =
        fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    let only = |name: &str, wanted: &[u32]| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.is_some_and(|line| {
            line.split_ascii_whitespace()
                .map(str::parse)
                .eq(wanted.iter().copied().map(Ok))
        })
    };
    only("Uid:", &[id; 4]) && only("Gid:", &[id; 4]) && only("Groups:", &[])
}

/// Whether a line of an id map of this process has `id` in it.
fn maps_id(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) => {
                id.checked_sub(first).is_some_and(|offset| offset < count)
            }
            _ => false,
        }
    })
}

/// Whether a table of accounts or groups has `id` in it.
fn names_id(table: &str, id: u32) -> bool {
    table.lines().any(|line| {
        line.split(':')
            .nth(2)
            .is_some_and(|number| number.parse() == Ok(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_where_this_process_has_it_and_no_account_does() {
        let whole = "         0          0 4294967295\n";
        assert!(maps_id(whole, FIRST) && maps_id(whole, 0));
        let few = "0 100000 65536\n";
        assert!(maps_id(few, FIRST_OF_FEW) && !maps_id(few, FIRST) && !maps_id(few, 65_536));
        assert!(maps_id("0 5 1\n100 7 10\n", 109) && !maps_id("0 5 1\n100 7 10\n", 110));
        assert!(!maps_id("", 0) && !maps_id("x y z\n", 0));
        assert!(names_id("root:x:0:0:root:/root:/bin/sh\n", 0));
        assert!(!names_id("root:x:0:0:root:/root:/bin/sh\n", 1));
    }

    #[test]
    fn ids_are_outside_of_what_accounts_are_given() {
        assert!(FIRST.checked_add(COUNT).is_some_and(|end| end < 1 << 31));
        const { assert!(FIRST_OF_FEW + COUNT_OF_FEW < 65_534) };
    }
}
