//! Appointments: who may answer for other people's sessions where one broker serves many, as root says.
//!
//! In a registry of one's own the owner says who else there is, and could say it of a second key of their own. Where policy wants two people,
//! that must not be theirs to say.

use serde::{Deserialize, Serialize};

use crate::approver::{APPROVERS_MAX, Approver, Approvers, OWNER, is_name};

/// Appointments of one broker: read whole for each question.
const APPOINTMENTS_MAX: usize = 1024;

/// Somebody who may answer for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Appointment {
    /// The name of their account, under which they answer.
    pub name: String,
    /// Their user id.
    pub uid: u32,
    /// The roles in which they answer for others; never `owner`.
    pub roles: Vec<String>,
    /// Whose sessions they answer for; everyone's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_uid: Option<u32>,
}

/// All appointments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appointments {
    appointments: Vec<Appointment>,
}

impl Appointment {
    fn is_usable(&self) -> bool {
        let roles = &self.roles;
        let is_role = |role: &String| is_name(role) && role != OWNER;
        is_name(&self.name) && !roles.is_empty() && roles.iter().all(is_role)
    }

    /// Whether it is for the sessions of a user. Nobody is appointed for their own.
    fn is_for(&self, uid: u32) -> bool {
        self.uid != uid && self.for_uid.is_none_or(|whose| whose == uid)
    }
}

impl Appointments {
    /// The same, each checked again as if it were new; nothing if one would not be taken.
    #[must_use]
    pub fn checked(self) -> Option<Self> {
        let mut checked = Self::default();
        let mut all = self.appointments.into_iter();
        all.all(|one| checked.add(one)).then_some(checked)
    }

    /// Adds one, in the place of one of the same person for the same sessions. Returns whether it was taken.
    #[must_use]
    pub fn add(&mut self, appointment: Appointment) -> bool {
        if !appointment.is_usable() {
            return false;
        }
        drop(self.remove(appointment.uid, appointment.for_uid));
        if self.appointments.len() >= APPOINTMENTS_MAX {
            return false;
        }
        self.appointments.push(appointment);
        true
    }

    /// Takes one out.
    pub fn remove(&mut self, uid: u32, for_uid: Option<u32>) -> Option<Appointment> {
        let is_it = |one: &Appointment| one.uid == uid && one.for_uid == for_uid;
        let place = self.appointments.iter().position(is_it)?;
        Some(self.appointments.remove(place))
    }

    /// All of them, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Appointment> {
        self.appointments.iter()
    }

    /// Those that are for the sessions of a user.
    pub fn for_user(&self, uid: u32) -> impl Iterator<Item = &Appointment> {
        self.iter().filter(move |one| one.is_for(uid))
    }

    /// Everyone who may answer for a user's sessions: the user, by the registry of their own and under their own name, and those who are
    /// appointed, each by the key that they registered for themselves. Whom the user added is none of them.
    pub fn approvers(
        &self,
        uid: u32,
        name: &str,
        registry_of: impl Fn(u32) -> Approvers,
    ) -> Approvers {
        let mut all = registry_of(uid);
        let others: Vec<Approver> = all.iter().filter(|one| one.name != name).cloned().collect();
        others.iter().for_each(|one| all.take_out(one));
        for appointed in self.for_user(uid).take(APPROVERS_MAX) {
            let registry = registry_of(appointed.uid);
            let Some(own) = registry.by_name(&appointed.name) else {
                continue;
            };
            // A name or a key that is there already is not taken: nobody counts twice.
            let mut roles = appointed.roles.clone();
            if let Some(known) = all.by_name(&appointed.name).cloned()
                && known.public_key == own.public_key
                && known.name != name
            {
                all.take_out(&known);
                roles.extend(known.roles);
                roles.sort_unstable();
                roles.dedup();
            }
            let _taken = all.add(Approver {
                name: own.name.clone(),
                roles,
                public_key: own.public_key.clone(),
            });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approver::ApproverKey;

    const ALICE: u32 = 1000;
    const BOB: u32 = 1001;

    fn appointment(uid: u32, role: &str, for_uid: Option<u32>) -> Appointment {
        Appointment {
            name: if uid == BOB { "bob" } else { "alice" }.to_owned(),
            uid,
            roles: vec![role.to_owned()],
            for_uid,
        }
    }

    fn registry(uid: u32) -> Approvers {
        let (seed, name) = if uid == BOB { (2, "bob") } else { (1, "alice") };
        let own = ApproverKey::from_seed(&[seed; 32]).approver(name, &[OWNER]);
        Approvers::found(format!("registry of {uid}"), own).expect("a registry")
    }

    #[test]
    fn who_is_appointed_answers_in_that_role_with_their_own_key_and_nobody_else_does() {
        let mut all = Appointments::default();
        assert!(all.add(appointment(BOB, "finance-approver", Some(ALICE))));
        let who = all.approvers(ALICE, "alice", registry);
        let bob = who.by_name("bob").expect("bob");
        assert_eq!(bob.roles, ["finance-approver"]);
        assert_eq!(
            bob.public_key,
            registry(BOB).by_name("bob").unwrap().public_key
        );
        assert!(who.by_name("alice").unwrap().has_role(OWNER));
        // Not the other way round, and not for a third.
        assert!(
            all.approvers(BOB, "bob", registry)
                .by_name("alice")
                .is_none()
        );
        let third = all.approvers(1002, "alice", registry);
        assert!(third.by_name("bob").is_none());
        assert_eq!(all.remove(BOB, Some(ALICE)).unwrap().name, "bob");
        assert!(
            all.approvers(ALICE, "alice", registry)
                .by_name("bob")
                .is_none()
        );
    }

    #[test]
    fn whom_the_user_added_does_not_count() {
        let second_self = ApproverKey::from_seed(&[9; 32]).approver("bob", &["finance-approver"]);
        let registry = |uid| {
            let mut all = registry(uid);
            if uid == ALICE {
                assert!(all.add(second_self.clone()));
            }
            all
        };
        let mut all = Appointments::default();
        assert!(
            all.approvers(ALICE, "alice", registry)
                .by_name("bob")
                .is_none()
        );
        assert!(all.add(appointment(BOB, "finance-approver", None)));
        let who = all.approvers(ALICE, "alice", registry);
        assert_ne!(
            who.by_name("bob").unwrap().public_key,
            second_self.public_key
        );
    }

    #[test]
    fn one_key_is_one_person() {
        // Bob has registered alice's key as his own.
        let registry = |uid| {
            let own = ApproverKey::from_seed(&[1; 32]);
            let name = if uid == BOB { "bob" } else { "alice" };
            Approvers::found("r".to_owned(), own.approver(name, &[OWNER])).expect("a registry")
        };
        let mut all = Appointments::default();
        assert!(all.add(appointment(BOB, "finance-approver", None)));
        let who = all.approvers(ALICE, "alice", registry);
        assert_eq!(who.iter().count(), 1);
    }

    #[test]
    fn roles_of_two_appointments_go_together() {
        let mut all = Appointments::default();
        assert!(all.add(appointment(BOB, "hr", None)));
        assert!(all.add(appointment(BOB, "finance", Some(ALICE))));
        let who = all.approvers(ALICE, "alice", registry);
        assert_eq!(who.by_name("bob").unwrap().roles, ["finance", "hr"]);
        let who = all.approvers(1002, "alice", registry);
        assert_eq!(who.by_name("bob").unwrap().roles, ["hr"]);
    }

    #[test]
    fn nobody_is_appointed_an_owner_or_without_a_role() {
        let mut all = Appointments::default();
        assert!(!all.add(appointment(BOB, OWNER, None)));
        assert!(!all.add(appointment(BOB, "a role", None)));
        assert!(!all.add(Appointment {
            roles: vec![],
            ..appointment(BOB, "x", None)
        }));
        assert_eq!(all.iter().count(), 0);
        // Nobody answers for themselves by an appointment for everyone.
        assert!(all.add(appointment(ALICE, "finance", None)));
        let own = all.approvers(ALICE, "alice", registry);
        assert!(!own.by_name("alice").unwrap().has_role("finance"));
    }
}
