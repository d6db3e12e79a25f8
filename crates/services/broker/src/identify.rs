//! Who is at a door: the process as the kernel names it, whether it may stand there, and what it may see and do.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use valetkey_api::{Mode, Peer, Problem, ProblemKind};
use valetkey_model::UserFacts;

/// A process, named so that it cannot be mistaken for a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerIdentity {
    uid: u32,
    pid: u32,
    /// The pidfd's inode: since Linux 6.9 unique to the process for as long as the machine runs.
    process: u64,
    /// Its groups. A process that changes them is no longer the one that came in.
    groups: Vec<u32>,
}

impl PeerIdentity {
    /// Whose process it is.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }
}

/// Whom the broker's doors are for.
#[derive(Debug)]
pub(crate) enum Admission {
    /// One person, as whom the broker runs.
    One(UserFacts),
    /// Everyone of a group, and root.
    Group {
        /// The group's id.
        gid: u32,
    },
}

/// Whose sessions, questions and capabilities a peer may see and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everyone's.
    Everyone,
    /// Those of one user.
    Of(u32),
}

impl Scope {
    /// Whether what belongs to user `uid` is in it.
    pub(crate) fn holds(self, uid: u32) -> bool {
        match self {
            Self::Everyone => true,
            Self::Of(own) => own == uid,
        }
    }
}

impl Admission {
    /// The admission of a broker that runs in this mode. The person is looked up while that can still be done.
    pub(crate) fn of(mode: Mode) -> Self {
        match mode {
            Mode::User => Self::One(own_facts()),
            Mode::System => Self::Group {
                gid: rustix::process::getegid().as_raw(),
            },
        }
    }

    /// How the broker runs.
    pub(crate) fn mode(&self) -> Mode {
        match self {
            Self::One(_) => Mode::User,
            Self::Group { .. } => Mode::System,
        }
    }

    /// Identifies a peer that may use the guard door or the operator door: a live process of a person whom they are for, in the broker's
    /// own user and process namespaces. A process in a cell has the same user id but other namespaces, and is turned away.
    pub(crate) fn identify(&self, peer: &Peer) -> Result<PeerIdentity, Problem> {
        if let Self::One(_) = self {
            return identify_own(peer);
        }
        let identity = look_at(peer)?;
        if self.is_for(identity.uid, &identity.groups) {
            Ok(identity)
        } else {
            Err(refuse("its user is not in the broker's group"))
        }
    }

    fn is_for(&self, uid: u32, groups: &[u32]) -> bool {
        match self {
            Self::One(user) => uid == user.uid,
            Self::Group { gid } => uid == 0 || groups.contains(gid),
        }
    }

    /// What a peer may see and end.
    pub(crate) fn scope(&self, peer: &PeerIdentity) -> Scope {
        match self {
            Self::One(_) => Scope::Everyone,
            Self::Group { .. } if peer.uid == 0 => Scope::Everyone,
            Self::Group { .. } => Scope::Of(peer.uid),
        }
    }

    /// The person behind a peer, as this host knows them.
    pub(crate) fn user_of(&self, peer: &PeerIdentity) -> UserFacts {
        match self {
            Self::One(user) => user.clone(),
            Self::Group { .. } => {
                let account = valetkey_sys::account::by_uid(peer.uid);
                UserFacts {
                    uid: peer.uid,
                    name: account.name,
                    home: account.home.to_string_lossy().into_owned(),
                    home_resource: None,
                    groups: peer.groups.clone(),
                }
            }
        }
    }

    /// Where a person's own part of Valetkey lies, beside the broker's: their approver key above all. A guard knows further places, if the
    /// person's environment moves them, and hides those itself.
    pub(crate) fn places_of(&self, user: &UserFacts) -> Vec<PathBuf> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Group { .. } => [".config/valetkey", ".local/state/valetkey"]
                .map(|below| PathBuf::from(&user.home).join(below))
                .to_vec(),
        }
    }
}

/// Identifies a peer that is a process of the broker's own user, as the next broker is.
pub(crate) fn identify_own(peer: &Peer) -> Result<PeerIdentity, Problem> {
    if peer.uid != rustix::process::geteuid().as_raw() {
        return Err(refuse("it belongs to another user"));
    }
    look_at(peer)
}

fn refuse(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Denied,
        format!("this door is not for this process: {why}"),
    )
}

fn look_at(peer: &Peer) -> Result<PeerIdentity, Problem> {
    let pidfd = peer
        .pidfd
        .as_ref()
        .ok_or_else(|| refuse("the kernel does not name it"))?;
    // What `/proc` tells of a process without the right to trace it, which the broker has given up, or never had.
    let theirs = Looks::of(&peer.pid.to_string()).map_err(|_| refuse("it cannot be looked at"))?;
    let ours = Looks::of("self").map_err(|_| refuse("the broker cannot look at itself"))?;
    if (&theirs.users, theirs.depth) != (&ours.users, ours.depth) {
        return Err(refuse("it is in a namespace of its own, as in a cell"));
    }
    // Alive after the look: so it was this process that was looked at, not a later one with its number.
    if has_ended(pidfd) {
        return Err(refuse("it has ended"));
    }
    let process = rustix::fs::fstat(pidfd)
        .map_err(|_| refuse("the kernel does not name it"))?
        .st_ino;
    Ok(PeerIdentity {
        uid: peer.uid,
        pid: peer.pid,
        process,
        groups: theirs.groups,
    })
}

/// What `/proc` tells of a process.
#[derive(Debug)]
struct Looks {
    /// How user ids of its namespace map to those of its parent: every user namespace but the first has a map of its own.
    users: String,
    /// In how many process namespaces, from this one inwards, it has a number.
    depth: usize,
    /// Its effective group and its further ones.
    groups: Vec<u32>,
}

impl Looks {
    fn of(process: &str) -> io::Result<Self> {
        let users = fs::read_to_string(format!("/proc/{process}/uid_map"))?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        Self::read(users, &status).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn read(users: String, status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace())
        };
        // Real, effective, saved, file system.
        let effective: u32 = field("Gid:")?.nth(1)?.parse().ok()?;
        let further = field("Groups:")?.map(str::parse::<u32>);
        let mut groups = vec![effective];
        for group in further {
            groups.push(group.ok()?);
        }
        groups.sort_unstable();
        groups.dedup();
        Some(Self {
            users,
            depth: field("NSpid:")?.count(),
            groups,
        })
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut waited = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    !matches!(poll(&mut waited, Some(&now)), Ok(0))
}

/// The person whom a broker in user mode serves: the owner of its process.
fn own_facts() -> UserFacts {
    let uid = rustix::process::geteuid().as_raw();
    let account = valetkey_sys::account::by_uid(uid);
    // The person who starts a broker says by HOME where their home is, as for every other program.
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
        .unwrap_or(account.home);
    let groups = rustix::process::getgroups().unwrap_or_default();
    UserFacts {
        uid,
        name: account.name,
        home: home.to_string_lossy().into_owned(),
        home_resource: None,
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tsh\nUid:\t7\t7\t7\t7\nGid:\t5\t6\t6\t6\nGroups:\t9 8 \nNSpid:\t41\n";

    #[test]
    fn groups_are_the_effective_one_and_the_further_ones() {
        let looks = Looks::read("map".to_owned(), STATUS).expect("it reads");
        assert_eq!(looks.groups, [6, 8, 9], "the real group 5 gives nothing");
        assert_eq!(looks.depth, 1);
        for broken in [
            "Gid:\t5\nGroups:\nNSpid:\t1\n",
            "Gid:\t5\t6\nNSpid:\t1\n",
            "",
        ] {
            assert!(Looks::read(String::new(), broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_group_lets_its_members_and_root_in_and_each_sees_their_own() {
        let group = Admission::Group { gid: 70 };
        let peer = |uid, groups: &[u32]| PeerIdentity {
            uid,
            pid: 1,
            process: 1,
            groups: groups.to_vec(),
        };
        assert!(group.is_for(1000, &[100, 70]) && group.is_for(0, &[]));
        assert!(!group.is_for(1000, &[100]));
        assert_eq!(group.scope(&peer(0, &[])), Scope::Everyone);
        let own = group.scope(&peer(1000, &[70]));
        assert!(own.holds(1000) && !own.holds(1001) && !own.holds(0));
    }
}
