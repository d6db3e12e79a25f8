//! Who has a place at a door, and whose place is taken when there is none left: that of the peer who holds most.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Limits;
use super::account::{Account, Process};
use super::phase::{Doing, Phase};

/// The name of a place.
pub(super) type PlaceId = u64;

/// One connection.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) doing: Doing,
    /// Told when the connection has to end.
    pub(super) leave: Notify,
}

/// All connections of a door.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    last: PlaceId,
    connections: usize,
    /// Places whose connection was told to end and has not yet.
    leaving: usize,
    users: HashMap<u32, usize>,
    processes: HashMap<Process, AtTable>,
}

#[derive(Debug)]
struct AtTable {
    account: Arc<Account>,
    places: HashMap<PlaceId, Arc<Place>>,
}

/// A place that was given.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) id: PlaceId,
    pub(super) place: Arc<Place>,
    pub(super) account: Arc<Account>,
}

impl Table {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            last: 0,
            connections: 0,
            leaving: 0,
            users: HashMap::new(),
            processes: HashMap::new(),
        }
    }

    /// Gives a place to a connection of this process; `account` is made when the process has no other.
    ///
    /// When none is left, somebody else may have to go, who is told. Nothing when this process has no right to one: it holds its share.
    pub(super) fn seat(
        &mut self,
        process: Process,
        account: impl FnOnce() -> Account,
    ) -> Option<Seated> {
        let own = self.count(process);
        if own >= self.limits.connections_of_process {
            return None;
        }
        let user_is_full = self.of_user(process.uid) >= self.limits.connections_of_user();
        if user_is_full || self.connections >= self.limits.connections {
            // Whoever was told to go still has its descriptor.
            if self.leaving >= self.limits.connections {
                return None;
            }
            let (victim, id) = self.whose_place(process, own, user_is_full)?;
            self.dismiss(victim, id);
        }
        self.last = self.last.wrapping_add(1);
        let place = Arc::new(Place {
            doing: Doing::new(),
            leave: Notify::new(),
        });
        let at_table = self.processes.entry(process).or_insert_with(|| AtTable {
            account: Arc::new(account()),
            places: HashMap::new(),
        });
        let _new = at_table.places.insert(self.last, Arc::clone(&place));
        let account = Arc::clone(&at_table.account);
        self.connections = self.connections.saturating_add(1);
        let user = self.users.entry(process.uid).or_default();
        *user = user.saturating_add(1);
        Some(Seated {
            id: self.last,
            place,
            account,
        })
    }

    /// Takes a connection that has ended out. True when it was the last of its process.
    pub(super) fn left(&mut self, process: Process, id: PlaceId) -> bool {
        if !self.take_out(process, id) {
            self.leaving = self.leaving.saturating_sub(1);
        }
        !self.processes.contains_key(&process)
    }

    fn dismiss(&mut self, process: Process, id: PlaceId) {
        let places = self.processes.get(&process).map(|own| &own.places);
        if let Some(place) = places.and_then(|places| places.get(&id)) {
            place.leave.notify_one();
            self.leaving = self.leaving.saturating_add(1);
        }
        let _was_there = self.take_out(process, id);
    }

    fn take_out(&mut self, process: Process, id: PlaceId) -> bool {
        let Some(own) = self.processes.get_mut(&process) else {
            return false;
        };
        if own.places.remove(&id).is_none() {
            return false;
        }
        if own.places.is_empty() {
            let _account = self.processes.remove(&process);
        }
        self.connections = self.connections.saturating_sub(1);
        let left = self.of_user(process.uid).saturating_sub(1);
        if left == 0 {
            let _none = self.users.remove(&process.uid);
        } else {
            let _more = self.users.insert(process.uid, left);
        }
        true
    }

    /// Whose place a process gets that has `own`, when there is none left: of the user who has most (or of its own, when that user
    /// has its share), the process that has most.
    fn whose_place(
        &self,
        newcomer: Process,
        own: usize,
        of_own_user: bool,
    ) -> Option<(Process, PlaceId)> {
        let user = if of_own_user {
            newcomer.uid
        } else {
            *self.users.iter().max_by_key(|(_, count)| **count)?.0
        };
        let others = || {
            self.processes
                .iter()
                .filter(move |(process, _)| process.uid == user && **process != newcomer)
        };
        let (greediest, theirs) = others().max_by_key(|(_, own)| own.places.len())?;
        // With a difference of one, the two would only change places.
        let is_greedy = theirs.places.len() > self.limits.connections_kept
            && theirs.places.len() > own.saturating_add(1);
        if is_greedy {
            let id = theirs
                .places
                .iter()
                .min_by_key(|(_, place)| (place.doing.phase(), place.doing.since()))?
                .0;
            return Some((*greediest, *id));
        }
        if own >= self.limits.connections_kept {
            return None;
        }
        // Everybody is modest: who has been idle for longest goes. What is being worked on is left alone.
        others()
            .flat_map(|(process, own)| own.places.iter().map(move |place| (*process, place)))
            .filter(|(_, (_, place))| place.doing.phase() <= Phase::Body)
            .min_by_key(|(_, (_, place))| place.doing.since())
            .map(|(process, (id, _))| (process, *id))
    }

    fn count(&self, process: Process) -> usize {
        self.processes
            .get(&process)
            .map_or(0, |own| own.places.len())
    }

    fn of_user(&self, uid: u32) -> usize {
        self.users.get(&uid).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Peer;

    const LIMITS: fn() -> Limits = || Limits {
        connections: 32,
        connections_of_process: 12,
        connections_kept: 4,
        ..Limits::default()
    };

    fn process(uid: u32, pid: u32) -> Process {
        Process {
            uid,
            pid,
            inode: u64::from(pid),
        }
    }

    fn seat(table: &mut Table, process: Process) -> Option<Seated> {
        table.seat(process, || {
            let peer = Peer {
                uid: process.uid,
                pid: process.pid,
                pidfd: None,
            };
            Account::new(process, peer)
        })
    }

    /// Everybody who was told to go goes.
    fn settle(table: &mut Table, held: &mut Vec<Seated>) {
        held.retain(|seated| {
            let goes = told_to_go(seated);
            if goes {
                let _last = table.left(seated.account.process, seated.id);
            }
            !goes
        });
    }

    fn told_to_go(seated: &Seated) -> bool {
        let mut told = std::pin::pin!(seated.place.leave.notified());
        told.as_mut().enable()
    }

    #[test]
    fn one_process_gets_its_share_and_no_more() {
        let mut table = Table::new(LIMITS());
        let had: Vec<_> = (0..1000)
            .filter_map(|_| seat(&mut table, process(1, 1)))
            .collect();
        assert_eq!(had.len(), 12);
        assert!(!had.iter().any(told_to_go));
        assert!(seat(&mut table, process(1, 2)).is_some());
    }

    #[test]
    fn from_many_greedy_processes_a_place_is_taken_for_whoever_comes_with_few() {
        let mut table = Table::new(LIMITS());
        let mut held = Vec::new();
        for pid in 0..50 {
            for _ in 0..200 {
                held.extend(seat(&mut table, process(1, pid)));
                settle(&mut table, &mut held);
            }
        }
        assert_eq!(table.connections, 28, "one user leaves some to others");
        let modest = process(1, 1000);
        let own: Vec<_> = (0..4)
            .map(|_| seat(&mut table, modest).expect("a place"))
            .collect();
        assert_eq!(table.connections, 28);
        // What the others do now takes nothing from it that it works with.
        for place in &own {
            place.place.doing.set(Phase::Handling);
        }
        for pid in 0..50 {
            for _ in 0..200 {
                held.extend(seat(&mut table, process(1, pid)));
                settle(&mut table, &mut held);
            }
        }
        assert!(!own.iter().any(told_to_go));
        assert!(seat(&mut table, process(2, 2000)).is_some(), "another user");
    }

    #[test]
    fn of_the_greediest_the_longest_idle_goes_first() {
        let mut table = Table::new(LIMITS());
        let greedy: Vec<_> = (0..12)
            .map(|_| seat(&mut table, process(1, 1)).expect("a place"))
            .collect();
        let _others: Vec<_> = (2..18)
            .map(|pid| seat(&mut table, process(1, pid)).expect("a place"))
            .collect();
        for (n, seated) in greedy.iter().enumerate() {
            seated.place.doing.set(match n {
                5 | 7 => Phase::Idle,
                6 => Phase::Head,
                _ => Phase::Handling,
            });
        }
        for expected in [5, 7, 6] {
            assert!(seat(&mut table, process(1, 100)).is_some());
            assert!(told_to_go(&greedy[expected]), "{expected}");
        }
    }

    #[test]
    fn what_has_gone_makes_room_and_leaves_nothing() {
        let mut table = Table::new(LIMITS());
        for round in 0..100 {
            let own = process(1, round % 3);
            let seated: Vec<_> = (0..12).filter_map(|_| seat(&mut table, own)).collect();
            assert_eq!(seated.len(), 12);
            for (n, gone) in seated.iter().enumerate() {
                assert_eq!(table.left(own, gone.id), n == 11);
            }
        }
        assert!(table.processes.is_empty() && table.users.is_empty());
        assert_eq!((table.connections, table.leaving), (0, 0));
    }

    #[test]
    fn no_more_are_on_their_way_out_than_there_are_places() {
        let mut table = Table::new(LIMITS());
        let given = (0..10_000)
            .filter_map(|pid| seat(&mut table, process(pid % 7, pid)))
            .count();
        assert_eq!(given, 64, "as many again, until those told to go have gone");
    }

    #[test]
    fn a_process_that_comes_again_is_the_same_account() {
        let mut table = Table::new(LIMITS());
        let first = seat(&mut table, process(1, 1)).expect("a place");
        let second = seat(&mut table, process(1, 1)).expect("a place");
        assert!(Arc::ptr_eq(&first.account, &second.account));
        let later = Process {
            inode: 99,
            ..process(1, 1)
        };
        let later = seat(&mut table, later).expect("a place");
        assert!(!Arc::ptr_eq(&first.account, &later.account), "a pid again");
    }
}
