//! The rules themselves: what each event counts for, and what it is compared with.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use valetkey_model::{Action, Level, Resource};

use super::{AGENTS_MAX, Alert, AlertRule, Known, Threshold, Thresholds, Watch, forget_oldest};
use crate::attribute::Attribute;
use crate::event::Record;
use crate::kind::EventType;
use crate::outcome::AuditDecision;

impl Default for Thresholds {
    /// What the starter policy holds: high enough that the recorded working days of `tests/workloads` raise nothing.
    fn default() -> Self {
        let threshold = |count, seconds| Threshold { count, seconds };
        Self {
            many_files: threshold(200, 60),
            mass_deletion: threshold(500, 60),
            repeated_elevation: threshold(8, 600),
            capability_churn: threshold(200, 60),
            denied_burst: threshold(40, 60),
            refused_capabilities: threshold(5, 60),
            new_program: true,
            posture_drop: true,
            clock_step: true,
            gap: true,
        }
    }
}

/// The rules that an event counts for, each with what makes it different from others that count for it.
pub(super) fn counted(
    thresholds: &Thresholds,
    record: &Record,
    workspace: Option<&Resource>,
) -> Vec<(AlertRule, Threshold, u64)> {
    use EventType::{
        ApprovalGiven, ApprovalRefused, BreakglassOpened, CapabilityMinted, CapabilityNarrowed,
        CapabilityRefused, CapabilityReleased, CapabilityRevoked, OperationPerformed,
        OperationRefused, OperationSummarised, RequestDecided,
    };
    let kind = record.kind;
    let own = || hash(record.event_id.as_str());
    let about = || {
        record
            .resource
            .as_ref()
            .map_or_else(own, |resource| hash(&resource.to_string()))
    };
    if matches!(kind, OperationPerformed | OperationSummarised) {
        return of_operation(thresholds, record, workspace, about());
    }
    let denied = record.decision == Some(AuditDecision::Denied);
    if matches!(kind, ApprovalGiven | BreakglassOpened) {
        return vec![(
            AlertRule::RepeatedElevation,
            thresholds.repeated_elevation,
            own(),
        )];
    }
    let changes = [
        CapabilityMinted,
        CapabilityNarrowed,
        CapabilityReleased,
        CapabilityRevoked,
    ];
    if changes.contains(&kind) {
        return vec![(
            AlertRule::CapabilityChurn,
            thresholds.capability_churn,
            own(),
        )];
    }
    if kind == CapabilityRefused {
        return vec![(
            AlertRule::RefusedCapabilities,
            thresholds.refused_capabilities,
            own(),
        )];
    }
    if matches!(kind, OperationRefused | ApprovalRefused) || (kind == RequestDecided && denied) {
        return vec![(AlertRule::DeniedBurst, thresholds.denied_burst, about())];
    }
    Vec::new()
}

fn of_operation(
    thresholds: &Thresholds,
    record: &Record,
    workspace: Option<&Resource>,
    about: u64,
) -> Vec<(AlertRule, Threshold, u64)> {
    let Some(file) = record
        .resource
        .as_ref()
        .filter(|resource| resource.as_file().is_some())
    else {
        return Vec::new();
    };
    let mut counted = Vec::new();
    let actions = record.action.unwrap_or_default();
    let content = [Action::Read, Action::Write, Action::Append, Action::Create];
    let outside = !workspace.is_some_and(|tree| tree.covers(file));
    if outside && content.into_iter().any(|action| actions.allows(action)) {
        counted.push((AlertRule::ManyFiles, thresholds.many_files, about));
    }
    if actions.allows(Action::Delete) {
        counted.push((AlertRule::MassDeletion, thresholds.mass_deletion, about));
    }
    counted
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// An alert that counts nothing.
fn single(rule: AlertRule, record: &Record) -> Alert {
    Alert {
        rule,
        count: 0,
        seconds: 0,
        evidence: vec![record.event_id.clone()],
        session: record.session.clone(),
        agent: record.agent_id.clone(),
        user: record.user.clone(),
    }
}

impl Watch {
    /// What an event of the log itself raises.
    pub(super) fn of_log(&mut self, record: &Record) -> Vec<Alert> {
        if record.kind == EventType::LogGap {
            let gap = self.thresholds.gap.then(|| single(AlertRule::Gap, record));
            return gap.into_iter().collect();
        }
        if record.kind == EventType::LogRecovered {
            return Vec::new();
        }
        if record.kind != EventType::LogOpened {
            self.before = Some(record.timestamp);
            return Vec::new();
        }
        // The broker's clock begins at the later of the machine's and the log's last time: a run that begins at the very millisecond at
        // which the last one ended found the machine's clock behind.
        let created = matches!(
            record.attributes.get("created"),
            Some(Attribute::Flag(true))
        );
        let before = self.before.take();
        let stepped = before.is_some_and(|before| record.timestamp <= before);
        let told = self.thresholds.clock_step && stepped && !created;
        told.then(|| single(AlertRule::ClockStep, record))
            .into_iter()
            .collect()
    }

    /// What the opening of a session raises, beside the agent's last one.
    pub(super) fn of_opening(&mut self, record: &Record) -> Vec<Alert> {
        let Some(agent) = &record.agent_id else {
            return Vec::new();
        };
        let name = (
            agent.clone(),
            record.user.as_ref().map(|user| user.name.clone()),
        );
        let program = record.evidence.process_hash;
        let level = match record.attributes.get("level") {
            Some(Attribute::Text(word)) => word.parse::<Level>().ok(),
            _ => None,
        };
        let mut alerts = Vec::new();
        if let Some(known) = self.agents.get(&name) {
            let other = known.program.is_some() && program.is_some() && known.program != program;
            if self.thresholds.new_program && other {
                alerts.push(single(AlertRule::NewProgram, record));
            }
            let dropped = matches!((known.level, level), (Some(before), Some(now)) if now < before);
            if self.thresholds.posture_drop && dropped {
                alerts.push(single(AlertRule::PostureDrop, record));
            }
        } else if self.agents.len() >= AGENTS_MAX {
            forget_oldest(&mut self.agents, |known| known.turn);
        }
        let turn = self.turn;
        self.agents.insert(
            name,
            Known {
                program,
                level,
                turn,
            },
        );
        alerts
    }
}
