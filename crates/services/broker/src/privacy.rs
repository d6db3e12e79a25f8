//! What the log may say of people: every event passes here before it is hashed, and what policy keeps of it is sealed beside the log.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use valetkey_api::{Auditor, Auditors, ChangeAuditors, Mode, Problem, ProblemKind};
use valetkey_audit::Event;
use valetkey_model::{Digest, Timestamp, read_json};
use valetkey_privacy::age::{Recipient, seal};
use valetkey_privacy::{Hands, Originals, PrivacyKey, Rules, is_keyed, redacted};
use valetkey_store::{SealedStore, StoreError};
use valetkey_sys::clock::Clock;

use crate::keys;

/// The rules that are built in, for a person's own log and for that of a system's broker: policy data.
const BUILT_IN: &str = include_str!("../../../../policies/audit.json");
const BUILT_IN_SYSTEM: &str = include_str!("../../../../policies/audit-system.json");

/// The key of keyed hashes, among the other keys.
const KEY: &str = "log-privacy.key";

/// Auditors of one home: what is sealed grows with each.
const AUDITORS_MAX: usize = 16;

/// Originals whose blob is remembered, so that what comes again and again is sealed once.
const REMEMBERED: usize = 1024;

/// Everything that stands between an event and the log.
pub(crate) struct Privacy {
    rules: Rules,
    key: PrivacyKey,
    /// The auditors' file, and who is in it.
    file: PathBuf,
    auditors: RwLock<Sealers>,
    store: SealedStore,
    /// The blob of each, and whether it is durable yet.
    sealed: Mutex<HashMap<Digest, (Digest, bool)>>,
    clock: Arc<Clock>,
}

/// The auditors, and their keys by hand.
#[derive(Clone, Default)]
struct Sealers {
    list: Auditors,
    hands: [Vec<Recipient>; 2],
}

impl std::fmt::Debug for Privacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Privacy({:?})", self.rules)
    }
}

impl Privacy {
    /// What the home says. A file that cannot be used stops the broker: under other rules, names would be in the log for good.
    pub(crate) fn load(state: &Path, mode: Mode, clock: Arc<Clock>) -> Result<Self, String> {
        let file = state.join("auditors.json");
        let auditors = match valetkey_store::read_private(&file) {
            Ok(bytes) => {
                let list =
                    read_json(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
                Sealers::of(list).map_err(|problem| problem.detail)?
            }
            Err(error) if error.is_absent() => Sealers::default(),
            Err(error) => return Err(error.to_string()),
        };
        let key = keys::seed(&state.join("keys"), KEY).map_err(|error| error.to_string())?;
        Ok(Self {
            rules: rules(&state.join("audit.json"), mode)?,
            key: PrivacyKey::new(&key),
            file,
            auditors: RwLock::new(auditors),
            store: SealedStore::open(&state.join("sealed")).map_err(|error| error.to_string())?,
            sealed: Mutex::default(),
            clock,
        })
    }

    /// The event as it may stand in the log. Where policy keeps originals they are sealed first, durable where the event is to be; an event whose originals
    /// cannot be kept is none that policy lets be recorded.
    pub(crate) fn edit(&self, event: Event, durable: bool) -> Result<Event, Problem> {
        let redacted = redacted(event, &self.rules, &self.key);
        let Some(originals) = redacted.originals else {
            return Ok(redacted.event);
        };
        Ok(match self.keep(&originals, durable)? {
            Some(digest) => redacted
                .event
                .attribute("sealed", digest.to_string().as_str()),
            None => redacted.event,
        })
    }

    /// Seals originals, if there is somebody to seal them to.
    fn keep(&self, originals: &Originals, durable: bool) -> Result<Option<Digest>, Problem> {
        let auditors = self.auditors.read().unwrap_or_else(PoisonError::into_inner);
        let [first, second] = &auditors.hands;
        let hands: Vec<Vec<Recipient>> = match self.rules.hands_to_unseal {
            Hands::One => vec![[first.as_slice(), second].concat()],
            Hands::Two => vec![first.clone(), second.clone()],
        };
        if hands.iter().any(|hand| hand.is_empty()) {
            return Ok(None);
        }
        let content = originals.text();
        let name = Digest::tagged(
            "valetkey originals v1",
            &[originals.person.as_bytes(), b"\n", &content].concat(),
        );
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, is_durable)) = sealed.get(&name)
            && (*is_durable || !durable)
        {
            return Ok(Some(*known));
        }
        let mut blob = content;
        for hand in hands {
            blob = seal(&blob, &hand, &mut |buffer| {
                getrandom::fill(buffer).map_err(|error| error.to_string())
            })
            .map_err(|error| unkept(&error.to_string()))?;
        }
        let now = Timestamp::from_unix_ms(self.clock.now_ms());
        let digest = self
            .store
            .put(&originals.person, now, &blob, durable)
            .map_err(|error| unkept(&error.to_string()))?;
        if sealed.len() >= REMEMBERED {
            sealed.clear();
        }
        sealed.insert(name, (digest, durable));
        Ok(Some(digest))
    }

    /// Everyone to whom originals are sealed.
    pub(crate) fn auditors(&self) -> Auditors {
        let auditors = self.auditors.read().unwrap_or_else(PoisonError::into_inner);
        auditors.list.clone()
    }

    /// The auditors after a change, if that is one.
    pub(crate) fn changed(&self, change: &ChangeAuditors) -> Result<Auditors, Problem> {
        let mut list = self.auditors();
        match change {
            ChangeAuditors::Add(auditor) => {
                if list.auditors.iter().any(|other| other.name == auditor.name) {
                    return Err(invalid("there is an auditor of this name already"));
                }
                list.auditors.push(auditor.clone());
            }
            ChangeAuditors::Remove(name) => {
                let before = list.auditors.len();
                list.auditors.retain(|other| other.name != *name);
                if list.auditors.len() == before {
                    return Err(Problem::new(
                        ProblemKind::NotFound,
                        format!("no auditor is called `{name}`"),
                    ));
                }
            }
        }
        Sealers::of(list).map(|sealers| sealers.list)
    }

    /// Puts other auditors in place.
    pub(crate) fn replace(&self, list: Auditors) -> Result<(), Problem> {
        let sealers = Sealers::of(list)?;
        let bytes =
            serde_json::to_vec(&sealers.list).map_err(|error| unkept(&error.to_string()))?;
        let mut auditors = self
            .auditors
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        valetkey_store::write_atomically(&self.file, &bytes, 0o600)
            .map_err(|error| unkept(&error.to_string()))?;
        *auditors = sealers;
        // What comes again is sealed to those who are auditors now.
        self.forget();
        Ok(())
    }

    /// By what a person's originals are found, and named in the log.
    pub(crate) fn person(&self, user: &str) -> String {
        if is_keyed(user) {
            user.to_owned()
        } else {
            self.key.person(user)
        }
    }

    /// Throws away what is sealed of a person.
    pub(crate) fn erase(&self, person: &str) -> Result<u64, StoreError> {
        let erased = self.store.erase(person);
        self.forget();
        erased
    }

    fn forget(&self) {
        self.sealed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Sealers {
    /// With every key read: one that is none must be found before something is to be sealed to it.
    fn of(list: Auditors) -> Result<Self, Problem> {
        if list.auditors.len() > AUDITORS_MAX {
            return Err(invalid("there are as many auditors as can be"));
        }
        let mut hands = [Vec::new(), Vec::new()];
        for auditor in &list.auditors {
            let Auditor {
                name,
                recipient,
                hand,
            } = auditor;
            if !valetkey_approval::is_name(name) {
                return Err(invalid(
                    "an auditor's name is 1 to 64 of A-Z a-z 0-9 . _ @ + -",
                ));
            }
            let recipient: Recipient =
                recipient
                    .parse()
                    .map_err(|error: valetkey_privacy::age::ParseKeyError| {
                        invalid(&error.to_string())
                    })?;
            let [first, second] = &mut hands;
            match hand {
                1 => first.push(recipient),
                2 => second.push(recipient),
                _ => return Err(invalid("an auditor's hand is 1 or 2")),
            }
        }
        Ok(Self { list, hands })
    }
}

/// The rules: those built in for this way to run, and in their place what the home's own file says.
fn rules(file: &Path, mode: Mode) -> Result<Rules, String> {
    let built_in = match mode {
        Mode::User => BUILT_IN,
        Mode::System => BUILT_IN_SYSTEM,
    };
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    match valetkey_store::read_private(file) {
        Ok(bytes) => Rules::parse(&bytes).map_err(|error| wrong(&error)),
        Err(error) if error.is_absent() => {
            Rules::parse(built_in.as_bytes()).map_err(|error| wrong(&error))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ProblemKind::Invalid, detail)
}

fn unkept(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("the originals that policy keeps could not be sealed: {why}"),
    )
    .hinted(
        false,
        "free disk space where the log lies, or look at `valetkey status`",
    )
}

#[cfg(test)]
mod tests {
    use valetkey_audit::{Actor, EventType};
    use valetkey_privacy::age::{Identity, open};

    use super::*;

    fn privacy(home: &Path, rules: &str) -> Result<Privacy, String> {
        valetkey_store::write_atomically(&home.join("audit.json"), rules.as_bytes(), 0o600)
            .unwrap();
        Privacy::load(home, Mode::User, Arc::new(Clock::start(0)))
    }

    fn event() -> Event {
        Event::new(EventType::SessionOpened, Actor::Guard).user(1000, "alice")
    }

    fn sealed(home: &Path, event: Event) -> Option<Vec<u8>> {
        let time = Timestamp::from_unix_ms(1);
        let id = valetkey_model::EventId::new(time, [0; 10]);
        let sealed = event.seal(0, id, time).unwrap();
        let record = valetkey_audit::Record::parse(sealed.bytes()).unwrap();
        let valetkey_audit::Attribute::Text(digest) = record.attributes.get("sealed")? else {
            return None;
        };
        SealedStore::find(&home.join("sealed"), &digest.parse().unwrap()).unwrap()
    }

    fn add(privacy: &Privacy, name: &str, key: &Identity, hand: u8) {
        let auditor = Auditor {
            name: name.to_owned(),
            recipient: key.recipient().to_string(),
            hand,
        };
        let next = privacy.changed(&ChangeAuditors::Add(auditor)).unwrap();
        privacy.replace(next).unwrap();
    }

    const SEAL: &str = r#"{"fields": {"user": "seal"}}"#;

    #[test]
    fn originals_are_sealed_to_those_who_are_auditors_then() {
        let home = tempfile::tempdir().unwrap();
        let privacy = privacy(home.path(), SEAL).unwrap();
        assert_eq!(
            sealed(home.path(), privacy.edit(event(), true).unwrap()),
            None
        );
        let (a, b) = (Identity::new(&[1; 32]), Identity::new(&[2; 32]));
        add(&privacy, "a", &a, 1);
        let first = sealed(home.path(), privacy.edit(event(), true).unwrap()).unwrap();
        let again = sealed(home.path(), privacy.edit(event(), true).unwrap()).unwrap();
        assert_eq!(first, again, "what comes again is sealed once");
        add(&privacy, "b", &b, 1);
        let both = sealed(home.path(), privacy.edit(event(), true).unwrap()).unwrap();
        let opens = |blob: &[u8], key: &Identity| open(blob, std::slice::from_ref(key)).is_ok();
        assert!(opens(&first, &a) && !opens(&first, &b) && opens(&both, &b));
        // The auditors are there after a restart, and what is sealed goes with its person alone.
        drop(privacy);
        let privacy = Privacy::load(home.path(), Mode::User, Arc::new(Clock::start(0))).unwrap();
        assert_eq!(privacy.auditors().auditors.len(), 2);
        let left = privacy.edit(event(), true).unwrap();
        assert_eq!(privacy.erase(&privacy.person("bob")).unwrap(), 0);
        assert!(sealed(home.path(), left.clone()).is_some());
        assert_eq!(privacy.erase(&privacy.person("alice")).unwrap(), 3);
        assert_eq!(sealed(home.path(), left), None);
        assert!(sealed(home.path(), privacy.edit(event(), true).unwrap()).is_some());
    }

    #[test]
    fn where_policy_wants_two_hands_no_one_of_them_opens_alone() {
        let home = tempfile::tempdir().unwrap();
        let rules = r#"{"fields": {"user": "seal"}, "hands_to_unseal": 2}"#;
        let privacy = privacy(home.path(), rules).unwrap();
        let (a, b) = (Identity::new(&[1; 32]), Identity::new(&[2; 32]));
        add(&privacy, "a", &a, 1);
        assert_eq!(
            sealed(home.path(), privacy.edit(event(), true).unwrap()),
            None,
            "one hand alone is none"
        );
        add(&privacy, "b", &b, 2);
        let blob = sealed(home.path(), privacy.edit(event(), true).unwrap()).unwrap();
        assert!(open(&blob, std::slice::from_ref(&a)).is_err());
        let inner = open(&blob, std::slice::from_ref(&b)).unwrap();
        assert!(open(&inner, std::slice::from_ref(&b)).is_err());
        assert_eq!(
            *open(&inner, std::slice::from_ref(&a)).unwrap(),
            br#"{"user":"alice"}"#
        );
    }

    #[test]
    fn what_cannot_be_used_stops_the_broker() {
        for wrong in ["", "[]", r#"{"fields": {"users": "hash"}}"#] {
            let home = tempfile::tempdir().unwrap();
            assert!(privacy(home.path(), wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "[]",
            r#"{"auditors":[{"name":"a","recipient":"age1qq","hand":1}]}"#,
        ] {
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join("auditors.json");
            valetkey_store::write_atomically(&file, wrong.as_bytes(), 0o600).unwrap();
            assert!(privacy(home.path(), SEAL).is_err(), "{wrong}");
        }
    }

    #[test]
    fn originals_that_cannot_be_kept_keep_the_event_out() {
        let home = tempfile::tempdir().unwrap();
        let privacy = privacy(home.path(), SEAL).unwrap();
        add(&privacy, "a", &Identity::new(&[1; 32]), 1);
        std::fs::remove_dir(home.path().join("sealed")).unwrap();
        let refused = privacy.edit(event(), true).unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Unavailable);
    }
}
