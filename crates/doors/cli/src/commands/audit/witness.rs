//! `valetkey audit witness`: has witnesses cosign the last checkpoint, and tells when one has seen another history.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use valetkey_api::{HandIn, Witnessed};
use valetkey_audit::{
    AddCheckpoint, CHECKPOINT_MAX_BYTES, Checkpoint, Consistency, NotWitnessed, WitnessPolicy,
};
use valetkey_store::LogReader;

use super::verify::key_of;
use super::{open, unreadable};
use crate::args::AuditWitnessArgs;
use crate::commands::witness::{Address, post};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out::{self, Style, styled};

/// What a witness answered.
enum Answer {
    /// These signature lines.
    Lines(String),
    /// It has seen another history of this log, or more of it.
    Differs(String),
    /// It cannot be asked, or does not cosign.
    Nothing(String),
}

/// Asks every witness.
pub(super) fn witness(args: &AuditWitnessArgs) -> Result<(), Fail> {
    let policy = read_policy(&args.witness_policy)?;
    let (reader, dir) = open(&args.log)?;
    let key = key_of(args.key.key.as_deref())?;
    let note = reader.checkpoint().map_err(unreadable)?.ok_or_else(|| {
        let why = format!("the log in {} has no checkpoint", dir.display());
        Fail::new(Status::Failed, why)
    })?;
    let own = Checkpoint::open(note.as_bytes(), &key).map_err(|error| {
        Fail::new(Status::NotVerified, error)
            .hinted("`valetkey audit verify` says what is wrong with the log")
    })?;
    let mut cosigned = note.clone();
    let (mut told, mut differs) = (Vec::new(), None);
    let urls = policy
        .witnesses()
        .iter()
        .filter_map(|witness| witness.url.as_deref());
    for url in urls.chain(args.to.iter().map(String::as_str)) {
        let address: Address = url
            .parse()
            .map_err(|why| Fail::new(Status::Usage, format!("{url}: {why}")))?;
        let found = match ask(&address, &reader, &own, &note) {
            Answer::Lines(lines) => take(&mut cosigned, &note, &lines, &policy),
            Answer::Differs(why) => {
                differs.get_or_insert_with(|| format!("{url}: {why}"));
                why
            }
            Answer::Nothing(why) => why,
        };
        told.push((url.to_owned(), found));
    }
    let since = policy.witnessed(cosigned.as_bytes(), &key);
    if let Some(out) = &args.out {
        let fail = |error| {
            Fail::new(
                Status::Failed,
                format!("cannot write {}: {error}", out.display()),
            )
        };
        std::fs::write(out, &cosigned).map_err(fail)?;
    }
    tell(args, &own, &cosigned, &told, since);
    if let Some(why) = differs {
        return Err(Fail::new(Status::NotVerified, why)
            .hinted("this log and what the witness saw are two histories: keep the files, and compare them with a copy"));
    }
    since.map_err(|error| Fail::new(Status::NotVerified, error))?;
    if args.hand_in {
        let handed = HandIn {
            checkpoint: cosigned,
        };
        let _taken: Witnessed = home::operator()?.post("/v1/log/witnessed", &handed)?;
    }
    Ok(())
}

/// The policy in a file.
pub(super) fn read_policy(file: &Path) -> Result<WitnessPolicy, Fail> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Fail::new(
            Status::Usage,
            format!("cannot read {}: {error}", file.display()),
        )
    })?;
    text.parse()
        .map_err(|error| Fail::new(Status::Usage, format!("{}: {error}", file.display())))
}

/// Asks one witness, at most twice: the first time for what it cosigned last.
fn ask(address: &Address, reader: &LogReader, own: &Checkpoint, note: &str) -> Answer {
    let (mut old, mut proof) = (0, Vec::new());
    for _ in 0..2 {
        let request = AddCheckpoint {
            old,
            proof: std::mem::take(&mut proof),
            note: note.to_owned(),
        };
        let (status, body) = match post(address, request.text().as_bytes(), CHECKPOINT_MAX_BYTES) {
            Ok(answer) => answer,
            Err(error) => return Answer::Nothing(format!("cannot be asked: {error}")),
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        match status {
            200 => return Answer::Lines(text),
            409 => {}
            422 => return Answer::Differs("it cosigned another history of this log".to_owned()),
            status => {
                let why = out::json_text(text.trim());
                return Answer::Nothing(format!("answers {status}: {why}"));
            }
        }
        let Ok(size) = text.trim().parse::<u64>() else {
            return Answer::Nothing("does not say what it cosigned last".to_owned());
        };
        if size > own.size {
            let why = format!(
                "it cosigned {size} events of this log, and {} are here",
                own.size
            );
            return Answer::Differs(why);
        }
        if size == old {
            return Answer::Differs("it cosigned another history of this log".to_owned());
        }
        let wanted = Consistency {
            old: size,
            new: own.size,
        };
        match reader.prove(&wanted, own.size) {
            Ok(path) => (old, proof) = (size, path),
            Err(error) => return Answer::Nothing(format!("nothing can be proved to it: {error}")),
        }
    }
    Answer::Nothing("it cosigned something else meanwhile".to_owned())
}

/// Takes the lines of known witnesses that hold; what is said of them.
fn take(cosigned: &mut String, note: &str, lines: &str, policy: &WitnessPolicy) -> String {
    let mut by = Vec::new();
    for line in lines.split_inclusive('\n') {
        let alone = format!("{note}{line}");
        let known = policy
            .witnesses()
            .iter()
            .find(|witness| matches!(witness.key.cosigned(alone.as_bytes()), Ok(Some(_))));
        if let Some(witness) = known
            && !by.contains(&witness.name)
        {
            cosigned.push_str(line);
            by.push(witness.name.clone());
        }
    }
    if by.is_empty() {
        "answers with no cosignature of a witness of the policy".to_owned()
    } else {
        format!("cosigned by {}", by.join(", "))
    }
}

fn tell(
    args: &AuditWitnessArgs,
    own: &Checkpoint,
    cosigned: &str,
    told: &[(String, String)],
    since: Result<u64, NotWitnessed>,
) {
    if args.json {
        let asked: Vec<Value> = told
            .iter()
            .map(|(url, found)| json!({"url": url, "answer": found}))
            .collect();
        out::json(&json!({
            "events": own.size, "root": own.root.to_string(), "asked": asked,
            "quorum": since.is_ok(), "since": since.ok(), "checkpoint": cosigned,
        }));
        return;
    }
    if args.out.is_none() {
        out::line(cosigned.trim_end());
        return;
    }
    for (url, found) in told {
        out::line(&format!("{url}: {found}"));
    }
    if since.is_ok() {
        let words = format!("{} events are witnessed", own.size);
        out::line(&styled(Style::Green, &words));
    }
}

/// How old a quorum is, in words.
pub(super) fn age(since: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    match since {
        u64::MAX => "the policy asks for no witness".to_owned(),
        since => format!("witnessed {} seconds ago", now.saturating_sub(since)),
    }
}
