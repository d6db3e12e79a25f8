//! An inbox for tests: questions, capabilities, keys and a clock that stands still until it is told.

use valetkey_approval::{Asked, Context};
use valetkey_capability::Capability;
use valetkey_model::{
    AgentId, ApprovalRequirement, CapabilityId, Constraints, Digest, Grant, Justification, Quorum,
    RequestId, SessionId, Timestamp,
};

use super::{App, Effect, Event, News, PAUSE_MS};
use crate::input::{Key, Typed};

/// When the tests begin: 2027-01-15, 08:00:00.
pub(crate) const BEGIN_MS: u64 = 1_800_000_000_000;

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(BEGIN_MS + ms)
}

/// A question of alice's agent, open for two minutes.
pub(crate) fn question(number: u8, resource: &str, actions: &str) -> Asked {
    Asked {
        request_id: RequestId::new(at(0), [number; 10]),
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
        reasons: vec!["the file is outside of the workspace".to_owned()],
        policy_id: "base".to_owned(),
        policy_digest: Digest::of(b"p"),
        ttl_seconds: 300,
        requirement: ApprovalRequirement {
            quorum: vec![Quorum {
                role: "owner".to_owned(),
                count: 1,
            }],
            requester: None,
            justification: Justification::Optional,
            mfa_max_age_seconds: None,
            expires_seconds: 120,
            lease: None,
            budget: None,
            lockout: None,
        },
        asked_at: at(0),
        expires_at: at(120_000),
    }
}

pub(crate) fn reading(number: u8) -> Asked {
    let resource = format!("file:/home/alice/Reports/q{number}.xlsx");
    question(number, &resource, "read")
}

pub(crate) fn held(number: u8, resource: &str) -> Capability {
    Capability {
        capability_id: CapabilityId::new(at(0), [number; 10]),
        resource: resource.parse().unwrap(),
        actions: "read,list".parse().unwrap(),
        issued_to: AgentId::sanitised("agent"),
        issued_by: "valetkey".to_owned(),
        expires_at: at(u64::from(number) * 20_000),
        constraints: Constraints::default(),
        except: vec![],
        session: SessionId::new(at(0), [2; 10]),
        parent: None,
        approvals: vec![],
        policy_id: "base".to_owned(),
        policy_digest: Digest::of(b"p"),
    }
}

/// An inbox and its clock.
pub(crate) struct Desk {
    pub(crate) app: App,
    pub(crate) ms: u64,
}

impl Desk {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let context = Context {
            home: Some("/home/alice".into()),
            ..Context::default()
        };
        let app = App::new(context, (columns, rows), at(0));
        Self { app, ms: 0 }
    }

    /// With these questions, looked at for long enough.
    pub(crate) fn with(questions: Vec<Asked>) -> Self {
        let mut desk = Self::new(80, 24);
        drop(desk.news(questions));
        desk.wait(PAUSE_MS);
        desk
    }

    pub(crate) fn on(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.app.on(event, at(self.ms));
        self.app.drawn();
        effects
    }

    pub(crate) fn news(&mut self, questions: Vec<Asked>) -> Vec<Effect> {
        self.on(Event::News(News {
            questions,
            ..News::default()
        }))
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        self.ms += ms;
        drop(self.on(Event::Tick));
    }

    /// One key, at this very moment.
    pub(crate) fn key(&mut self, key: Key) -> Vec<Effect> {
        self.on(Event::Typed(Typed::Key(key)))
    }

    /// Keys of text, each after a pause.
    pub(crate) fn press(&mut self, text: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for c in text.chars() {
            self.wait(PAUSE_MS);
            effects.extend(self.key(match c {
                '\n' => Key::Enter,
                '\x1b' => Key::Escape,
                c => Key::Char(c),
            }));
        }
        effects.retain(|effect| !matches!(effect, Effect::ForgetTyped));
        effects
    }
}
