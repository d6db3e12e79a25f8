//! `valetkey audit unseal`: an auditor opens what was sealed of an event, and the reviewers' log says so first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use valetkey_approval::visible;
use valetkey_audit::{Actor, Attribute, Event, EventType, Outcome, Record};
use valetkey_model::{Digest, Timestamp};
use valetkey_privacy::age::{Identity, OpenError, open};
use valetkey_privacy::{PrivacyKey, Rules, redacted};
use valetkey_store::{Log, LogKey, SealedStore};
use zeroize::Zeroizing;

use super::{find, one_line, query, unreadable};
use crate::args::UnsealArgs;
use crate::fail::{Fail, Status};
use crate::{home, out};

/// Most seals within each other.
const HANDS: usize = 2;

/// Most bytes of a blob that a colleague handed over.
const INNER_MAX_BYTES: u64 = 1 << 20;

/// Opens, records, and then shows.
pub(super) fn unseal(args: &UnsealArgs) -> Result<(), Fail> {
    if args.because.trim().is_empty() {
        return Err(Fail::new(Status::Usage, "say why: it is recorded"));
    }
    let (reader, dir) = super::open(&args.log)?;
    let record = find(&reader, &args.event)?.record;
    let keys = identities(&args.keys)?;
    let digest = sealed_of(&record)?;
    let blob = match &args.inner {
        Some(file) => handed_over(file)?,
        None => kept(args, &dir, &digest)?,
    };
    let opened = opened(blob, &keys, args.out.is_some());
    let reviewer = Reviewer::open(args)?;
    match opened {
        Ok(Opened::Within(blob)) => {
            reviewer.record(&record, &digest, args, &keys, "outer seal", None)?;
            let file = args.out.as_deref().unwrap_or(Path::new("inner.age"));
            valetkey_store::write_atomically(file, &blob, 0o600).map_err(unreadable)?;
            out::line(&format!("the inner seal is in {}", file.display()));
            Ok(())
        }
        Ok(Opened::Originals(values)) => {
            let fields: Vec<&str> = values.keys().map(String::as_str).collect();
            reviewer.record(&record, &digest, args, &keys, &fields.join(" "), None)?;
            show(&record, &values, args.json);
            Ok(())
        }
        Err(why) => {
            reviewer.record(&record, &digest, args, &keys, "nothing", Some(&why))?;
            Err(Fail::new(Status::Denied, format!("not opened: {why}")))
        }
    }
}

/// What was opened.
enum Opened {
    /// The inner seal.
    Within(Zeroizing<Vec<u8>>),
    /// The originals, by field.
    Originals(BTreeMap<String, String>),
}

/// Opens one seal, or all of them.
fn opened(blob: Vec<u8>, keys: &[Identity], outer_alone: bool) -> Result<Opened, String> {
    let mut content = Zeroizing::new(blob);
    for _ in 0..HANDS {
        content = open(&content, keys).map_err(|error| error.to_string())?;
        if let Ok(values) = serde_json::from_slice(&content) {
            return Ok(Opened::Originals(values));
        }
        if outer_alone {
            return Ok(Opened::Within(content));
        }
    }
    Err(OpenError::Form.to_string())
}

/// The keys in the auditor's files, which nobody else may read.
fn identities(files: &[PathBuf]) -> Result<Vec<Identity>, Fail> {
    let mut keys = Vec::new();
    for file in files {
        let bytes =
            valetkey_store::read_private(file).map_err(|error| Fail::new(Status::Failed, error))?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        keys.extend(
            Identity::read_file(text).map_err(|error| {
                Fail::new(Status::Failed, format!("{}: {error}", file.display()))
            })?,
        );
    }
    Ok(keys)
}

/// The digest of what was sealed of an event.
fn sealed_of(record: &Record) -> Result<Digest, Fail> {
    let digest = match record.attributes.get("sealed") {
        Some(Attribute::Text(text)) => text.parse().ok(),
        _ => None,
    };
    digest.ok_or_else(|| {
        Fail::new(Status::Failed, "nothing was sealed of this event")
            .hinted("originals are sealed where policy says so (`audit.json`) and there is an auditor (`valetkey audit auditor list`)")
    })
}

fn kept(args: &UnsealArgs, log: &Path, digest: &Digest) -> Result<Vec<u8>, Fail> {
    let dir = match (&args.sealed, &args.log.log) {
        (Some(dir), _) => dir.clone(),
        (None, Some(_)) => log.with_file_name("sealed"),
        (None, None) => home::paths()?.sealed(),
    };
    let blob =
        SealedStore::find(&dir, digest).map_err(|error| Fail::new(Status::NotVerified, error))?;
    blob.ok_or_else(|| {
        Fail::new(
            Status::Failed,
            format!(
                "what was sealed is not in {}: it was erased, or lies elsewhere",
                dir.display()
            ),
        )
        .hinted("`valetkey audit query --type log.erased` shows what was erased")
    })
}

fn handed_over(file: &Path) -> Result<Vec<u8>, Fail> {
    let fail = |error: &dyn std::fmt::Display| {
        Fail::new(
            Status::Failed,
            format!("cannot read {}: {error}", file.display()),
        )
    };
    let length = std::fs::metadata(file).map_err(|error| fail(&error))?.len();
    if length > INNER_MAX_BYTES {
        return Err(fail(&"it is too long for a seal"));
    }
    std::fs::read(file).map_err(|error| fail(&error))
}

/// The reviewers' log: of the same kind as the log itself, with a key of its own.
struct Reviewer(Log);

impl Reviewer {
    fn open(args: &UnsealArgs) -> Result<Self, Fail> {
        let dir = match &args.reviewer_log {
            Some(dir) => dir.clone(),
            None => home::paths()?.reviewer(),
        };
        let fail = |error: &dyn std::fmt::Display| {
            Fail::new(
                Status::Failed,
                format!(
                    "cannot write the reviewers' log in {}, so nothing is opened: {error}",
                    dir.display()
                ),
            )
        };
        std::fs::create_dir_all(&dir).map_err(|error| fail(&error))?;
        let file = dir.join("reviewer.key");
        let seed = match valetkey_store::read_private(&file) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.is_absent() => {
                let mut seed = Zeroizing::new(vec![0; 32]);
                getrandom::fill(&mut seed).map_err(|error| fail(&error))?;
                valetkey_store::write_atomically(&file, &seed, 0o600)
                    .map_err(|error| fail(&error))?;
                seed
            }
            Err(error) => return Err(fail(&error)),
        };
        let seed = <[u8; 32]>::try_from(seed.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| fail(&"its key does not hold 32 bytes"))?;
        let name = Digest::tagged("valetkey reviewer v1", &*seed).to_string();
        let name = name.get(7..23).unwrap_or_default();
        let key = LogKey::new(&format!("valetkey.local/reviewer-{name}"), &seed)
            .map_err(|error| fail(&error))?;
        let public = format!("{}\n", key.public());
        valetkey_store::write_atomically(&dir.join("reviewer.vkey"), public.as_bytes(), 0o644)
            .map_err(|error| fail(&error))?;
        // The clock of the reviewers' log goes on from where it ended, whatever the machine says.
        let floor = valetkey_store::LogReader::open(&dir.join("log"))
            .and_then(|log| log.tail(1))
            .unwrap_or_default()
            .last()
            .map_or(0, |entry| entry.record.timestamp.unix_ms());
        let clock = Arc::new(move || {
            let now = query::now().unix_ms();
            Timestamp::from_unix_ms(now.max(floor))
        });
        let (log, _) = Log::open(&dir.join("log"), key, clock).map_err(|error| fail(&error))?;
        Ok(Self(log))
    }

    /// Durable on return: nothing is shown before.
    fn record(
        &self,
        about: &Record,
        digest: &Digest,
        args: &UnsealArgs,
        keys: &[Identity],
        fields: &str,
        refused: Option<&str>,
    ) -> Result<(), Fail> {
        let uid = rustix::process::geteuid().as_raw();
        let name = valetkey_sys::account::by_uid(uid).name;
        let kind = match refused {
            None => EventType::ReviewerUnsealed,
            Some(_) => EventType::ReviewerRefused,
        };
        let recipients: Vec<String> = keys.iter().map(|key| key.recipient().to_string()).collect();
        let event = Event::new(kind, Actor::Operator)
            .user(uid, &name)
            .justification(&args.because)
            .outcome(if refused.is_none() {
                Outcome::Succeeded
            } else {
                Outcome::Blocked
            })
            .attribute("opened", about.event_id.as_str())
            .attribute("seq", about.seq)
            .attribute("sealed", digest.to_string().as_str())
            .attribute("public_key", recipients.join(" ").as_str())
            .attribute("fields", fields);
        let event = match refused {
            Some(why) => event.attribute("why", why),
            None => event,
        };
        // The reviewers' log says who and why as they are; a secret in the reason is in no log.
        let event = redacted(event, &Rules::default(), &PrivacyKey::new(&[0; 32])).event;
        self.0.append(event).map(drop).map_err(|error| {
            Fail::new(
                Status::Failed,
                format!("the opening could not be recorded, so nothing is shown: {error}"),
            )
        })
    }
}

fn show(record: &Record, values: &BTreeMap<String, String>, json: bool) {
    if json {
        out::json(&json!({"event": record.event_id, "seq": record.seq, "originals": values}));
        return;
    }
    out::line(&one_line(record));
    for (field, value) in values {
        out::line(&format!("{field:>24}  {}", visible(value)));
    }
}
