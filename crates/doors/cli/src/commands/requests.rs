//! `valetkey requests`: the questions that wait for a person.

use valetkey_api::OpenQuestions;
use valetkey_approval::{Asked, visible};
use valetkey_model::Timestamp;

use crate::args::ListArgs;
use crate::fail::Fail;
use crate::home;
use crate::out::{self, Style, styled};

/// Lists the open questions, each whole.
pub(crate) fn list(args: &ListArgs) -> Result<(), Fail> {
    let open: OpenQuestions = home::operator()?.get("/v1/requests")?;
    if args.json {
        out::json(&open.questions);
        return Ok(());
    }
    if open.questions.is_empty() {
        out::error("no request is waiting");
    }
    for question in &open.questions {
        show(question);
        out::line(&format!(
            "  answer    valetkey approve {0}   or   valetkey deny {0}",
            question.request_id
        ));
        out::line("");
    }
    Ok(())
}

/// Prints a question whole: everything that an answer signs, with nothing hidden.
pub(crate) fn show(question: &Asked) {
    let field = |name: &str, value: &str| out::line(&format!("  {name:<9} {}", visible(value)));
    let agent = format!("{} (for {})", question.agent, question.user);
    out::line(&styled(Style::Bold, &question.request_id.to_string()));
    field("agent", &agent);
    if let Some(digest) = question.agent_digest {
        field("program", &digest.to_string());
    }
    field(
        "wants",
        &format!("to {} {}", question.grant.actions, question.grant.resource),
    );
    let limits = serde_json::to_string(&question.grant.constraints).unwrap_or_default();
    if limits != "{}" {
        field("limits", &limits);
    }
    for out in &question.grant.except {
        field("except", &out.to_string());
    }
    if let Some(file) = &question.file {
        let text = serde_json::to_value(file.kind).unwrap_or_default();
        let kind = text.as_str().unwrap_or("unknown");
        field(
            "file",
            &format!(
                "{kind}, {} bytes, mode {:04o}, owner {}, {} link(s), changed {}",
                file.size, file.mode, file.owner, file.links, file.modified
            ),
        );
    }
    if let Some(purpose) = &question.purpose {
        field("purpose", purpose);
    }
    if let Some(words) = &question.justification {
        field("it says", words);
    }
    for reason in &question.reasons {
        field("asked as", &format!("{reason} [{}]", question.policy_id));
    }
    field(
        "grants",
        &format!("for {} s from the answer on", question.ttl_seconds),
    );
    let left = question.expires_at.ms_since(now()) / 1000;
    field(
        "closes",
        &format!("in {left} s, at {}", question.expires_at),
    );
    if let Ok(digest) = question.digest() {
        field("digest", &digest.to_string());
    }
    if question.requirement.justification {
        field("needs", "a reason: --because TEXT");
    }
}

/// Now, for a countdown that is only looked at.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
