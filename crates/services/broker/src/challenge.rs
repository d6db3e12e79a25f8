//! Fresh values that a person signs to break the glass: each good for one attempt, for a short time, of the user who asked for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use valetkey_api::Challenge;
use valetkey_model::Timestamp;

/// How long one is good: the program asks for it when the key is open, and signs at once.
const LIFE_SECONDS: u64 = 30;
/// Those of one user that are good at once; beyond this the oldest ends.
const MAX_OPEN: usize = 8;

/// The values that were given out and not used yet. None outlives the broker.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    open: Mutex<Vec<Open>>,
}

#[derive(Debug)]
struct Open {
    uid: u32,
    value: String,
    until: Timestamp,
}

impl Challenges {
    /// A new one of these random bytes.
    pub(crate) fn give(&self, uid: u32, random: &[u8; 32], now: Timestamp) -> Challenge {
        let challenge = Challenge {
            challenge: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            expires_at: now.plus_seconds(LIFE_SECONDS),
        };
        let mut open = self.lock();
        open.retain(|other| now < other.until);
        if open.iter().filter(|other| other.uid == uid).count() >= MAX_OPEN
            && let Some(oldest) = open.iter().position(|other| other.uid == uid)
        {
            drop(open.remove(oldest));
        }
        open.push(Open {
            uid,
            value: challenge.challenge.clone(),
            until: challenge.expires_at,
        });
        challenge
    }

    /// Uses one up. Whether it was good; whatever comes of the attempt, it is not any more.
    pub(crate) fn take(&self, uid: u32, value: &str, now: Timestamp) -> bool {
        let mut open = self.lock();
        let own = |other: &Open| other.uid == uid && other.value == value;
        let Some(at) = open.iter().position(own) else {
            return false;
        };
        now < open.remove(at).until
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn a_challenge_is_good_once_for_a_moment_and_for_one_user() {
        let challenges = Challenges::default();
        let one = challenges.give(1000, &[1; 32], at(0)).challenge;
        assert!(!challenges.take(1001, &one, at(1)), "another's");
        assert!(!challenges.take(1000, "", at(1)));
        assert!(challenges.take(1000, &one, at(1)));
        assert!(!challenges.take(1000, &one, at(1)), "twice");
        let late = challenges.give(1000, &[2; 32], at(0));
        assert_eq!(late.expires_at, at(30));
        assert!(!challenges.take(1000, &late.challenge, at(30)));
        // What came too late is not good in an earlier second either.
        assert!(!challenges.take(1000, &late.challenge, at(1)));
    }

    #[test]
    fn a_user_has_few_and_takes_nobody_elses_room() {
        let challenges = Challenges::default();
        let other = challenges.give(1001, &[0; 32], at(0)).challenge;
        let own: Vec<String> = (1..=20)
            .map(|number| challenges.give(1000, &[number; 32], at(1)).challenge)
            .collect();
        let good = own.iter().filter(|one| challenges.take(1000, one, at(2)));
        assert_eq!(good.count(), MAX_OPEN);
        assert!(challenges.take(1001, &other, at(2)));
    }
}
