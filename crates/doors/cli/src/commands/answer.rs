//! `valetkey approve` and `valetkey deny`: a signed answer to exactly the question that is shown.

use valetkey_api::{OpenQuestions, Outcome};
use valetkey_approval::{Asked, Method, Reach, Verdict};
use valetkey_approver::{ApproverError, Reply, answer};
use valetkey_model::{Digest, Lease};

use crate::approver;
use crate::args::AnswerArgs;
use crate::commands::{files, requests};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Answers a request from the command line, or passes questions and answers through files.
pub(crate) fn command(args: &AnswerArgs, verdict: Verdict) -> Result<(), Fail> {
    let method = match (args.from_notification, verdict) {
        (false, _) => Method::Terminal,
        (true, Verdict::Deny) => Method::Desktop,
        (true, Verdict::Approve) => {
            return Err(Fail::new(
                Status::Usage,
                "nothing is approved from a notification",
            ));
        }
    };
    if let Some(file) = &args.import {
        return files::import(args, file, verdict);
    }
    let mut operator = home::operator()?;
    let open: OpenQuestions = operator.get("/v1/requests")?;
    let question = find(&open.questions, args.id.as_deref().unwrap_or_default())?;
    check_digest(question, args.digest)?;
    let lease = reach(args, question, verdict)?;
    if let Some(file) = &args.export {
        return files::export(question, file);
    }
    let shown = if args.json {
        None
    } else {
        requests::show(question).digest()
    };
    let mut ask = approver::asker(args.passphrase.passphrase_fd)?;
    let me = approver::me(&mut operator, &home::paths()?, &mut *ask)?;
    let reply = Reply {
        verdict,
        because: args.because.clone(),
        lease,
        method,
        shown,
    };
    let outcome = answer(&mut operator, &me.key, &me.name, question, &reply)?;
    tell(args, question.request_id.as_str(), outcome);
    Ok(())
}

/// Says what an answer led to.
pub(crate) fn tell(args: &AnswerArgs, request: &str, outcome: Outcome) {
    if args.json {
        out::json(&serde_json::json!({"request_id": request, "outcome": outcome}));
        return;
    }
    out::line(match outcome {
        Outcome::Approved => "approved",
        Outcome::Refused => "refused",
        Outcome::Open => "your answer counts; more people must answer",
    });
}

/// How far the person lets a yes reach, where they say so: within what the question says.
pub(crate) fn reach(
    args: &AnswerArgs,
    question: &Asked,
    verdict: Verdict,
) -> Result<Option<Lease>, Fail> {
    match (&args.lease, verdict) {
        (None, _) => Ok(None),
        (Some(_), Verdict::Deny) => Err(Fail::new(Status::Usage, "a refusal reaches nothing")),
        (Some(text), Verdict::Approve) => Reach::of(question)
            .choose(text)
            .map(Some)
            .map_err(|can| Fail::new(Status::Usage, can)),
    }
}

/// Holds a question to the digest that the person saw, where they say which.
pub(crate) fn check_digest(question: &Asked, seen: Option<Digest>) -> Result<(), Fail> {
    let now = question.digest().map_err(ApproverError::from)?;
    if seen.is_some_and(|seen| seen != now) {
        return Err(ApproverError::OtherQuestion.into());
    }
    Ok(())
}

fn find<'a>(open: &'a [Asked], id: &str) -> Result<&'a Asked, Fail> {
    let mut fitting = open
        .iter()
        .filter(|asked| asked.request_id.as_str() == id || asked.request_id.as_str().ends_with(id));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Fail::new(
            Status::Usage,
            format!("more than one open request ends in `{id}`"),
        )
        .hinted("give the whole id")),
        (None, _) => Err(
            Fail::new(Status::Failed, format!("no open request has the id {id}"))
                .hinted("`valetkey requests` shows the open ones"),
        ),
    }
}
