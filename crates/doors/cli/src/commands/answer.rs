//! `valetkey approve` and `valetkey deny`: a signed answer to exactly the question that is shown.

use valetkey_api::{Answer, Answered, Client, OpenQuestions, Outcome, Paths};
use valetkey_approval::{Asked, Method, Unsigned, Verdict};
use valetkey_model::{ApprovalId, Digest, Timestamp};
use valetkey_sys::clock::Clock;

use crate::approver;
use crate::args::AnswerArgs;
use crate::commands::requests;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Answers a request from the command line.
pub(crate) fn command(args: &AnswerArgs, verdict: Verdict) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    let open: OpenQuestions = operator.get("/v1/requests")?;
    let question = find(&open.questions, &args.id)?;
    let shown = if args.json {
        None
    } else {
        requests::show(question).digest()
    };
    let outcome = answer(
        &mut operator,
        &home::paths()?,
        question,
        verdict,
        args.because.clone(),
        Method::Terminal,
        shown,
    )?;
    if args.json {
        out::json(&serde_json::json!({"request_id": question.request_id, "outcome": outcome}));
        return Ok(());
    }
    out::line(match outcome {
        Outcome::Approved => "approved",
        Outcome::Refused => "refused",
        Outcome::Open => "your answer counts; more people must answer",
    });
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

/// Signs an answer with the person's key and gives it to the broker; `shown` is the digest of the prompt that they saw.
pub(crate) fn answer(
    operator: &mut Client,
    paths: &Paths,
    question: &Asked,
    verdict: Verdict,
    because: Option<String>,
    method: Method,
    shown: Option<Digest>,
) -> Result<Outcome, Fail> {
    let me = approver::me(operator, paths)?;
    let failed = |reason: String| Fail::new(Status::Failed, reason);
    let mut random = [0; valetkey_model::ULID_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| failed(error.to_string()))?;
    let now = Timestamp::from_unix_ms(Clock::start(0).now_ms());
    let signed = Unsigned {
        approval_id: ApprovalId::new(now, random),
        request_id: question.request_id.clone(),
        asked_digest: question
            .digest()
            .map_err(|error| failed(error.to_string()))?,
        prompt_digest: shown,
        verdict,
        approver: me.name,
        method,
        justification: because,
        time: now,
    }
    .sign(&me.key)
    .map_err(|error| failed(error.to_string()))?;
    let answered: Answered = operator.post("/v1/answers", &Answer { approval: signed })?;
    Ok(answered.outcome)
}
