//! What a notification says: the one renderer's words, laid out for a small place. Nothing is cut; what is too long is looked at in the inbox.

use std::path::Path;

use valetkey_api::{Alert, AlertKind, Review};
use valetkey_approval::{Asked, Context, Prompt, Risk, SafeText};
use valetkey_capability::Capability;
use valetkey_model::Timestamp;

use crate::link::{Button, Notice, Urgency};

/// Characters of a body beyond which no desktop shows it whole.
const BODY_MAX: usize = 2000;
/// Emergencies that are named where several wait for a review.
const REVIEWS_MAX: usize = 3;

/// The notification of a question. Nothing in it approves, whatever the risk; refusing is offered where little is at stake.
pub(crate) fn question(asked: &Asked, home: Option<&Path>, now: Timestamp) -> Notice {
    let context = Context {
        home: home.map(Path::to_path_buf),
        ..Context::default()
    };
    let prompt = Prompt::of(asked, &context);
    let left_ms = asked.expires_at.ms_since(now);
    let mut lines = vec![
        format!("Allows it to {}", prompt.plain_words),
        risk(&prompt),
    ];
    lines.extend(
        prompt
            .warnings
            .iter()
            .map(|text| format!("WARNING: {text}")),
    );
    lines.extend(prompt.new.iter().map(|text| format!("New: {text}")));
    lines.push(format!("Waits {} for an answer.", time(left_ms)));
    let buttons = match prompt.risk {
        Risk::Low => vec![Button::Inbox, Button::Deny],
        Risk::Elevated | Risk::High => vec![Button::Inbox],
    };
    let urgency = match prompt.risk {
        Risk::Low | Risk::Elevated => Urgency::Normal,
        Risk::High => Urgency::Critical,
    };
    Notice {
        title: prompt.title.to_string(),
        body: whole(&lines, &risk(&prompt)),
        urgency,
        category: "x-valetkey.question".to_owned(),
        life_ms: Some(u32::try_from(left_ms.max(1)).unwrap_or(u32::MAX)),
        buttons,
    }
}

/// The notification of what a person has approved for longer than one use.
pub(crate) fn lease(held: &Capability, now: Timestamp) -> Notice {
    let agent = SafeText::of(held.issued_to.as_str());
    let resource = SafeText::of(&held.resource.to_string());
    let lines = vec![
        format!("{}: {resource}", SafeText::of(&held.actions.to_string())),
        format!(
            "Ends in {}, or when you end it.",
            time(held.expires_at.ms_since(now))
        ),
    ];
    Notice {
        title: format!("{agent} has access"),
        body: whole(
            &lines,
            "It is too long to be shown here: `valetkey caps list`.",
        ),
        urgency: Urgency::Low,
        category: "x-valetkey.lease".to_owned(),
        life_ms: None,
        buttons: vec![Button::End],
    }
}

/// The notification of something that people should see soon, whoever is is looked at: it stays until somebody takes it away.
pub(crate) fn alert(alert: &Alert) -> Notice {
    let (title, next) = match alert.kind {
        AlertKind::Lockout => (
            "An agent was locked out",
            "`valetkey audit tail` shows what it asked for; `valetkey caps revoke --session` ends what it holds.",
        ),
        AlertKind::BreakGlass => (
            "Emergency access was taken",
            "`valetkey caps list` shows what was given, `valetkey caps revoke` ends it.",
        ),
        AlertKind::Watch => (
            "Something unusual in an agent's session",
            "`valetkey audit query --type alert` shows the alert and its evidence; `valetkey caps revoke --session` ends what the agent holds.",
        ),
        AlertKind::Policy => (
            "A new policy was taken back",
            "`valetkey policy status` shows what decides now, `valetkey audit query --type policy` why.",
        ),
    };
    let mut lines = vec![SafeText::of(&alert.text).to_string()];
    if let Some(agent) = &alert.agent {
        lines.push(format!("Agent: {}", SafeText::of(agent.as_str())));
    }
    if let Some(session) = &alert.session {
        lines.push(format!("Session: {}", SafeText::of(session.as_str())));
    }
    lines.push(format!("At {}", alert.time));
    lines.push(next.to_owned());
    Notice {
        title: title.to_owned(),
        body: whole(&lines, next),
        urgency: Urgency::Critical,
        category: "x-valetkey.alert".to_owned(),
        life_ms: Some(0),
        buttons: vec![Button::Inbox],
    }
}

/// The notification of emergencies that wait for a review, for as long as they do.
pub(crate) fn reviews(open: &[Review]) -> Notice {
    let title = match open.len() {
        1 => "An emergency waits for its review".to_owned(),
        count => format!("{count} emergencies wait for their review"),
    };
    let next =
        "`valetkey report review` lists them; another person than the one who took it closes each.";
    let mut lines: Vec<String> = open
        .iter()
        .rev()
        .take(REVIEWS_MAX)
        .map(|review| {
            let item = &review.item;
            format!(
                "{}, {}: {}",
                SafeText::of(item.opened_by()),
                item.opened_at(),
                SafeText::of(&item.asked().because)
            )
        })
        .collect();
    let rest = open.len().saturating_sub(lines.len());
    if rest > 0 {
        lines.push(format!("and {rest} more"));
    }
    lines.push(next.to_owned());
    Notice {
        title,
        body: whole(&lines, next),
        urgency: Urgency::Critical,
        category: "x-valetkey.review".to_owned(),
        life_ms: Some(0),
        buttons: Vec::new(),
    }
}

/// The notification that stands for those that there is no room for.
pub(crate) fn more(count: usize) -> Notice {
    let title = if count == 1 {
        "One more question waits".to_owned()
    } else {
        format!("{count} more questions wait")
    };
    Notice {
        title,
        body: "The inbox shows them all.".to_owned(),
        urgency: Urgency::Normal,
        category: "x-valetkey.question".to_owned(),
        life_ms: Some(0),
        buttons: vec![Button::Inbox],
    }
}

fn risk(prompt: &Prompt) -> String {
    let word = match prompt.risk {
        Risk::Low => "low",
        Risk::Elevated => "elevated",
        Risk::High => "HIGH",
    };
    if prompt.risk_because.is_empty() {
        format!("Risk: {word}")
    } else {
        format!("Risk: {word}: {}", prompt.risk_because.join("; "))
    }
}

/// The lines, or, where they are too many for a notification, what is said in their place.
fn whole(lines: &[String], otherwise: &str) -> String {
    let text = lines.join("\n");
    if text.chars().count() > BODY_MAX {
        format!("{otherwise}\nIt is too long to be shown here: open the inbox.")
    } else {
        text
    }
}

fn time(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        0..=119 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}
