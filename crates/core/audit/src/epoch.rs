//! Epochs: which key signs beside the log's own, from the log's first event to its last.
//!
//! The log's key stays, so that whoever has its public half can check any checkpoint. Whoever takes it could write another history, were it not for the
//! epochs: a second signature, by a key that is used for an hour and erased. The last event of an epoch commits the public key of the next, under the
//! epoch's own key; the first event of the next says so again, under the new key. The key of the first epoch is named by the log's name itself.
//! INVARIANT (forward security): no checkpoint after the end of an epoch is accepted from that epoch's key, so its secret can be erased, and must be.

use sha2::{Digest as _, Sha256};

use crate::attribute::Attribute;
use crate::event::{Actor, Event, Record};
use crate::key::LogPublicKey;
use crate::kind::EventType;

/// What stands before an event's type. Only the person comes after it, who has no member of this name, so the last one in the bytes is it: quotes are
/// escaped in texts. Looking from the end makes this cheap for events that are something else.
const TYPE: &[u8] = b"\"type\":\"";

/// What stands in a log's name before the digest of its first epoch's key.
const FIRST: &str = "/epoch-";

/// Bytes of that digest: nobody finds another key to it.
const FIRST_BYTES: usize = 16;

/// How the types of events that end or begin an epoch start.
const EPOCH: &[u8] = b"log.epoch_";

/// Why an epoch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochEnd {
    /// It has signed so many events.
    Events,
    /// It is so old.
    Age,
    /// The log is closed, so that the key that lies on the disk has signed nothing yet.
    Closed,
    /// Somebody asked.
    Asked,
    /// The log was opened, and the key had lain on the disk since a crash or an earlier version.
    Opened,
}

impl EpochEnd {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Age => "age",
            Self::Closed => "closed",
            Self::Asked => "asked",
            Self::Opened => "opened",
        }
    }
}

/// The last event of epoch number `epoch`: it commits the key of the next.
pub fn epoch_ended(epoch: u64, next: &LogPublicKey, why: EpochEnd) -> Event {
    Event::new(EventType::LogEpochEnded, Actor::Broker)
        .attribute("epoch", epoch)
        .attribute("next_key", next.to_string().as_str())
        .attribute("reason", why.name())
}

/// The first event of epoch number `epoch`, the first under its key.
pub fn epoch_began(epoch: u64, key: &LogPublicKey) -> Event {
    Event::new(EventType::LogEpochBegan, Actor::Broker)
        .attribute("epoch", epoch)
        .attribute("key", key.to_string().as_str())
}

/// The name of a log whose first epoch is signed with the key of these 32 bytes. Whoever has the log's name, as it stands in its verifier key, has with
/// it the beginning of the chain of keys.
#[must_use]
pub fn name_with_first_epoch(place: &str, key: &LogPublicKey) -> String {
    format!("{place}{FIRST}{}", first_epoch_digest(key))
}

fn first_epoch_digest(key: &LogPublicKey) -> String {
    let digest = Sha256::new()
        .chain_update(b"valetkey log first epoch v1\n")
        .chain_update(key.point())
        .finalize();
    let bytes = digest.iter().take(FIRST_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// An epoch's number and a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    epoch: u64,
    key: LogPublicKey,
}

/// What the events of one batch say of epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    began: Option<Box<Named>>,
    ended: Option<Box<Named>>,
    fault: Option<&'static str>,
}

impl Marks {
    /// Reads the events of a batch, given as their canonical JSON.
    pub fn of<'a>(payloads: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let last = payloads.len().saturating_sub(1);
        let mut marks = Self::default();
        for (at, payload) in payloads.enumerate() {
            if !is_of_epochs(payload) {
                continue;
            }
            let Ok(record) = Record::parse(payload) else {
                marks.fault = Some("an event about epochs does not read");
                continue;
            };
            if record.kind == EventType::LogEpochBegan {
                marks.take_began(&record, at == 0);
            } else if record.kind == EventType::LogEpochEnded {
                marks.take_ended(&record, at == last);
            }
        }
        marks
    }

    fn take_began(&mut self, record: &Record, first: bool) {
        self.began = named(record, "key").map(Box::new);
        if !first || self.began.is_none() {
            self.fault =
                Some("the beginning of an epoch stands in the wrong place or names no key");
        }
    }

    fn take_ended(&mut self, record: &Record, last: bool) {
        self.ended = named(record, "next_key").map(Box::new);
        if !last || self.ended.is_none() {
            self.fault = Some("the end of an epoch stands in the wrong place or names no key");
        }
    }

    /// Whether an epoch begins with this batch.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.began.is_some()
    }

    /// The key that the last event of this batch commits.
    #[must_use]
    pub fn next_key(&self) -> Option<&LogPublicKey> {
        self.ended.as_ref().map(|ended| &ended.key)
    }
}

fn named(record: &Record, member: &str) -> Option<Named> {
    let (Some(Attribute::Count(epoch)), Some(Attribute::Text(key))) = (
        record.attributes.get("epoch"),
        record.attributes.get(member),
    ) else {
        return None;
    };
    Some(Named {
        epoch: *epoch,
        key: key.parse().ok()?,
    })
}

fn is_of_epochs(payload: &[u8]) -> bool {
    let found = payload
        .windows(TYPE.len())
        .rposition(|window| window == TYPE);
    let kind = found.and_then(|at| payload.get(at.saturating_add(TYPE.len())..));
    kind.is_some_and(|kind| kind.starts_with(EPOCH))
}

/// The epochs' keys of a log as far as it was read: each vouched for by the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochChain {
    name: String,
    past: Vec<LogPublicKey>,
    /// None before the first epoch: a log of an earlier version has events before it.
    current: Option<LogPublicKey>,
    /// An epoch has ended, and the next has not begun.
    between: bool,
}

impl EpochChain {
    /// The beginning of the log of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            past: Vec::new(),
            current: None,
            between: false,
        }
    }

    /// The epoch's key that must have signed the next batch, which says this of epochs; none before the first epoch.
    #[must_use]
    pub fn signer<'a>(&'a self, marks: &'a Marks) -> Option<&'a LogPublicKey> {
        let began = marks.began.as_ref().map(|began| &began.key);
        self.current.as_ref().or(began)
    }

    /// The keys of epochs that have ended, oldest first.
    #[must_use]
    pub fn past(&self) -> &[LogPublicKey] {
        &self.past
    }

    /// Every epoch's key so far; the last signs next.
    #[must_use]
    pub fn keys(&self) -> Vec<LogPublicKey> {
        self.past.iter().chain(&self.current).cloned().collect()
    }

    /// Takes what the next batch says of epochs, once its checkpoint holds for [`EpochChain::signer`].
    ///
    /// # Errors
    /// What is wrong with the order of epochs.
    pub fn advance(&mut self, marks: &Marks) -> Result<(), String> {
        if let Some(fault) = marks.fault {
            return Err(fault.to_owned());
        }
        let epoch = u64::try_from(self.past.len()).unwrap_or(u64::MAX);
        match (&self.current, &marks.began) {
            (None, Some(began)) => self.first(began)?,
            (None, None) if self.name.contains(FIRST) => {
                return Err("the log does not begin with its first epoch".to_owned());
            }
            (None, None) => {}
            (Some(current), Some(began)) if self.between => {
                if began.epoch != epoch || began.key != *current {
                    return Err(format!(
                        "epoch {epoch} must begin here with the key that was committed, and epoch {} with {} does",
                        began.epoch, began.key
                    ));
                }
                self.between = false;
            }
            (Some(_), Some(began)) => {
                return Err(format!(
                    "epoch {} begins where epoch {epoch} has not ended",
                    began.epoch
                ));
            }
            (Some(_), None) if self.between => {
                return Err(format!("epoch {epoch} goes on without a beginning"));
            }
            (Some(_), None) => {}
        }
        marks
            .ended
            .as_ref()
            .map_or(Ok(()), |ended| self.end(epoch, ended))
    }

    /// The first epoch. The log's name names its key, but for a log that was begun by an earlier version.
    fn first(&mut self, began: &Named) -> Result<(), String> {
        let named = self.name.split_once(FIRST).map(|(_, digest)| digest);
        if named.is_some_and(|digest| digest != first_epoch_digest(&began.key)) {
            return Err("the first epoch's key is not the one in the log's name".to_owned());
        }
        if began.epoch != 0 || began.key.name() != self.name {
            return Err(format!("the log begins with epoch {}", began.epoch));
        }
        self.current = Some(began.key.clone());
        Ok(())
    }

    fn end(&mut self, epoch: u64, ended: &Named) -> Result<(), String> {
        let Some(current) = self.current.take_if(|_| ended.epoch == epoch) else {
            return Err(format!("epoch {} ends in epoch {epoch}", ended.epoch));
        };
        let used = ended.key == current || self.past.contains(&ended.key);
        self.past.push(current);
        if used || ended.key.name() != self.name {
            return Err(format!(
                "epoch {epoch} commits a key that was used before, or of another log"
            ));
        }
        self.current = Some(ended.key.clone());
        self.between = true;
        Ok(())
    }
}

/// The keys that ends of epochs commit anywhere in `bytes`. They vouch for nothing: they give what was found a better name.
pub(crate) fn keys_committed_in(bytes: &[u8], name: &str) -> Vec<LogPublicKey> {
    let mut keys: Vec<LogPublicKey> = Vec::new();
    const BEFORE: &str = "\"next_key\":\"";
    let needle = format!("{BEFORE}{name}+");
    let mut at = 0;
    while let Some(found) = find(bytes.get(at..).unwrap_or_default(), needle.as_bytes()) {
        let start = at.saturating_add(found).saturating_add(BEFORE.len());
        let rest = bytes.get(start..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(0);
        let text = std::str::from_utf8(rest.get(..end).unwrap_or_default());
        if let Some(key) = text.ok().and_then(|text| text.parse().ok())
            && !keys.contains(&key)
        {
            keys.push(key);
        }
        at = start;
    }
    keys
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use valetkey_model::{EventId, Timestamp};

    use super::*;
    use crate::LogKey;

    const NAME: &str = "valetkey.test/log";

    fn key(number: u8) -> LogPublicKey {
        named_key(NAME, number)
    }

    fn named_key(name: &str, number: u8) -> LogPublicKey {
        let key = LogKey::new(name, &[number; 32]).unwrap();
        key.public().clone()
    }

    fn marks(events: Vec<Event>) -> Marks {
        let sealed: Vec<_> = events
            .into_iter()
            .zip(0..)
            .map(|(event, seq)| {
                let time = Timestamp::from_unix_ms(1_768_662_720_000);
                event.seal(seq, EventId::new(time, [1; 10]), time).unwrap()
            })
            .collect();
        Marks::of(sealed.iter().map(|event| event.bytes()))
    }

    fn other() -> Event {
        // An event that only looks like one of ours.
        let facts = serde_json::json!({"type": "log.epoch_ended"});
        Event::new(EventType::OperationPerformed, Actor::Agent)
            .attribute("facts", Attribute::facts(&facts).unwrap())
    }

    fn began(epoch: u64, number: u8) -> Event {
        epoch_began(epoch, &key(number))
    }

    fn end(epoch: u64, next: u8) -> Event {
        epoch_ended(epoch, &key(next), EpochEnd::Age)
    }

    /// The chain after some batches, none of which may follow.
    fn none_follows(chain: &EpochChain, wrong: Vec<Vec<Event>>) {
        for events in wrong {
            let marks = marks(events.clone());
            assert!(chain.clone().advance(&marks).is_err(), "{events:?}");
        }
    }

    #[test]
    fn keys_follow_each_other_and_none_comes_back() {
        let mut chain = EpochChain::new(NAME);
        assert_eq!(chain.advance(&marks(vec![other()])), Ok(()));
        assert_eq!(chain.signer(&Marks::default()), None);
        none_follows(&chain, vec![vec![end(0, 2)], vec![began(1, 1)]]);
        let first = marks(vec![began(0, 1)]);
        assert_eq!(chain.signer(&first), Some(&key(1)));
        chain.advance(&first).unwrap();
        chain.advance(&marks(vec![other(), end(0, 2)])).unwrap();
        assert_eq!(chain.signer(&first), Some(&key(2)));
        // Nothing but the beginning of the epoch may follow.
        none_follows(
            &chain,
            vec![
                vec![other()],
                vec![end(1, 3)],
                vec![other(), began(1, 2)],
                vec![began(2, 2)],
                vec![began(1, 3)],
            ],
        );
        chain.advance(&marks(vec![began(1, 2), other()])).unwrap();
        let nameless = Event::new(EventType::LogEpochEnded, Actor::Broker);
        none_follows(
            &chain,
            vec![
                vec![began(1, 2)],
                vec![end(0, 3)],
                vec![end(2, 3)],
                vec![end(1, 1)],
                vec![end(1, 2)],
                vec![end(1, 3), other()],
                vec![end(1, 3), end(1, 4)],
                vec![epoch_ended(1, &named_key("another", 3), EpochEnd::Age)],
                vec![nameless],
            ],
        );
        assert_eq!(chain.keys(), [key(1), key(2)]);
    }

    #[test]
    fn the_name_of_a_log_names_its_first_epochs_key() {
        let name = name_with_first_epoch("valetkey.local", &key(1));
        let first = named_key(&name, 1);
        let chain = EpochChain::new(&name);
        let good = marks(vec![epoch_began(0, &first)]);
        assert_eq!(chain.clone().advance(&good), Ok(()));
        none_follows(
            &chain,
            vec![
                vec![other()],
                vec![epoch_began(0, &named_key(&name, 2))],
                vec![epoch_began(1, &first)],
                vec![epoch_ended(0, &first, EpochEnd::Age)],
            ],
        );
    }

    #[test]
    fn committed_keys_are_found_in_damaged_bytes() {
        let mut bytes =
            b"E\x00\x00 \"next_key\":\"valetkey.test/log+nonsense\" {\"next_key\":\"".to_vec();
        bytes.extend_from_slice(key(5).to_string().as_bytes());
        bytes.extend_from_slice(b"\",\x00");
        assert_eq!(keys_committed_in(&bytes, NAME), [key(5)]);
        assert_eq!(keys_committed_in(&bytes, "valetkey.test/lo"), []);
        assert_eq!(keys_committed_in(&bytes[..bytes.len() - 3], NAME), []);
    }
}
