//! `valetkey policy replay`: logged decisions taken again.
//!
//! One thread reads the log, the others decide. Requests that a policy cannot tell apart are decided once.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use valetkey_approval::SafeText;
use valetkey_model::{Decision, Digest, Effect};
use valetkey_policy::{PolicySet, Prepared};
use valetkey_store::LogReader;

use super::logged::{Logged, Reader};
use super::source;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out::{self, Style, styled};
use crate::policy_args::ReplayArgs;

/// Decisions that are handed over at once.
const BATCH: usize = 512;
/// Batches that wait.
const WAITING: usize = 8;
/// Answers that a thread remembers.
const REMEMBERED: usize = 200_000;
/// Differences that are shown.
const SHOWN: usize = 20;

/// What was found.
#[derive(Default)]
struct Sum {
    decisions: u64,
    same: u64,
    /// Counts of how decisions changed: from what to what.
    changed: BTreeMap<(String, String), u64>,
    /// Decisions of other policies, by digest.
    others: BTreeMap<String, u64>,
    /// Decisions of which the log holds too little, by who decided.
    untold: BTreeMap<String, u64>,
    differences: Vec<Value>,
}

pub(super) fn command(args: &ReplayArgs) -> Result<u8, Fail> {
    let bundle = source::load(args.against.as_deref().unwrap_or(Path::new("starter:base")))?;
    let set = PolicySet::new(&bundle).map_err(|error| Fail::new(Status::Usage, error))?;
    let reader = open(args.log.clone())?;
    let only = args.against.is_none().then(|| set.digest());
    let started = Instant::now();
    let sum = replay(&reader, &set, only, args.report.is_some())?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(file) = &args.report {
        write_report(file, &sum.differences).map_err(|error| {
            Fail::new(
                Status::Failed,
                format!("cannot write {}: {error}", file.display()),
            )
        })?;
    }
    if args.json {
        out::json(&as_json(&sum, &set, took_ms));
    } else {
        show(&sum, took_ms);
    }
    Ok(u8::from(!sum.changed.is_empty()))
}

/// The log of a directory, or of this home.
pub(super) fn open(log: Option<PathBuf>) -> Result<LogReader, Fail> {
    let dir = match log {
        Some(dir) => dir,
        None => {
            let paths = home::paths()?;
            home::may_read_log(&paths)?;
            paths.log()
        }
    };
    if !dir.is_dir() {
        return Err(Fail::new(
            Status::Failed,
            format!("there is no log in {}", dir.display()),
        ));
    }
    LogReader::open(&dir).map_err(unreadable)
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> Fail {
    Fail::new(Status::Failed, error)
        .hinted("`valetkey audit verify` says what is wrong with the log")
}

fn replay(
    reader: &LogReader,
    set: &PolicySet,
    only: Option<Digest>,
    keep_all: bool,
) -> Result<Sum, Fail> {
    let last = reader.tail(1).map_err(unreadable)?;
    let events = last
        .last()
        .map_or(0, |entry| entry.record.seq.saturating_add(1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sender, receiver) = sync_channel::<Vec<Logged>>(WAITING);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| decide_all(&receiver, set, only, keep_all)))
            .collect();
        let read = read_all(reader, events, sender);
        let mut sum = Sum::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => sum.add(part),
                Err(_) => return Err(Fail::new(Status::Failed, "a decision ended the thread")),
            }
        }
        read.map(|()| sum)
    })
}

fn read_all(reader: &LogReader, events: u64, sender: SyncSender<Vec<Logged>>) -> Result<(), Fail> {
    let bar = out::Progress::new("events");
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let mut sessions = Reader::default();
    let mut batch = Vec::with_capacity(BATCH);
    for entry in reader.entries(0).map_err(unreadable)? {
        let record = entry.map_err(unreadable)?.record;
        let seq = record.seq;
        // What comes in while this reads is for the next time.
        if seq >= events {
            break;
        }
        batch.extend(sessions.take(record));
        if batch.len() >= BATCH {
            bar.show(count(seq), count(events));
            // Without anybody to take it, the threads have failed, which is told where they are joined.
            if sender.send(std::mem::take(&mut batch)).is_err() {
                break;
            }
        }
    }
    drop(sender.send(batch));
    bar.end();
    Ok(())
}

fn decide_all(
    receiver: &Mutex<Receiver<Vec<Logged>>>,
    set: &PolicySet,
    only: Option<Digest>,
    keep_all: bool,
) -> Sum {
    let mut sum = Sum::default();
    let mut known: HashMap<Digest, (Digest, Decision)> = HashMap::new();
    loop {
        let batch = receiver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(batch) = batch else {
            return sum;
        };
        for logged in batch {
            sum.decisions = sum.decisions.saturating_add(1);
            one(&logged, set, only, &mut known, &mut sum, keep_all);
        }
    }
}

fn one(
    logged: &Logged,
    set: &PolicySet,
    only: Option<Digest>,
    known: &mut HashMap<Digest, (Digest, Decision)>,
    sum: &mut Sum,
    keep_all: bool,
) {
    let record = &logged.record;
    let (Some(made), Some(input)) = (&logged.made, logged.input()) else {
        let who = record.policy_id.clone().unwrap_or_default();
        count(&mut sum.untold, who);
        return;
    };
    if only.is_some() && record.policy_digest != only {
        let digest = record.policy_digest.map(|digest| digest.to_string());
        count(&mut sum.others, digest.unwrap_or_default());
        return;
    }
    let prepared = Prepared::of(&input);
    let question = set.question_of(&prepared);
    let remembered = question.as_ref().and_then(|question| known.get(question));
    let (digest, decision) = match remembered {
        Some(remembered) => remembered.clone(),
        None => {
            let judgement = set.judge_prepared(prepared);
            let found = (judgement.decision.digest(), judgement.decision);
            if let Some(question) = question.filter(|_| judgement.faults.is_empty()) {
                if known.len() >= REMEMBERED {
                    known.clear();
                }
                known.insert(question, found.clone());
            }
            found
        }
    };
    if digest == made.answer() {
        sum.same = sum.same.saturating_add(1);
        return;
    }
    let is = match decision.effect {
        Effect::Allow => "allow",
        Effect::Ask => "ask",
        Effect::Deny => "deny",
    };
    count(
        &mut sum.changed,
        (logged.effect().to_owned(), is.to_owned()),
    );
    if keep_all || sum.differences.len() < SHOWN {
        sum.differences.push(json!({
            "seq": record.seq, "event_id": record.event_id, "timestamp": record.timestamp, "agent_id": record.agent_id,
            "resource": record.resource, "action": record.action,
            "was": {"effect": logged.effect(), "policy_id": record.policy_id, "reason": record.attributes.get("reason")},
            "is": decision,
        }));
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

impl Sum {
    fn add(&mut self, other: Self) {
        fn all<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, number) in from {
                let count = into.entry(key).or_default();
                *count = count.saturating_add(number);
            }
        }
        self.decisions = self.decisions.saturating_add(other.decisions);
        self.same = self.same.saturating_add(other.same);
        all(&mut self.changed, other.changed);
        all(&mut self.others, other.others);
        all(&mut self.untold, other.untold);
        self.differences.extend(other.differences);
        self.differences
            .sort_by_key(|one| one.get("seq").and_then(Value::as_u64));
    }

    fn changed_in_all(&self) -> u64 {
        self.changed
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

fn write_report(file: &Path, differences: &[Value]) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    for one in differences {
        serde_json::to_writer(&mut out, one)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn as_json(sum: &Sum, set: &PolicySet, took_ms: u64) -> Value {
    let changed = sum.changed.iter();
    json!({
        "policy_digest": set.digest(), "decisions": sum.decisions, "same": sum.same, "changed": sum.changed_in_all(),
        "changes": changed.map(|((was, is), count)| json!({"was": was, "is": is, "count": count})).collect::<Vec<_>>(),
        "of_other_policies": sum.others, "not_enough_recorded": sum.untold, "took_ms": took_ms,
        "differences": sum.differences.iter().take(SHOWN).collect::<Vec<_>>(),
    })
}

fn show(sum: &Sum, took_ms: u64) {
    let changed = sum.changed_in_all();
    for one in sum.differences.iter().take(SHOWN) {
        let text = |path: &str| {
            one.pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let actions = one.get("action").map(Value::to_string).unwrap_or_default();
        let line = format!(
            "{}: {actions} {}: {} → {}",
            one.get("seq").and_then(Value::as_u64).unwrap_or_default(),
            text("/resource"),
            text("/was/effect"),
            text("/is/effect"),
        );
        out::line(&SafeText::of(&line).to_string());
    }
    if changed > u64::try_from(SHOWN).unwrap_or(u64::MAX) {
        out::line("… and more: --report FILE keeps them all");
    }
    let style = if changed == 0 {
        Style::Green
    } else {
        Style::Red
    };
    let words = format!(
        "{} the same, byte for byte; {changed} decided otherwise",
        sum.same
    );
    out::line(&format!(
        "{} decisions in {took_ms} ms: {}",
        sum.decisions,
        styled(style, &words)
    ));
    for ((was, is), count) in &sum.changed {
        let word = if was == is {
            " with other conditions"
        } else {
            ""
        };
        out::line(&format!("  {was} → {is}{word}: {count}"));
    }
    for (digest, count) in &sum.others {
        out::line(&format!(
            "  not taken again, of the policy {digest}: {count} (--against DIR)"
        ));
    }
    for (who, count) in &sum.untold {
        let line = format!(
            "  not taken again, by {who}: {count}: not by a policy alone, or of a broker that recorded less"
        );
        out::line(&SafeText::of(&line).to_string());
    }
}
