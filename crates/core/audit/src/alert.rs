//! Alerts: what in the stream of events needs a person's eyes.
//!
//! Each rule counts something within a sliding window, or compares with what was before. Events go in one by one, alerts come out, with the events that
//! they rest on. Memory is bounded, however many sessions there are and whatever they do.

mod rules;
mod window;

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use valetkey_model::{AgentId, Digest, EventId, Level, SessionId, Timestamp};

use crate::event::{Actor, Event, Record, User};
use crate::kind::EventType;
use window::Window;

/// Sessions that are watched at the same time; of more, the one that was quiet longest is forgotten.
const SESSIONS_MAX: usize = 1024;

/// Agents whose last program and level are remembered.
const AGENTS_MAX: usize = 1024;

/// Events that an alert names as its evidence.
const EVIDENCE_MAX: usize = 8;

/// An alert of one rule about one session is not raised again within this, whatever goes on.
const QUIET_SECONDS: u64 = 600;

/// How many of something, within how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// So many raise an alert; 0 turns the rule off.
    pub count: u32,
    /// Within so many seconds.
    pub seconds: u32,
}

/// The thresholds of all rules: policy data. What a file leaves out is as built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Different files that a session reads or changes outside of its workspace.
    pub many_files: Threshold,
    /// Different files that a session deletes, wherever.
    pub mass_deletion: Threshold,
    /// Approvals that people gave to a session, and emergencies.
    pub repeated_elevation: Threshold,
    /// Capabilities of a session that were minted, narrowed, released or revoked.
    pub capability_churn: Threshold,
    /// Different things that a session was denied.
    pub denied_burst: Threshold,
    /// Capabilities of a session that were turned away: forged, expired, of another session.
    pub refused_capabilities: Threshold,
    /// Whether an agent of the same name that is another program is told.
    pub new_program: bool,
    /// Whether a session with less enforcement than the agent's last one is told.
    pub posture_drop: bool,
    /// Whether a clock that was set back while no broker ran is told.
    pub clock_step: bool,
    /// Whether it is told that the log may miss events.
    pub gap: bool,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AlertRule {
    /// Many different files outside of the workspace.
    ManyFiles,
    /// Many different files deleted.
    MassDeletion,
    /// Approvals again and again.
    RepeatedElevation,
    /// Capabilities come and go.
    CapabilityChurn,
    /// Denials of many different things.
    DeniedBurst,
    /// Capabilities turned away again and again.
    RefusedCapabilities,
    /// Another program under the agent's name.
    NewProgram,
    /// Less enforcement than before.
    PostureDrop,
    /// The clock was set back.
    ClockStep,
    /// Events may be missing.
    Gap,
}

impl AlertRule {
    /// The rule's name, as in its event.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ManyFiles => "many_files",
            Self::MassDeletion => "mass_deletion",
            Self::RepeatedElevation => "repeated_elevation",
            Self::CapabilityChurn => "capability_churn",
            Self::DeniedBurst => "denied_burst",
            Self::RefusedCapabilities => "refused_capabilities",
            Self::NewProgram => "new_program",
            Self::PostureDrop => "posture_drop",
            Self::ClockStep => "clock_step",
            Self::Gap => "gap",
        }
    }

    /// What a person is told.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ManyFiles => {
                "the agent went through many files outside of its workspace in a short time"
            }
            Self::MassDeletion => "the agent deleted many files in a short time",
            Self::RepeatedElevation => "the agent was given more again and again in a short time",
            Self::CapabilityChurn => "the agent's capabilities come and go unusually fast",
            Self::DeniedBurst => "the agent tried many things that it may not",
            Self::RefusedCapabilities => {
                "capabilities of the session were turned away again and again"
            }
            Self::NewProgram => "another program than before runs under this agent's name",
            Self::PostureDrop => "the session has less enforcement than the agent's last one",
            Self::ClockStep => "the machine's clock was set back since the log was last written",
            Self::Gap => "events may be missing from the log",
        }
    }
}

/// Something that needs a person's eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The rule.
    pub rule: AlertRule,
    /// How many were counted, where the rule counts.
    pub count: u64,
    /// Within how many seconds.
    pub seconds: u64,
    /// The events that it rests on: the first of them, and the last.
    pub evidence: Vec<EventId>,
    /// The session.
    pub session: Option<SessionId>,
    /// The agent.
    pub agent: Option<AgentId>,
    /// The person on whose behalf the agent runs.
    pub user: Option<User>,
}

impl Alert {
    /// The alert as an event: its cause is the event that raised it.
    pub fn event(&self) -> Event {
        let evidence: Vec<&str> = self.evidence.iter().map(EventId::as_str).collect();
        let mut event = Event::new(EventType::AlertRaised, Actor::Broker)
            .attribute("rule", self.rule.name())
            .attribute("reason", self.rule.reason())
            .attribute("evidence", evidence.join(" ").as_str());
        if self.count > 0 {
            event = event
                .attribute("count", self.count)
                .attribute("window_seconds", self.seconds);
        }
        if let Some(last) = self.evidence.last() {
            event = event.cause(last.clone());
        }
        if let Some(session) = &self.session {
            event = event.session(session.clone());
        }
        if let Some(agent) = &self.agent {
            event = event.agent(agent.clone());
        }
        match &self.user {
            Some(user) => event.user_as(user.clone()),
            None => event,
        }
    }
}

/// Watches a stream of events.
#[derive(Debug)]
pub struct Watch {
    thresholds: Thresholds,
    sessions: HashMap<SessionId, Watched>,
    /// The agent's last program and level, by name and person.
    agents: HashMap<(AgentId, Option<String>), Known>,
    /// The time of the last event of an earlier run of the broker, while the next run begins.
    before: Option<Timestamp>,
    turn: u64,
}

/// What is counted of one session.
#[derive(Debug, Default)]
struct Watched {
    turn: u64,
    workspace: Option<valetkey_model::Resource>,
    windows: HashMap<AlertRule, Window>,
    raised: HashMap<AlertRule, Timestamp>,
}

#[derive(Debug)]
struct Known {
    program: Option<Digest>,
    level: Option<Level>,
    turn: u64,
}

impl Watch {
    /// With these thresholds, knowing nothing.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            sessions: HashMap::new(),
            agents: HashMap::new(),
            before: None,
            turn: 0,
        }
    }

    /// Takes the next event of the log; what it raises.
    pub fn push(&mut self, record: &Record) -> Vec<Alert> {
        self.turn = self.turn.saturating_add(1);
        let mut alerts = self.of_log(record);
        if let Some(session) = &record.session {
            if record.kind == EventType::SessionOpened {
                alerts.extend(self.of_opening(record));
            }
            alerts.extend(self.of_session(session, record));
            if record.kind == EventType::SessionClosed {
                self.sessions.remove(session);
            }
        }
        alerts
    }

    fn of_session(&mut self, session: &SessionId, record: &Record) -> Vec<Alert> {
        let turn = self.turn;
        if !self.sessions.contains_key(session) && self.sessions.len() >= SESSIONS_MAX {
            forget_oldest(&mut self.sessions, |watched| watched.turn);
        }
        let thresholds = &self.thresholds;
        let watched = self.sessions.entry(session.clone()).or_default();
        watched.turn = turn;
        if record.kind == EventType::SessionOpened {
            watched.workspace.clone_from(&record.resource);
        }
        let mut alerts = Vec::new();
        for (rule, threshold, item) in
            rules::counted(thresholds, record, watched.workspace.as_ref())
        {
            let window = watched.windows.entry(rule).or_default();
            let Some(counted) = window.add(item, record, threshold) else {
                continue;
            };
            let quiet = watched.raised.get(&rule).is_some_and(|last| {
                record.timestamp.ms_since(*last) < QUIET_SECONDS.saturating_mul(1000)
            });
            if quiet {
                continue;
            }
            watched.raised.insert(rule, record.timestamp);
            alerts.push(Alert {
                rule,
                count: counted.count,
                seconds: u64::from(threshold.seconds),
                evidence: counted.evidence,
                session: Some(session.clone()),
                agent: record.agent_id.clone(),
                user: record.user.clone(),
            });
        }
        alerts
    }
}

fn forget_oldest<K: Clone + Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    turn: impl Fn(&V) -> u64,
) {
    let oldest = map.iter().min_by_key(|(_, value)| turn(value));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        map.remove(&key);
    }
}

/// The events that an alert names: the first ones, and always the last.
fn evidence(events: &VecDeque<(Timestamp, EventId)>) -> Vec<EventId> {
    let mut ids: Vec<EventId> = events
        .iter()
        .take(EVIDENCE_MAX)
        .map(|(_, id)| id.clone())
        .collect();
    if let (true, Some((_, last))) = (events.len() > EVIDENCE_MAX, events.back()) {
        ids.pop();
        ids.push(last.clone());
    }
    ids
}

#[cfg(test)]
mod tests;
