//! A question and facts that tests change.

use valetkey_model::{
    AgentId, ApprovalRequirement, Constraints, Digest, FileKind, Grant, Justification, Quorum,
    RequestId, SessionId, Timestamp,
};

use crate::asked::{Asked, FileFacts, FileIdentity};

/// When the questions of tests are asked: 2027-01-15.
pub(crate) const ASKED_AT: u64 = 1_800_000_000_000;

/// Seconds after that.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(ASKED_AT + seconds * 1000)
}

/// A question of alice's agent that one owner may answer within two minutes.
pub(crate) fn question(resource: &str, actions: &str) -> Asked {
    Asked {
        request_id: RequestId::new(at(0), [1; 10]),
        session: SessionId::new(at(0), [2; 10]),
        agent: AgentId::sanitised("agent"),
        agent_digest: None,
        user: "alice".to_owned(),
        purpose: None,
        grant: Grant {
            resource: resource.parse().unwrap(),
            actions: actions.parse().unwrap(),
            constraints: Constraints::default(),
            except: vec![],
        },
        also: vec![],
        justification: None,
        file: None,
        change: None,
        has_read: vec![],
        before: None,
        reasons: vec!["because".to_owned()],
        policy_id: "p".to_owned(),
        policy_digest: Digest::of(b"p"),
        ttl_seconds: 300,
        requirement: requirement(&[("owner", 1)]),
        asked_at: at(0),
        expires_at: at(120),
    }
}

/// A requirement of these people.
pub(crate) fn requirement(quorum: &[(&str, u32)]) -> ApprovalRequirement {
    ApprovalRequirement {
        quorum: quorum
            .iter()
            .map(|(role, count)| Quorum {
                role: (*role).to_owned(),
                count: *count,
            })
            .collect(),
        requester: None,
        justification: Justification::Optional,
        mfa_max_age_seconds: None,
        expires_seconds: 120,
        lease: None,
        budget: None,
        lockout: None,
    }
}

/// Facts of an ordinary file of alice's.
pub(crate) fn facts() -> FileFacts {
    FileFacts {
        kind: FileKind::File,
        size: 12_288,
        owner: 1000,
        mode: 0o640,
        links: 1,
        modified: at(0),
        changed: Some(at(0)),
        identity: Some(FileIdentity::new(0xfd01, 0x1a2b)),
    }
}
