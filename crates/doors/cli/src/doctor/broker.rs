//! The broker and what it keeps: is it confined, is the log whole, are keys protected, does the clock agree.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use valetkey_api::{Mode, Paths, Status as BrokerStatus};
use valetkey_approver::KeyFile;
use valetkey_audit::{LogPublicKey, Verdict};
use valetkey_store::LogReader;

use super::finding::{Finding, State};
use super::probe::status_value;
use crate::home;

/// The log is verified whole for as long as this; a longer one is left to `audit verify`.
const VERIFY_MAX: Duration = Duration::from_secs(2);
/// How far the broker's clock may be from the machine's: what is later counts, and a step back is seen here.
const CLOCK_MAX_SECONDS: u64 = 5;

fn state(holds: bool) -> State {
    if holds { State::Holds } else { State::Fails }
}

/// Looks at everything of the broker.
pub(super) fn look(paths: &Paths) -> Vec<Finding> {
    let mut findings = Vec::new();
    let status = home::operator().and_then(|mut door| {
        door.get::<BrokerStatus>("/v1/status")
            .map_err(crate::fail::Fail::from)
    });
    match &status {
        Ok(status) => findings.extend(broker(status)),
        Err(_) => findings.push(
            Finding::new(
                "broker",
                "running",
                "a broker answers",
                State::Fails,
                "nobody answers",
            )
            .next("`valetkey run -- true` starts one and says what is in its way"),
        ),
    }
    findings.push(log(paths));
    findings.extend(keys(paths));
    if let Ok(status) = &status {
        findings.push(clock(status));
        for note in &status.posture {
            findings.push(Finding::new(
                "posture",
                "note",
                note.clone(),
                State::Note,
                "",
            ));
        }
    }
    findings
}

fn broker(status: &BrokerStatus) -> Vec<Finding> {
    let told = fs::read_to_string(format!("/proc/{}/status", status.pid)).unwrap_or_default();
    let is = |name: &str, wanted: &str| status_value(&told, name).as_deref() == Some(wanted);
    let bare = status_value(&told, "CapEff").is_some_and(|caps| caps.trim_matches('0').is_empty());
    let mend = "stop it (`valetkey stop`) and start it again from an unchanged installation";
    let seen = if told.is_empty() {
        State::NotCheckable
    } else {
        State::Holds
    };
    let about = |id: &str, what: &str, holds: bool| {
        let state = if seen == State::Holds {
            state(holds)
        } else {
            seen
        };
        Finding::new("broker", id, what, state, "").mend(mend)
    };
    vec![
        Finding::new(
            "broker",
            "version",
            "the broker",
            State::Note,
            format!(
                "{} in {} mode, process {}",
                status.version, status.mode, status.pid
            ),
        ),
        about(
            "broker_filter",
            "it runs under a filter of system calls",
            is("Seccomp", "2"),
        ),
        about(
            "broker_privileges",
            "it can gain no privilege",
            is("NoNewPrivs", "1"),
        ),
        about("broker_capabilities", "it holds no capability", bare),
        Finding::new(
            "log",
            "recording",
            "the log takes events",
            state(status.recording),
            "",
        )
        .mend("make room on the disk: nothing is granted until the log takes events again"),
    ]
}

/// Verifies the log, if that does not take too long.
fn log(paths: &Paths) -> Finding {
    let what = "the log is as it was signed";
    if home::may_read_log(paths).is_err() {
        return Finding::new(
            "log",
            "verified",
            what,
            State::NotCheckable,
            "it is the system broker's",
        )
        .next("`sudo valetkey audit verify`");
    }
    let (dir, key) = (paths.log(), paths.log_public_key());
    let (sender, receiver) = mpsc::channel();
    let worker = std::thread::Builder::new().spawn(move || {
        let verified = || -> Result<Verdict, String> {
            let text = fs::read_to_string(&key).map_err(|error| error.to_string())?;
            let key: LogPublicKey = text
                .trim()
                .parse()
                .map_err(|_| "its public key cannot be read".to_owned())?;
            let reader = LogReader::open(&dir).map_err(|error| error.to_string())?;
            reader.verify(&key, None).map_err(|error| error.to_string())
        };
        // Nobody waits any more if it took too long.
        drop(sender.send(verified()));
    });
    let verdict = worker.ok().map(|_| receiver.recv_timeout(VERIFY_MAX));
    match verdict {
        Some(Ok(Ok(Verdict::Intact(intact)))) => Finding::new(
            "log",
            "verified",
            what,
            State::Holds,
            format!("{} events", intact.events),
        ),
        Some(Ok(Ok(Verdict::Tampered(found)))) => {
            Finding::new("log", "verified", what, State::Fails, found.to_string())
                .next("keep the files as they are, and see `valetkey audit verify`")
        }
        Some(Ok(Err(why))) => Finding::new("log", "verified", what, State::Fails, why)
            .next("see `valetkey audit verify`"),
        Some(Err(_)) | None => {
            Finding::new("log", "verified", what, State::NotCheckable, "it is long")
                .next("`valetkey audit verify`")
        }
    }
}

fn keys(paths: &Paths) -> Vec<Finding> {
    let what = "your approver key is under a passphrase";
    let approver = match KeyFile::load(paths) {
        Ok(None) => Finding::new("keys", "approver", what, State::Note, "there is none yet"),
        Ok(Some(file)) if file.is_protected() => {
            Finding::new("keys", "approver", what, State::Holds, "")
        }
        Ok(Some(_)) => Finding::new(
            "keys",
            "approver",
            what,
            State::Note,
            "it is not: whoever reads its file can approve as you",
        )
        .next("`valetkey approver passphrase`"),
        Err(error) => Finding::new("keys", "approver", what, State::Fails, error.to_string())
            .next("`valetkey approver init` makes another"),
    };
    let private = paths.all().into_iter().filter_map(|dir| {
        let mode = fs::metadata(&dir).ok()?.permissions().mode();
        let open = if paths.mode == Mode::System {
            0o002
        } else {
            0o022
        };
        (mode & open != 0).then(|| dir.display().to_string())
    });
    let open: Vec<String> = private.collect();
    let closed = Finding::new(
        "keys",
        "directories",
        "nobody else writes to Valetkey's directories",
        state(open.is_empty()),
        open.join(", "),
    );
    vec![approver, closed.mend("`chmod go-w` these directories")]
}

fn clock(status: &BrokerStatus) -> Finding {
    let what = "the machine's clock was not set back under the broker";
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let since = status.since.unix_ms() / 1000;
    let behind = since.saturating_sub(now.as_secs());
    Finding::new(
        "clock",
        "clock",
        what,
        state(behind <= CLOCK_MAX_SECONDS),
        "",
    )
    .mend("set the clock, then start the broker again: it goes by its own until then")
}
