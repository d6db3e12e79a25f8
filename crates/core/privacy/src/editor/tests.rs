//! What of an event is left under rules.

use valetkey_audit::{Actor, EventType, Record};
use valetkey_model::{EventId, Timestamp};

use super::*;

const TOKEN: &str = "ghp_0123456789abcdefghij0123456789abcdef";

fn key() -> PrivacyKey {
    PrivacyKey::new(&[3; 32])
}

fn rules(text: &str) -> Rules {
    Rules::parse(text.as_bytes()).unwrap()
}

fn own() -> Rules {
    Rules::parse(include_bytes!("../../../../../policies/audit.json")).unwrap()
}

fn system() -> Rules {
    Rules::parse(include_bytes!("../../../../../policies/audit-system.json")).unwrap()
}

fn event() -> Event {
    let facts = serde_json::json!({"home": "/home/alice", "grants": [{"grant": {"resource": "file:/home/alice/w/**"}}], "groups": [1000]});
    Event::new(EventType::RequestDecided, Actor::Agent)
        .user(1000, "alice")
        .resource("file:/home/alice/Reports/q3.xlsx".parse().unwrap())
        .justification(
            "for alice: see /home/alice/Reports/q3.xlsx, ask bob@example.com, password=hunter2!",
        )
        .attribute("approver", "alice")
        .attribute("reason", "below file:/home/alice/Reports=read")
        .attribute(
            "asked_digest",
            valetkey_model::Digest::of(b"x").to_string().as_str(),
        )
        .attribute("facts", Attribute::facts(&facts).unwrap())
}

/// The event as it would stand in the log, and its originals.
fn left(event: Event, rules: &Rules) -> (Record, String, Option<Originals>) {
    let Redacted { event, originals } = redacted(event, rules, &key());
    let time = Timestamp::from_unix_ms(1_800_000_000_000);
    let sealed = event.seal(0, EventId::new(time, [0; 10]), time).unwrap();
    let text = String::from_utf8(sealed.bytes().to_vec()).unwrap();
    (Record::parse(sealed.bytes()).unwrap(), text, originals)
}

#[test]
fn a_persons_own_log_keeps_names_and_paths_and_no_secret() {
    let (record, text, originals) = left(event(), &own());
    assert_eq!(originals, None);
    assert_eq!(
        record
            .user
            .as_ref()
            .map(|user| (user.name.as_str(), user.uid)),
        Some(("alice", Some(1000)))
    );
    assert_eq!(
        record.resource.unwrap().to_string(),
        "file:/home/alice/Reports/q3.xlsx"
    );
    assert_eq!(
        record.justification.as_deref(),
        Some("for alice: see /home/alice/Reports/q3.xlsx, ask [masked], password=[masked]")
    );
    assert!(
        text.contains("sha256:") && text.contains("\"home\":\"/home/alice\""),
        "{text}"
    );
}

#[test]
fn no_token_gets_into_an_event_by_any_field() {
    let url = format!("https://user:{TOKEN}@example.com/x");
    let event = Event::new(EventType::OperationPerformed, Actor::Guard)
        .user(1000, "alice")
        .resource(format!("file:/home/alice/{TOKEN}/x").parse().unwrap())
        .justification(&url)
        .model(TOKEN)
        .agent_version(TOKEN)
        .attribute("reason", TOKEN)
        .attribute("why", "Authorization: Bearer abcdefghijklmnop0123")
        .attribute("ticket", format!("T-1 {TOKEN}").as_str())
        .attribute("approver", TOKEN)
        .attribute("posture", TOKEN)
        .attribute("new_one", TOKEN)
        .attribute(
            "scope",
            format!("https://example.com/{TOKEN}=connect").as_str(),
        )
        .attribute(
            "facts",
            Attribute::facts(&serde_json::json!({"labels": [TOKEN]})).unwrap(),
        );
    let hashing = rules(
        r#"{"fields": {"justification": "hash", "attributes.why": "seal"}, "resources": [{"match": "file:/**", "then": "seal"}]}"#,
    );
    for rules in [own(), system(), hashing] {
        let (record, text, originals) = left(event.clone(), &rules);
        assert!(
            !text.contains("ghp_") && !text.contains("abcdefghijklmnop"),
            "{text}"
        );
        assert!(!format!("{originals:?}").contains("ghp_"), "{originals:?}");
        assert!(!record.attributes.contains_key("facts"));
        // Equal names are found equal all the same.
        let resource = record.resource.unwrap().to_string();
        assert!(resource.contains("/hmac-"), "{resource}");
    }
}

#[test]
fn a_systems_log_names_nobody_and_seals_who_it_was() {
    let (record, text, originals) = left(event(), &system());
    assert!(!text.contains("alice"), "{text}");
    let user = record.user.unwrap();
    assert_eq!(
        (user.name.as_str(), user.uid),
        (key().person("alice").as_str(), None)
    );
    assert!(text.contains("/Reports/q3.xlsx"), "{text}");
    let originals = originals.unwrap();
    assert_eq!(originals.person, user.name);
    assert_eq!(originals.values["user"], "alice");
    assert_eq!(originals.values["attributes.approver"], "alice");
    assert_eq!(
        originals.values["resource"],
        "file:/home/alice/Reports/q3.xlsx"
    );
    // The one who approved is the one who asked, as anybody can see without a name.
    assert_eq!(record.attributes["approver"], Attribute::Text(user.name));
    // Facts that name places name them as the events do, so that a decision can still be taken again.
    let home = text.split("\"home\":\"").nth(1).unwrap();
    assert!(home.starts_with("/home/hmac-"), "{home}");
    // An event that repeats another's person is not hashed twice.
    let again = Event::new(EventType::AlertRaised, Actor::Broker).user_as(User {
        name: key().person("alice"),
        uid: None,
    });
    assert_eq!(
        left(again, &system()).0.user.unwrap().name,
        key().person("alice")
    );
}

#[test]
fn each_treatment_does_what_it_says() {
    let check = |then: &str| {
        let rules = rules(&format!(
            r#"{{"fields": {{"justification": "{then}", "user": "{then}"}}, "resources": [{{"match": "file:/home/**", "then": "{then}"}}]}}"#
        ));
        left(event(), &rules)
    };
    let (record, _, originals) = check("drop");
    assert!(record.user.is_none() && record.resource.is_none() && record.justification.is_none());
    assert_eq!(originals, None);
    let (record, _, originals) = check("hash");
    assert!(crate::is_keyed(record.justification.as_deref().unwrap()));
    assert_eq!(originals, None);
    let (again, _, originals) = check("seal");
    assert_eq!(
        (&again.justification, &again.resource),
        (&record.justification, &record.resource)
    );
    let values = originals.unwrap().values;
    assert!(values["justification"].contains("bob@example.com"));
    assert!(!values["justification"].contains("hunter2"), "{values:?}");
    // A path that is no resource, as it is not canonical, says nothing either.
    let event = Event::new(EventType::RequestDecided, Actor::Agent)
        .justification("in /home/alice/../bob/x");
    let hashing = rules(r#"{"resources": [{"match": "file:/home/**", "then": "hash"}]}"#);
    assert_eq!(
        left(event, &hashing).0.justification.as_deref(),
        Some("in [masked]")
    );
}

#[test]
fn a_connection_is_treated_as_its_resource() {
    let event = Event::new(EventType::OperationPerformed, Actor::Guard)
        .resource("tcp:db.internal:5432".parse().unwrap())
        .attribute("address", "10.0.0.7")
        .attribute("server_name", "db.internal");
    let kept = left(event.clone(), &own()).1;
    assert!(
        kept.contains("10.0.0.7") && kept.contains("tcp:db.internal:5432"),
        "{kept}"
    );
    let hashing = rules(r#"{"resources": [{"match": "tcp:db.internal:5432", "then": "hash"}]}"#);
    let text = left(event, &hashing).1;
    assert!(
        !text.contains("10.0.0.7") && !text.contains("db.internal"),
        "{text}"
    );
}
