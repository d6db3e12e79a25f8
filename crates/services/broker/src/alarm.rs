//! Alerts: the log is watched as it is written, and what needs a person's eyes becomes an event and is told to the people of its user.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use valetkey_api::AlertKind;
use valetkey_audit::alert::{Alert, Thresholds, Watch};
use valetkey_audit::{Actor, Event, EventType};
use valetkey_store::{Entries, LogReader, StoreError};

use crate::broker::Broker;
use crate::bulletin::Raised;

/// The thresholds that are built in: policy data.
const BUILT_IN: &str = include_str!("../../../../policies/alerts.json");

/// How often the log is looked at: an alert comes a second or two after what it is about, streamed events included.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes in which the last two members of an event lie: its type, and a person's number and name of at most 256 bytes.
const TYPE_AND_USER_MAX: usize = 512;

/// The beginnings of events that no rule counts and that are most of a busy log: a file closed, looked at or listed. `action` is the first
/// member of an event, so the beginning tells.
const UNCOUNTED: [&[u8]; 4] = [
    b"{\"action\":[],",
    b"{\"action\":[\"list\"],",
    b"{\"action\":[\"metadata\"],",
    b"{\"action\":[\"list\",\"metadata\"],",
];

/// The thresholds: those built in, and in their place what the home's own file says.
///
/// # Errors
/// What is wrong with the file; then those built in hold, and it is told.
pub(crate) fn thresholds(file: &Path) -> Result<Thresholds, String> {
    let built_in: Thresholds = serde_json::from_str(BUILT_IN).map_err(|error| error.to_string())?;
    match valetkey_store::read_private(file) {
        Ok(bytes) if !bytes.trim_ascii_start().starts_with(b"{") => {
            Err(format!("{}: it is no JSON object", file.display()))
        }
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", file.display()))
        }
        Err(error) if error.is_absent() => Ok(built_in),
        Err(error) => Err(error.to_string()),
    }
}

/// Watches the log from event `first` on, until the broker ends. What stands before it is known, and raises nothing.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    broker: &Arc<Broker>,
    log: PathBuf,
    settings: &Path,
    first: u64,
) -> std::io::Result<()> {
    let (thresholds, wrong) = match thresholds(settings) {
        Ok(thresholds) => (thresholds, None),
        Err(why) => (Thresholds::default(), Some(why)),
    };
    if let Some(why) = wrong {
        broker
            .diagnostics
            .error(format!("the thresholds of alerts cannot be used: {why}"));
        let event = Event::new(EventType::AlertRaised, Actor::Broker)
            .attribute("rule", "thresholds")
            .attribute(
                "reason",
                "the thresholds of alerts cannot be used; those built in hold",
            )
            .attribute("why", why.as_str());
        // If nothing can be recorded, nothing else goes on either.
        drop(broker.recorder.stream(event));
    }
    let mut alarm = Alarm {
        watch: Watch::new(thresholds),
        broker: Arc::downgrade(broker),
        log,
        first,
        next: first,
        entries: None,
    };
    std::thread::Builder::new()
        .name("valetkey-alert".to_owned())
        .spawn(move || alarm.run())
        .map(drop)
}

struct Alarm {
    watch: Watch,
    broker: Weak<Broker>,
    log: PathBuf,
    /// The first event that can raise something.
    first: u64,
    /// The event after the last that was looked at.
    next: u64,
    /// Where the log was read up to.
    entries: Option<Entries<'static>>,
}

impl Alarm {
    fn run(&mut self) {
        if let Err(error) = self.remember() {
            self.complain(&error);
        }
        loop {
            std::thread::sleep(PAUSE);
            let Some(broker) = self.broker.upgrade() else {
                return;
            };
            if let Err(error) = self.look(&broker) {
                // It is read again from where it was left; nothing is granted on what is read here.
                self.entries = None;
                self.complain(&error);
            }
        }
    }

    fn complain(&self, error: &StoreError) {
        if let Some(broker) = self.broker.upgrade() {
            broker.diagnostics.error(format!("alerts: {error}"));
        }
    }

    /// Learns what was before: which program each agent was and how well it was held. The last segment is enough.
    fn remember(&mut self) -> Result<(), StoreError> {
        // `type` and `user` are the last members of an event.
        let known = |bytes: &[u8]| {
            let end = bytes.get(bytes.len().saturating_sub(TYPE_AND_USER_MAX)..);
            let end = end.unwrap_or_default();
            let holds = |needle: &[u8]| end.windows(needle.len()).any(|window| window == needle);
            holds(b"\"type\":\"session.opened\"") || holds(b"\"type\":\"log.")
        };
        let before = self.first.saturating_sub(1);
        let entries = LogReader::open(&self.log)?.entries_of_segment_with(before)?;
        for entry in entries.sieved(known) {
            let record = entry?.record;
            if record.seq >= self.first {
                break;
            }
            // What was then is not told now.
            drop(self.watch.push(&record));
        }
        Ok(())
    }

    fn look(&mut self, broker: &Broker) -> Result<(), StoreError> {
        let mut entries = match self.entries.take() {
            Some(entries) => entries,
            None => LogReader::open(&self.log)?
                .entries(self.next)?
                .sieved(counts),
        };
        for entry in entries.by_ref() {
            let record = entry?.record;
            self.next = record.seq.saturating_add(1);
            for alert in self.watch.push(&record) {
                raise(broker, &alert);
            }
        }
        self.entries = Some(entries);
        Ok(())
    }
}

/// Whether any rule may count an event of these bytes.
fn counts(bytes: &[u8]) -> bool {
    !UNCOUNTED
        .iter()
        .any(|uncounted| bytes.starts_with(uncounted))
}

/// Makes an alert an event, and tells it to whom it concerns.
fn raise(broker: &Broker, alert: &Alert) {
    if broker.recorder.stream(alert.event()).is_err() {
        // Nothing is recorded at present, and so nothing goes on; the evidence stands in the log.
        broker.diagnostics.error(format!(
            "an alert could not be recorded: {}",
            alert.rule.name()
        ));
    }
    let Some(uid) = whose(broker, alert) else {
        broker
            .diagnostics
            .error(format!("alert: {}", alert.rule.reason()));
        return;
    };
    let text = match &alert.agent {
        Some(agent) => format!("{agent}: {}", alert.rule.reason()),
        None => alert.rule.reason().to_owned(),
    };
    let raised = Raised {
        kind: AlertKind::Watch,
        session: alert.session.clone(),
        agent: alert.agent.clone(),
        text,
    };
    broker.bulletin.raise(uid, raised, broker.now());
}

/// Whom an alert concerns. Where the log has a keyed hash in the place of the name, the session knows whose it is while it lasts.
fn whose(broker: &Broker, alert: &Alert) -> Option<u32> {
    let named = alert.user.as_ref().and_then(|user| user.uid);
    named.or_else(|| {
        let id = alert.session.as_ref()?;
        let sessions = broker.sessions.all();
        let session = sessions.iter().find(|session| session.id == *id)?;
        Some(session.opening.user.uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thresholds_that_are_built_in_are_those_of_the_policy_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("alerts.json");
        assert_eq!(thresholds(&file), Ok(Thresholds::default()));
        valetkey_store::write_atomically(
            &file,
            br#"{"denied_burst":{"count":3,"seconds":9}}"#,
            0o600,
        )
        .unwrap();
        let own = thresholds(&file).unwrap();
        assert_eq!(
            (own.denied_burst.count, own.many_files),
            (3, Thresholds::default().many_files)
        );
        for wrong in [&b"{"[..], b"{\"denied\":1}", b"7", b"[]", b"{\"gap\":3}"] {
            valetkey_store::write_atomically(&file, wrong, 0o600).unwrap();
            assert!(thresholds(&file).is_err(), "{wrong:?}");
        }
    }
}
