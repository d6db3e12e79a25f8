//! What witnesses say of the log: a cosigned checkpoint that a person's program hands in, for policies that grant nothing without one.
//!
//! The broker asks no witness itself; `valetkey audit witness --hand-in` does, from a timer. Whose word counts is in `witness.policy` of the state directory.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use valetkey_api::{Problem, ProblemKind, Witnessed};
use valetkey_audit::{Checkpoint, LogPublicKey, WitnessPolicy};
use valetkey_model::{Timestamp, WitnessDuty};

/// The file of the policy, and of the last checkpoint that was handed in.
const POLICY: &str = "witness.policy";
const LAST: &str = "log.witnessed";

/// How far a witness's clock may be ahead.
const CLOCKS_APART_SECONDS: u64 = 60;

/// What was handed in last.
#[derive(Debug)]
pub(crate) struct Witnesses {
    policy: Result<WitnessPolicy, String>,
    log: LogPublicKey,
    last: PathBuf,
    /// Since when the log is witnessed, in Unix seconds, and how much of it.
    known: Mutex<Option<Witnessed>>,
}

impl Witnesses {
    /// What the state directory has. Without a policy nothing counts as witnessed.
    pub(crate) fn load(state: &Path, log: &LogPublicKey) -> Self {
        let witnesses = Self {
            policy: policy(&state.join(POLICY)),
            log: log.clone(),
            last: state.join(LAST),
            known: Mutex::new(None),
        };
        let note = valetkey_store::read_private(&witnesses.last).unwrap_or_default();
        let known = witnesses.read(&note).ok();
        *witnesses.lock() = known;
        witnesses
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Witnessed>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, note: &[u8]) -> Result<Witnessed, String> {
        let policy = self.policy.as_ref().map_err(Clone::clone)?;
        let since = policy
            .witnessed(note, &self.log)
            .map_err(|error| error.to_string())?;
        if policy.witnesses().is_empty() || since == u64::MAX {
            return Err("the policy asks for no witness".to_owned());
        }
        let checkpoint = Checkpoint::open(note, &self.log).map_err(|error| error.to_string())?;
        Ok(Witnessed {
            events: checkpoint.size,
            since,
        })
    }

    /// Takes a cosigned checkpoint of a log that has `events` now.
    ///
    /// # Errors
    /// When it does not count.
    pub(crate) fn hand_in(&self, note: &str, events: u64) -> Result<Witnessed, Problem> {
        let refused = |why: &str| {
            Problem::new(
                ProblemKind::Invalid,
                format!("the checkpoint does not count: {why}"),
            )
        };
        let read = self.read(note.as_bytes()).map_err(|why| refused(&why))?;
        if read.events > events {
            return Err(refused("it covers more events than this log has"));
        }
        let mut known = self.lock();
        if let Some(before) = known.as_ref().filter(|before| before.since >= read.since) {
            return Ok(before.clone());
        }
        valetkey_store::write_atomically(&self.last, note.as_bytes(), 0o600)
            .map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))?;
        *known = Some(read.clone());
        Ok(read)
    }

    /// Why a duty is not met at `now`; none if it is.
    pub(crate) fn unmet(&self, duty: WitnessDuty, now: Timestamp) -> Option<String> {
        let most = duty.max_age_seconds;
        if let Err(why) = &self.policy {
            return Some(format!("policy wants the log witnessed, and {why}"));
        }
        let now = now.unix_ms() / 1000;
        let age = self.lock().as_ref().map(|known| {
            let ahead = known.since.saturating_sub(now);
            (
                now.saturating_sub(known.since),
                ahead <= CLOCKS_APART_SECONDS,
            )
        });
        match age {
            Some((age, true)) if age <= most => None,
            Some((age, true)) => Some(format!(
                "the log was witnessed {age} seconds ago, and policy wants {most} at most"
            )),
            Some((_, false)) => Some("the witnesses' clocks are ahead of this one".to_owned()),
            None => Some(format!(
                "policy wants the log witnessed in the last {most} seconds, and no checkpoint was handed in"
            )),
        }
    }
}

/// The policy in the broker's own file.
fn policy(file: &Path) -> Result<WitnessPolicy, String> {
    let bytes = match valetkey_store::read_private(file) {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => {
            return Err("there is no `witness.policy` that says by whom".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    let text = String::from_utf8(bytes).map_err(|_| "`witness.policy` is not text".to_owned())?;
    text.parse()
        .map_err(|error| format!("`witness.policy` cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use valetkey_audit::{LogKey, WitnessKey};
    use valetkey_model::Digest;

    use super::*;

    fn log() -> LogKey {
        LogKey::new("valetkey.test/log", &[1; 32]).expect("a key")
    }

    fn witness(number: u8) -> WitnessKey {
        WitnessKey::new("witness.test/w", &[number; 32]).expect("a key")
    }

    fn note(size: u64, by: &WitnessKey, time: u64) -> String {
        let checkpoint = Checkpoint {
            origin: "valetkey.test/log".to_owned(),
            size,
            root: Digest::of(b"root"),
            extensions: Vec::new(),
        };
        checkpoint.sign(&log()) + &by.cosign(&checkpoint, time)
    }

    fn home(policy: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join(POLICY);
        valetkey_store::write_atomically(&file, policy.as_bytes(), 0o600).expect("written");
        home
    }

    fn unmet(witnesses: &Witnesses, seconds: u64) -> bool {
        let duty = WitnessDuty {
            max_age_seconds: 60,
        };
        let now = Timestamp::from_unix_seconds(seconds);
        witnesses.unmet(duty, now).is_some()
    }

    #[test]
    fn a_duty_is_met_by_a_fresh_quorum_of_this_log_and_by_nothing_else() {
        let one = format!("witness w {}\nquorum w\n", witness(2).public());
        let home = home(&one);
        let load = || Witnesses::load(home.path(), log().public());
        let witnesses = load();
        assert!(unmet(&witnesses, 1000));
        assert!(
            witnesses.hand_in(&note(5, &witness(3), 1000), 9).is_err(),
            "a stranger's"
        );
        assert!(
            witnesses.hand_in(&note(10, &witness(2), 1000), 9).is_err(),
            "of a longer log"
        );
        assert!(witnesses.hand_in("nonsense", 9).is_err());
        assert!(unmet(&witnesses, 1000));
        assert!(witnesses.hand_in(&note(5, &witness(2), 1000), 9).is_ok());
        assert!(!unmet(&witnesses, 1000) && !unmet(&witnesses, 1060));
        assert!(unmet(&witnesses, 1061));
        assert!(unmet(&witnesses, 900), "a time that is not yet");
        // An older one takes nothing back, and a new broker knows the last.
        assert!(witnesses.hand_in(&note(4, &witness(2), 990), 9).is_ok());
        assert!(!unmet(&witnesses, 1060) && !unmet(&load(), 1060));
    }

    #[test]
    fn without_a_policy_of_witnesses_no_duty_is_met() {
        for policy in ["", "quorum none\n", "nonsense\n"] {
            let home = home(policy);
            let witnesses = Witnesses::load(home.path(), log().public());
            assert!(
                witnesses.hand_in(&note(5, &witness(2), 1000), 9).is_err(),
                "{policy}"
            );
            assert!(unmet(&witnesses, 1000), "{policy}");
        }
        let empty = tempfile::tempdir().expect("a directory");
        assert!(unmet(&Witnesses::load(empty.path(), log().public()), 1000));
    }
}
