//! Decisions out of the log, with the input that each was made on.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use valetkey_audit::{Attribute, AuditDecision, EventType, Fact, Record};
use valetkey_model::{
    ActionSet, AgentFacts, Digest, PolicyInput, RequestFacts, RequestRecord, SessionFacts,
    SessionId, SessionRecord, Told, restored,
};

/// One decision as it stands in the log.
pub(super) struct Logged {
    pub(super) record: Record,
    /// What policy was given; nothing where the log does not hold enough of it.
    pub(super) made: Option<Made>,
}

/// What a decision was made on, and the digest of the answer.
pub(super) struct Made {
    session: Arc<Session>,
    facts: RequestRecord,
}

impl Made {
    pub(super) fn answer(&self) -> Digest {
        self.facts.answer
    }
}

struct Session {
    id: SessionId,
    user: (u32, String),
    agent: AgentFacts,
    purpose: Option<String>,
    workspace: Option<valetkey_model::Resource>,
    record: SessionRecord,
}

/// Puts sessions and decisions together, in the order of the log.
#[derive(Default)]
pub(super) struct Reader {
    sessions: HashMap<SessionId, Arc<Session>>,
}

impl Reader {
    /// The decision that an event tells of, if it does.
    pub(super) fn take(&mut self, record: Record) -> Option<Logged> {
        // The log holds many kinds of events; of the others nothing is needed.
        if record.kind == EventType::SessionOpened {
            if let Some(session) = opened(&record) {
                self.sessions.insert(session.id.clone(), Arc::new(session));
            }
            return None;
        }
        if record.kind == EventType::SessionClosed {
            if let Some(id) = &record.session {
                self.sessions.remove(id);
            }
            return None;
        }
        if record.kind != EventType::RequestDecided {
            return None;
        }
        let session = record.session.as_ref().and_then(|id| self.sessions.get(id));
        let made = session.cloned().zip(facts(&record));
        Some(Logged {
            made: made.map(|(session, facts)| Made { session, facts }),
            record,
        })
    }
}

impl Logged {
    /// The input that policy had.
    pub(super) fn input(&self) -> Option<PolicyInput> {
        let made = self.made.as_ref()?;
        let session = &made.session;
        let told = Told {
            request: RequestFacts {
                id: self.record.request_id.clone()?,
                resource: self.record.resource.clone()?,
                actions: self.record.action.unwrap_or(ActionSet::of(&[])),
                constraints: made.facts.constraints.clone(),
                justification: self.record.justification.clone(),
                granted_by_person: None,
            },
            user: session.user.clone(),
            agent: session.agent.clone(),
            session: SessionFacts {
                id: session.id.clone(),
                purpose: session.purpose.clone(),
                workspace: session.workspace.clone(),
                grants: Vec::new(),
                age_seconds: 0,
                labels: Vec::new(),
            },
        };
        Some(restored(told, &session.record, &made.facts))
    }

    /// What was decided, in the words of a policy.
    pub(super) fn effect(&self) -> &'static str {
        match self.record.decision {
            Some(AuditDecision::Allowed) => "allow",
            Some(AuditDecision::Observed) => "ask",
            _ => "deny",
        }
    }
}

fn opened(record: &Record) -> Option<Session> {
    let user = record.user.as_ref()?;
    let attested = record.attributes.get("attested") == Some(&Attribute::Flag(true));
    Some(Session {
        id: record.session.clone()?,
        // A person whose name is a keyed hash has no number in the log; none of this host is theirs.
        user: (user.uid.unwrap_or(u32::MAX), user.name.clone()),
        agent: AgentFacts {
            id: record.agent_id.clone()?,
            digest: record.evidence.process_hash,
            attested,
        },
        purpose: record.justification.clone(),
        workspace: record.resource.clone(),
        record: facts(record)?,
    })
}

fn facts<T: DeserializeOwned>(record: &Record) -> Option<T> {
    let Some(Attribute::Facts(facts)) = record.attributes.get("facts") else {
        return None;
    };
    serde_json::from_value(Fact::Members(facts.clone()).to_value()).ok()
}
