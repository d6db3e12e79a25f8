//! Records for tests.

use valetkey_audit::{Actor, AuditDecision, Event, EventType, Outcome, Record};
use valetkey_model::{
    Action, ActionSet, AgentId, CapabilityId, EventId, RequestId, SessionId, Timestamp,
};

pub(crate) const START_MS: u64 = 1_768_662_720_000;

pub(crate) fn session(number: u8) -> SessionId {
    SessionId::new(Timestamp::from_unix_ms(START_MS), [number; 10])
}

pub(crate) fn capability(number: u8) -> CapabilityId {
    CapabilityId::new(Timestamp::from_unix_ms(START_MS), [number; 10])
}

pub(crate) fn request(number: u8) -> RequestId {
    RequestId::new(Timestamp::from_unix_ms(START_MS), [number; 10])
}

pub(crate) fn id(seq: u64) -> EventId {
    let time = Timestamp::from_unix_ms(START_MS + seq * 1000);
    EventId::new(time, [u8::try_from(seq % 256).unwrap(); 10])
}

pub(crate) fn record(seq: u64, event: Event) -> Record {
    let time = Timestamp::from_unix_ms(START_MS + seq * 1000);
    let sealed = event.seal(seq, id(seq), time).unwrap();
    Record::parse(sealed.bytes()).unwrap()
}

pub(crate) fn event(kind: EventType) -> Event {
    Event::new(kind, Actor::Guard)
        .session(session(1))
        .user(1000, "alice")
        .agent(AgentId::sanitised("codex"))
}

pub(crate) fn write(path: &str) -> Event {
    event(EventType::OperationPerformed)
        .resource(format!("file:{path}").parse().unwrap())
        .action(ActionSet::of(&[Action::Write, Action::Append]))
        .decision(AuditDecision::Allowed)
        .outcome(Outcome::Succeeded)
        .duration_us(1500)
        .attribute("operation", "write")
}

/// One of each type, with every member filled.
pub(crate) fn one_of_each() -> Vec<Record> {
    EventType::ALL
        .iter()
        .zip(0..)
        .map(|(kind, seq)| {
            let full = write("/home/alice/Documents/Quarterly%20report,%20%22final%22.xlsx");
            let mut record = record(seq, full.justification("because=yes|no \\ maybe"));
            record.kind = *kind;
            record.capability_id = Some(capability(3));
            record.request_id = Some(request(4));
            record.policy_id = Some("finance".to_owned());
            record
        })
        .collect()
}
