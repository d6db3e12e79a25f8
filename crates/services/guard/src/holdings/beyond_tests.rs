//! Tests of limits that no door to files can hold: a capability that has one gives nothing.

use valetkey_capability::{AUDIENCE_GUARD, AuthorizationDetail, Claims, Confirmation, IssuerKey};
use valetkey_model::{AgentId, Constraints, Digest, Grant, Resource, SessionId};

use super::*;

/// A capability to read and append to one file, within limits, as the guard holds it.
fn held(constraints: Constraints) -> Arc<Held> {
    let key = IssuerKey::from_seed(&[7; 32]);
    let session = SessionId::new(Timestamp::from_unix_ms(0), [1; 10]);
    let holdings = Holdings::new(KeyRing::of(key.public().clone(), session.clone()));
    let now = holdings.now().unix_seconds();
    let claims = Claims {
        iss: "local-broker".to_owned(),
        sub: AgentId::sanitised("agent"),
        aud: AUDIENCE_GUARD.to_owned(),
        jti: CapabilityId::new(holdings.now(), [2; 10]),
        iat: now,
        nbf: now,
        exp: now + 300,
        cnf: Confirmation {
            valetkey_session: session,
        },
        authorization_details: [AuthorizationDetail::of(Grant {
            resource: "file:/w/a".parse().unwrap(),
            actions: "read,append".parse().unwrap(),
            constraints,
            except: Vec::new(),
        })],
        parent: None,
        approvals: vec![],
        policy_id: "p".to_owned(),
        policy_digest: Digest::of(b"policy"),
    };
    let token = key.sign_claims(&claims).unwrap();
    holdings
        .add(&Granted {
            capability: Capability::from(&claims),
            token,
            streamed: false,
            view: valetkey_model::ViewMode::Watched,
            lease_until: None,
            ended: Vec::new(),
        })
        .unwrap()
}

#[test]
fn what_it_cannot_hold_makes_a_capability_useless() {
    let gives = |text: &str| {
        let held = held(serde_json::from_str(text).unwrap());
        let file: Resource = "file:/w/a".parse().unwrap();
        let read = held.permits_path(Path::new("/w/a"), "read".parse().unwrap());
        let append = held.permits(&file, "append".parse().unwrap());
        assert!(read || !append, "{text}");
        (read, append)
    };
    assert_eq!(gives("{}"), (true, true));
    assert_eq!(gives(r#"{"max_bytes":1}"#), (true, true));
    // The view masks; a document operation does not.
    assert_eq!(gives(r#"{"redact":["pii"]}"#), (true, false));
    assert_eq!(gives(r#"{"redact":[]}"#), (true, false));
    for text in [
        r#"{"methods":["GET"]}"#,
        r#"{"arguments":{}}"#,
        r#"{"arguments":false}"#,
    ] {
        assert_eq!(gives(text), (false, false), "{text}");
    }
}
