//! Alerts on streams of events: attacks as they look in the log, and days on which nothing is wrong.

use valetkey_model::{ActionSet, EventId};

use super::*;
use crate::outcome::AuditDecision;

const START_MS: u64 = 1_768_662_720_000;

/// A log that is made up event by event.
struct Story {
    watch: Watch,
    seq: u64,
    now_ms: u64,
    alerts: Vec<Alert>,
}

impl Story {
    fn new() -> Self {
        Self {
            watch: Watch::new(Thresholds::default()),
            seq: 0,
            now_ms: START_MS,
            alerts: Vec::new(),
        }
    }

    fn after_ms(&mut self, ms: u64, event: Event) -> EventId {
        self.now_ms += ms;
        let time = Timestamp::from_unix_ms(self.now_ms);
        let number = self.seq.to_be_bytes();
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number);
        let id = EventId::new(time, random);
        let sealed = event.seal(self.seq, id.clone(), time).unwrap();
        self.seq += 1;
        let raised = self.watch.push(&Record::parse(sealed.bytes()).unwrap());
        self.alerts.extend(raised);
        id
    }

    fn rules(&self) -> Vec<AlertRule> {
        self.alerts.iter().map(|alert| alert.rule).collect()
    }
}

fn session(number: u16) -> SessionId {
    let [high, low] = number.to_be_bytes();
    SessionId::new(
        Timestamp::from_unix_ms(START_MS),
        [high, low, 0, 0, 0, 0, 0, 0, 0, 0],
    )
}

fn of(kind: EventType, number: u16) -> Event {
    Event::new(kind, Actor::Guard)
        .session(session(number))
        .agent(AgentId::sanitised("codex"))
        .user(1000, "alice")
}

fn opened(number: u16, program: u8, level: &str) -> Event {
    of(EventType::SessionOpened, number)
        .resource("file:/home/alice/work/**".parse().unwrap())
        .process_hash(Digest::of(&[program]))
        .attribute("level", level)
}

fn done(path: &str, actions: &str) -> Event {
    of(EventType::OperationPerformed, 1)
        .resource(format!("file:{path}").parse().unwrap())
        .action(actions.parse::<ActionSet>().unwrap())
        .decision(AuditDecision::Allowed)
}

#[test]
fn many_files_outside_of_the_workspace_are_told_once_with_their_evidence() {
    let mut story = Story::new();
    story.after_ms(0, opened(1, 1, "standard"));
    for number in 0..400 {
        let last = story.after_ms(20, done(&format!("/home/alice/mail/{number}"), "read"));
        if number == 198 {
            assert!(story.alerts.is_empty());
        }
        if number == 199 {
            let alert = story.alerts.first().unwrap();
            assert_eq!((alert.rule, alert.count), (AlertRule::ManyFiles, 200));
            assert_eq!(alert.evidence.len(), EVIDENCE_MAX);
            assert_eq!(alert.evidence.last(), Some(&last));
            assert_eq!(alert.session, Some(session(1)));
            let sealed = alert
                .event()
                .seal(9, last.clone(), Timestamp::from_unix_ms(0))
                .unwrap();
            let record = Record::parse(sealed.bytes()).unwrap();
            assert_eq!(
                (record.kind, record.cause),
                (EventType::AlertRaised, Some(last.clone()))
            );
        }
    }
    assert_eq!(story.rules(), [AlertRule::ManyFiles], "told once");
}

#[test]
fn each_attack_raises_its_own_alert_and_no_other() {
    let kinds = [
        (
            AlertRule::MassDeletion,
            500,
            done("/home/alice/work/NAME", "delete"),
        ),
        (
            AlertRule::RepeatedElevation,
            8,
            of(EventType::ApprovalGiven, 1),
        ),
        (
            AlertRule::CapabilityChurn,
            200,
            of(EventType::CapabilityNarrowed, 1),
        ),
        (
            AlertRule::RefusedCapabilities,
            5,
            of(EventType::CapabilityRefused, 1),
        ),
        (
            AlertRule::DeniedBurst,
            40,
            of(EventType::OperationRefused, 1),
        ),
        (
            AlertRule::DeniedBurst,
            40,
            of(EventType::RequestDecided, 1).decision(AuditDecision::Denied),
        ),
    ];
    for (rule, count, event) in kinds {
        let mut story = Story::new();
        story.after_ms(0, opened(1, 1, "standard"));
        for number in 0..count {
            assert!(story.alerts.is_empty(), "{rule:?} after {number}");
            let resource = format!("file:/home/alice/work/{number}").parse().unwrap();
            story.after_ms(50, event.clone().resource(resource));
        }
        assert_eq!(story.rules(), [rule]);
    }
}

#[test]
fn what_is_slow_or_the_same_thing_again_raises_nothing() {
    let mut story = Story::new();
    story.after_ms(0, opened(1, 1, "standard"));
    for number in 0..1000 {
        story.after_ms(400, done(&format!("/home/alice/mail/{number}"), "read"));
        story.after_ms(0, done("/home/alice/notes.txt", "write"));
        story.after_ms(
            1600,
            of(EventType::OperationRefused, 1).resource("file:/home/alice/secret".parse().unwrap()),
        );
    }
    assert_eq!(story.rules(), []);
}

#[test]
fn sessions_are_counted_apart() {
    let mut story = Story::new();
    for number in 0..200_u16 {
        let refused = of(EventType::OperationRefused, number % 10);
        story.after_ms(
            10,
            refused.resource(format!("file:/a/{number}").parse().unwrap()),
        );
    }
    assert_eq!(story.rules(), []);
}

#[test]
fn another_program_and_less_enforcement_are_told() {
    let mut story = Story::new();
    story.after_ms(0, opened(1, 1, "standard"));
    story.after_ms(9, opened(2, 1, "standard"));
    assert_eq!(story.rules(), []);
    story.after_ms(9, opened(3, 2, "standard"));
    assert_eq!(story.rules(), [AlertRule::NewProgram]);
    story.after_ms(9, opened(4, 2, "basic"));
    story.after_ms(9, opened(5, 2, "basic"));
    story.after_ms(9, opened(6, 2, "strict"));
    assert_eq!(
        story.rules(),
        [AlertRule::NewProgram, AlertRule::PostureDrop]
    );
}

#[test]
fn a_clock_that_was_set_back_and_a_gap_are_told() {
    let log = |kind| Event::new(kind, Actor::Broker);
    let mut story = Story::new();
    story.after_ms(0, log(EventType::LogOpened).attribute("created", true));
    story.after_ms(50, log(EventType::LogClosed));
    story.after_ms(3000, log(EventType::LogOpened).attribute("created", false));
    assert_eq!(story.rules(), []);
    story.after_ms(50, log(EventType::LogClosed));
    // The broker's clock begins where the log ended, if the machine's is behind that.
    story.after_ms(0, log(EventType::LogOpened).attribute("created", false));
    assert_eq!(story.rules(), [AlertRule::ClockStep]);
    story.after_ms(
        9,
        log(EventType::LogGap).attribute("reason", "the log was not closed"),
    );
    assert_eq!(story.rules(), [AlertRule::ClockStep, AlertRule::Gap]);
}

#[test]
fn a_rule_that_is_turned_off_says_nothing() {
    let mut story = Story::new();
    let off = Threshold {
        count: 0,
        seconds: 60,
    };
    story.watch.thresholds = Thresholds {
        denied_burst: off,
        new_program: false,
        gap: false,
        ..Thresholds::default()
    };
    story.after_ms(0, opened(1, 1, "standard"));
    story.after_ms(0, opened(2, 2, "standard"));
    story.after_ms(0, Event::new(EventType::LogGap, Actor::Broker));
    for number in 0..500 {
        let resource = format!("file:/a/{number}").parse().unwrap();
        story.after_ms(1, of(EventType::OperationRefused, 1).resource(resource));
    }
    assert_eq!(story.rules(), []);
}

#[test]
fn a_day_of_builds_raises_nothing() {
    let mut story = Story::new();
    for day in 0..2_u16 {
        story.after_ms(60_000, opened(day, 1, "standard"));
        for number in 0..700 {
            let path = format!("/home/alice/work/target/{number}");
            for actions in ["create", "write", "read"] {
                let event = done(&path, actions).session(session(day));
                story.after_ms(2, event);
            }
            if number % 20 == 0 {
                story.after_ms(1, done(&path, "delete").session(session(day)));
            }
        }
        for number in 0..60 {
            story.after_ms(
                500,
                done(&format!("/home/alice/.cargo/registry/{number}"), "read")
                    .session(session(day)),
            );
        }
        for _ in 0..4 {
            story.after_ms(180_000, of(EventType::ApprovalGiven, day));
            story.after_ms(5, of(EventType::CapabilityMinted, day));
        }
        story.after_ms(1000, of(EventType::SessionClosed, day));
    }
    assert_eq!(story.rules(), []);
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut story = Story::new();
    for number in 0..1200_u16 {
        let mut event = opened(number, 1, "basic");
        event = event.agent(AgentId::sanitised(&format!("agent{number}")));
        story.after_ms(1, event);
    }
    assert!(story.watch.sessions.len() <= SESSIONS_MAX && story.watch.agents.len() <= AGENTS_MAX);
    let mut story = Story::new();
    for number in 0..800 {
        story.after_ms(1, done(&format!("/etc/{number}"), "read,delete"));
    }
    let watched = story.watch.sessions.values().next().unwrap();
    let thresholds = Thresholds::default();
    for (rule, most) in [
        (AlertRule::ManyFiles, thresholds.many_files.count),
        (AlertRule::MassDeletion, thresholds.mass_deletion.count),
    ] {
        let kept = watched.windows.get(&rule).unwrap().len();
        assert_eq!(kept, usize::try_from(most).unwrap());
    }
}
