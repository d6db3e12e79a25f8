//! Questions and answers as files, for an approver at another machine.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use valetkey_approval::{Asked, EXPORT_MAX_BYTES, Exported, Method, SignedApproval, Verdict};
use valetkey_approver::{ApproverError, KeyFile, Reply, give, sign_answer};
use valetkey_model::Digest;

use crate::approver;
use crate::args::AnswerArgs;
use crate::commands::answer::{check_digest, reach, tell};
use crate::commands::requests;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Writes a question to a file, unanswered.
pub(crate) fn export(question: &Asked, file: &Path) -> Result<(), Fail> {
    let exported = Exported::question(question.clone()).map_err(|error| failed(file, &error))?;
    write(file, &exported)?;
    out::line(&format!(
        "{} waits for an answer; it is not answered yet",
        file.display()
    ));
    out::line(
        "  there     valetkey approve --import FILE   and, having looked, again with --out ANSWER",
    );
    out::line("  then here valetkey approve --import ANSWER");
    Ok(())
}

/// Looks at a question from a file, answers it into another, or gives an answer from a file to the broker.
pub(crate) fn import(args: &AnswerArgs, file: &Path, verdict: Verdict) -> Result<(), Fail> {
    match read(file)? {
        Exported::Question { question, digest } => {
            check_digest(&question, args.digest)?;
            let shown = if args.json {
                None
            } else {
                requests::show(&question).digest()
            };
            match &args.out {
                Some(answer) => sign(args, &question, answer, verdict, shown),
                None => {
                    invite(args, &question, digest);
                    Ok(())
                }
            }
        }
        Exported::Answer { answer } => deliver(args, answer, verdict),
    }
}

/// Nothing is signed by looking.
fn invite(args: &AnswerArgs, question: &Asked, digest: Digest) {
    if args.json {
        out::json(question);
        return;
    }
    out::line(&format!(
        "not answered yet: add --out ANSWER --digest {digest} to sign, with `approve` or `deny`"
    ));
}

fn sign(
    args: &AnswerArgs,
    question: &Asked,
    to: &Path,
    verdict: Verdict,
    shown: Option<Digest>,
) -> Result<(), Fail> {
    let lease = reach(args, question, verdict)?;
    let key_file = KeyFile::load(&home::paths()?)?.ok_or(ApproverError::NoKey)?;
    let mut ask = approver::asker(args.passphrase.passphrase_fd)?;
    let key = key_file.unlock(&mut *ask)?;
    let reply = Reply {
        verdict,
        because: args.because.clone(),
        lease,
        method: Method::File,
        shown,
    };
    let name = args.name.as_deref().unwrap_or(key.name());
    let answer = sign_answer(question, &key, name, &reply)?;
    write(to, &Exported::Answer { answer })?;
    if args.json {
        out::json(&serde_json::json!({"request_id": question.request_id, "answer": to}));
    } else {
        out::line(&format!(
            "signed as `{name}`; give {} to the person who asked",
            to.display()
        ));
    }
    Ok(())
}

fn deliver(args: &AnswerArgs, answer: SignedApproval, verdict: Verdict) -> Result<(), Fail> {
    let told = |text: String| Err(Fail::new(Status::Usage, text));
    if args.out.is_some() {
        return told(
            "the file holds an answer already: leave --out away to give it to the broker"
                .to_owned(),
        );
    }
    // Who types `approve` must not pass a refusal on by mistake, nor the other way round.
    if answer.approval.verdict != verdict {
        let other = match answer.approval.verdict {
            Verdict::Approve => "approve",
            Verdict::Deny => "deny",
        };
        return told(format!(
            "the file holds the other answer: `valetkey {other} --import` gives it to the broker"
        ));
    }
    if args
        .digest
        .is_some_and(|seen| seen != answer.approval.asked_digest)
    {
        return Err(ApproverError::OtherQuestion.into());
    }
    let request = answer.approval.request_id.clone();
    let outcome = give(&mut home::operator()?, answer)?;
    tell(args, request.as_str(), outcome);
    Ok(())
}

fn write(file: &Path, content: &Exported) -> Result<(), Fail> {
    let bytes = content.bytes().map_err(|error| failed(file, &error))?;
    // Private: a question names files and reasons.
    valetkey_store::write_atomically(file, &bytes, 0o600).map_err(|error| failed(file, &error))
}

fn read(file: &Path) -> Result<Exported, Fail> {
    let mut bytes = Vec::new();
    let most = u64::try_from(EXPORT_MAX_BYTES).unwrap_or(u64::MAX);
    File::open(file)
        .and_then(|open| open.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| failed(file, &error))?;
    Exported::read(&bytes).map_err(|error| failed(file, &error))
}

fn failed(file: &Path, error: &dyn std::fmt::Display) -> Fail {
    let text = valetkey_approval::visible(&error.to_string());
    Fail::new(Status::Failed, format!("{}: {text}", file.display()))
}
