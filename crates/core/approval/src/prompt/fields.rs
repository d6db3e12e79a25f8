//! The lines of a prompt: everything that an answer signs.

use valetkey_model::{
    ApprovalRequirement, FileKind, Justification, Lease, LeaseScope, Quorum, Resource,
};

use super::{Context, Emphasis, Field, limits};
use crate::asked::{Asked, FileFacts};
use crate::change::{ChangeLine, ChangeSummary, ChangeUnit};
use crate::show::{SafeText, visible};

/// All lines, in the order in which they are read.
pub(super) fn of(asked: &Asked, context: &Context) -> Vec<Field> {
    let mut lines = Lines(Vec::new());
    agent(&mut lines, asked);
    what(&mut lines, asked, context);
    if let Some(change) = &asked.change {
        self::change(&mut lines, change);
    }
    terms(&mut lines, asked);
    if let Some(words) = &asked.justification {
        lines.add("it says", Emphasis::Unverified, SafeText::prose(words));
    }
    for reason in &asked.reasons {
        lines.add("asked since", Emphasis::Plain, SafeText::prose(reason));
    }
    lines.text("policy", &asked.policy_id);
    lines.text("policy is", &asked.policy_digest.to_string());
    requirement(&mut lines, asked);
    lines.text("request", asked.request_id.as_str());
    lines.text("session", asked.session.as_str());
    lines.text("asked at", &asked.asked_at.to_string());
    lines.text("closes at", &asked.expires_at.to_string());
    lines.0
}

struct Lines(Vec<Field>);

impl Lines {
    fn add(&mut self, name: &'static str, emphasis: Emphasis, value: SafeText) {
        self.0.push(Field {
            name,
            value,
            emphasis,
        });
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.add(name, Emphasis::Plain, SafeText::of(value));
    }

    fn path(&mut self, name: &'static str, resource: &Resource) {
        self.add(name, Emphasis::Path, SafeText::of(&resource.to_string()));
    }
}

fn agent(lines: &mut Lines, asked: &Asked) {
    let name = visible(&asked.agent.to_string());
    let user = SafeText::quoted(asked.user.as_bytes());
    lines.add(
        "agent",
        Emphasis::Strong,
        SafeText::words(format_args!("{name}, for {user}")),
    );
    if let Some(digest) = asked.agent_digest {
        lines.text("program", &digest.to_string());
    }
    let before = asked.before.as_ref();
    if let Some(other) = before.and_then(|before| before.other_program) {
        lines.text("it was", &other.to_string());
    }
    if let Some(before) = before.filter(|before| before.approvals > 0) {
        let approvals = match before.approvals {
            1 => "something was approved for it once".to_owned(),
            times => format!("something was approved for it {times} times"),
        };
        lines.text("before", &approvals);
    }
    if !asked.has_read.is_empty() {
        let labels = SafeText::prose(&asked.has_read.join(", "));
        lines.add("has read", Emphasis::Strong, labels);
    }
    if let Some(purpose) = &asked.purpose {
        lines.add("purpose", Emphasis::Plain, SafeText::prose(purpose));
    }
}

fn what(lines: &mut Lines, asked: &Asked, context: &Context) {
    lines.add(
        "actions",
        Emphasis::Strong,
        SafeText::of(&asked.grant.actions.to_string()),
    );
    lines.path("resource", &asked.grant.resource);
    if let Some(file) = &asked.file {
        lines.add("file", Emphasis::Plain, facts(file, context));
    }
    for listed in &asked.also {
        lines.path("and", &listed.resource);
        if let Some(file) = &listed.file {
            lines.add("file", Emphasis::Plain, facts(file, context));
        }
        lines.text("request", listed.request_id.as_str());
    }
    for out in &asked.grant.except {
        lines.path("except", out);
    }
    for limit in limits::of(&asked.grant.constraints) {
        lines.add("limit", Emphasis::Strong, limit);
    }
}

fn facts(file: &FileFacts, context: &Context) -> SafeText {
    let kind = match file.kind {
        FileKind::Absent => return SafeText::words("does not exist yet"),
        FileKind::File => "a file",
        FileKind::Directory => "a folder",
        FileKind::Symlink => "a symbolic link",
        FileKind::Other => "a device, socket or pipe",
    };
    let owner = match context.name_of.and_then(|name_of| name_of(file.owner)) {
        Some(name) => format!("{} ({})", SafeText::quoted(name.as_bytes()), file.owner),
        None => format!("user {}", file.owner),
    };
    let names = match file.links {
        1 => "one name".to_owned(),
        links => format!("{links} names"),
    };
    let identity = file.identity.clone().map_or_else(String::new, |identity| {
        format!(", object {}", String::from(identity))
    });
    let changed = file
        .changed
        .map_or_else(String::new, |time| format!(", attributes {time}"));
    SafeText::words(format_args!(
        "{kind} of {}, owner {owner}, mode {:04o}, {names}, content of {}{changed}{identity}",
        limits::size(file.size),
        file.mode,
        file.modified
    ))
}

fn change(lines: &mut Lines, change: &ChangeSummary) {
    let unit = match change.unit() {
        ChangeUnit::Rows => "rows",
        ChangeUnit::Lines => "lines",
        ChangeUnit::Bytes => "bytes",
    };
    let (added, removed) = (change.added(), change.removed());
    lines.add(
        "change",
        Emphasis::Strong,
        SafeText::words(format_args!("{added} {unit} added, {removed} removed")),
    );
    for line in change.lines() {
        let sign = match line {
            ChangeLine::Added(_) => '+',
            ChangeLine::Removed(_) => '-',
            ChangeLine::Kept(_) => ' ',
        };
        let text = visible(line.text());
        lines.add(
            "",
            Emphasis::Unverified,
            SafeText::words(format_args!("{sign} {text}")),
        );
    }
    if change.omitted() > 0 {
        let omitted = change.omitted();
        lines.add(
            "",
            Emphasis::Strong,
            SafeText::words(format_args!("and {omitted} more that are not shown")),
        );
    }
    match change.content() {
        Some(content) => lines.text("content is", &content.to_string()),
        None => lines.text(
            "",
            "this is what the agent adds first; a yes is not for this content alone",
        ),
    }
}

fn terms(lines: &mut Lines, asked: &Asked) {
    let life = limits::span(asked.ttl_seconds);
    lines.add(
        "lasts",
        Emphasis::Strong,
        SafeText::words(format_args!("{life} from your yes on")),
    );
    match &asked.requirement.lease {
        None => lines.text("reaches", "this request alone"),
        Some(Lease { scope, max_seconds }) => {
            let most = limits::span(*max_seconds);
            let text = match scope {
                LeaseScope::Once => "one use".to_owned(),
                LeaseScope::Minutes => format!("as many uses as wanted within {most}"),
                LeaseScope::Task => {
                    format!("the same again until the task ends, for at most {most}")
                }
                LeaseScope::Operations(list) => {
                    let count = list.len();
                    format!("one use of each of these {count}, within {most}")
                }
            };
            lines.add("reaches", Emphasis::Strong, SafeText::words(text));
            if let LeaseScope::Operations(list) = scope {
                for resource in list {
                    lines.path("", resource);
                }
            }
        }
    }
}

fn requirement(lines: &mut Lines, asked: &Asked) {
    let needed = &asked.requirement;
    let ApprovalRequirement {
        quorum,
        mfa_max_age_seconds,
        justification,
        budget,
        lockout,
        expires_seconds: _,
        lease: _,
        requester: _,
    } = needed;
    let people: Vec<String> = quorum
        .iter()
        .map(|Quorum { role, count }| format!("{count} of {}", SafeText::quoted(role.as_bytes())))
        .collect();
    let others = if needed.requester_may_approve() {
        String::new()
    } else {
        let user = SafeText::quoted(asked.user.as_bytes());
        format!(", other than {user}")
    };
    let people = people.join(" and ");
    lines.add(
        "needs",
        Emphasis::Plain,
        SafeText::words(format_args!("{people}{others}")),
    );
    match justification {
        Justification::Optional => {}
        Justification::Needed => lines.text("and", "a reason"),
        Justification::Rule(rule) => {
            let length = rule.min_length.max(1);
            let tickets: String = rule
                .ticket
                .iter()
                .map(|ticket| {
                    format!(
                        ", with a ticket {}",
                        SafeText::quoted(ticket.to_string().as_bytes())
                    )
                })
                .collect();
            let text = format!("a reason of at least {length} letters{tickets}");
            lines.add("and", Emphasis::Plain, SafeText::words(text));
        }
    }
    if let Some(seconds) = mfa_max_age_seconds {
        let age = limits::span(*seconds);
        lines.add(
            "and",
            Emphasis::Plain,
            SafeText::words(format_args!("a second factor not older than {age}")),
        );
    }
    if let Some(budget) = budget {
        let text = format!(
            "{} questions in a session, {} in an hour",
            budget.per_session, budget.per_hour
        );
        lines.add("budget", Emphasis::Plain, SafeText::words(text));
    }
    if let Some(lockout) = lockout {
        let (first, most) = (
            limits::span(lockout.first_seconds),
            limits::span(lockout.max_seconds),
        );
        let text = format!("after {} noes, {first} up to {most}", lockout.denials);
        lines.add("lockout", Emphasis::Plain, SafeText::words(text));
    }
}
