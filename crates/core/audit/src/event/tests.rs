//! Tests of the event's byte form.

use proptest::prelude::*;
use valetkey_model::canonical_json;

use super::*;

const NOW: u64 = 1_768_662_720_000;

fn id() -> EventId {
    EventId::new(Timestamp::from_unix_ms(NOW), [7; 10])
}

fn full() -> Event {
    let time = Timestamp::from_unix_ms(NOW);
    Event::new(EventType::OperationPerformed, Actor::Agent)
        .user(1000, "alice")
        .agent(AgentId::sanitised("agent-ui-123"))
        .session(SessionId::new(time, [1; 10]))
        .request(RequestId::new(time, [2; 10]))
        .resource("file:/home/alice/Q3.xlsx".parse().unwrap())
        .action("read,append".parse().unwrap())
        .decision(AuditDecision::Allowed)
        .policy("finance", Some(Digest::of(b"bundle")))
        .capability(CapabilityId::new(time, [3; 10]))
        .justification("monthly close")
        .outcome(Outcome::Succeeded)
        .duration_us(1250)
        .file_hash(Digest::of(b"file"))
        .process_hash(Digest::of(b"process"))
        .agent_version("1.2")
        .model("m-1")
        .cause(id())
        .attribute("rows", 50_u64)
        .attribute("macros", false)
        .attribute("sheet", "Ledger \"A\"")
}

fn seal(event: Event) -> SealedEvent {
    event.seal(7, id(), Timestamp::from_unix_ms(NOW)).unwrap()
}

#[test]
fn serde_writes_the_canonical_form() {
    for event in [full(), Event::new(EventType::LogOpened, Actor::Broker)] {
        let sealed = seal(event);
        let record = Record::parse(sealed.bytes()).unwrap();
        assert_eq!(canonical_json(&record).unwrap(), sealed.bytes());
    }
}

#[test]
fn every_member_is_there_and_null_where_it_does_not_apply() {
    let sealed = seal(Event::new(EventType::LogOpened, Actor::Broker));
    let json: serde_json::Value = serde_json::from_slice(sealed.bytes()).unwrap();
    for member in [
        "user",
        "agent_id",
        "session",
        "request_id",
        "resource",
        "action",
        "decision",
        "policy_id",
        "policy_digest",
        "capability_id",
        "justification",
        "outcome",
        "duration_us",
        "cause",
    ] {
        assert_eq!(json.get(member), Some(&serde_json::Value::Null), "{member}");
    }
    for member in [
        "file_hash",
        "process_hash",
        "agent_version",
        "model",
        "mfa",
        "attestation",
    ] {
        assert!(json["evidence"][member].is_null(), "{member}");
    }
    assert_eq!(json["type"], "log.opened");
    assert_eq!(json["timestamp"], "2026-01-17T15:12:00.000Z");
}

#[test]
fn another_spelling_is_refused() {
    let text = String::from_utf8(seal(full()).bytes().to_vec()).unwrap();
    assert!(Record::parse(text.as_bytes()).is_ok());
    for bad in [
        text.replace("\"seq\":7", "\"seq\": 7"),
        text.replace("\"seq\":7", "\"seq\":7,\"seq\":7"),
        text.replace("\"seq\":7,", ""),
        text.replace("\"seq\":7", "\"seq\":7,\"sequel\":1"),
        text.replace("\"seq\":7", "\"seq\":9007199254740992"),
        text.replace("alice\"", "\\u0061lice\""),
        text.replace("\"rows\":50", "\"rows\":50.0"),
        text.replace("\"rows\":50", "\"Rows\":50"),
        text.replace("operation.performed", "operation.pretended"),
        text.replace("monthly close", "\\u202eesolc"),
        text.replace("\"cause\":\"evt-", "\"cause\":\"ses-"),
        format!("{text}\n"),
    ] {
        assert_ne!(bad, text);
        assert!(Record::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn the_largest_event_fits() {
    let long = "\"".repeat(70_000);
    let mut event = full().justification(&long).policy(&long, None).model(&long);
    event = event.resource(
        format!("file:{}", format!("/{}", "%01".repeat(250)).repeat(16))
            .parse()
            .unwrap(),
    );
    for name in [
        "aa", "ab", "ac", "ad", "ae", "af", "ag", "ah", "ai", "aj", "ak", "al", "am",
    ] {
        event = event.attribute(name, long.as_str());
    }
    let sealed = seal(event.clone());
    assert!(sealed.bytes().len() <= EVENT_MAX_BYTES);
    assert!(Record::parse(sealed.bytes()).is_ok());
    let many = event.attribute("an", 1_u64);
    let sealed = many.seal(0, id(), Timestamp::from_unix_ms(NOW));
    assert!(matches!(sealed, Err(SealError::TooManyAttributes(17))));
}

proptest! {
    #[test]
    fn any_text_seals_and_reads_back(text in any::<String>(), count in any::<u64>(), name in any::<String>()) {
        let event = full()
            .justification(&text)
            .user(1, &name)
            .duration_us(count)
            .attribute("count", count)
            .attribute("text", text.as_str());
        let sealed = seal(event);
        let record = Record::parse(sealed.bytes()).unwrap();
        prop_assert_eq!(canonical_json(&record).unwrap(), sealed.bytes());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Record::parse(&bytes).is_err());
    }
}
