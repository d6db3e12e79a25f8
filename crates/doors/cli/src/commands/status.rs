//! `valetkey status`, `stop` and `upgrade`: the broker's state, its end, and another in its place.

use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use valetkey_api::{Client, Mode, Status as BrokerStatus};
use valetkey_approval::visible;
use valetkey_approver::{KeyFile, Unlock, unlocked_until};

use crate::args::ListArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Shows the broker's state.
pub(crate) fn status(args: &ListArgs) -> Result<(), Fail> {
    let status: BrokerStatus = home::operator()?.get("/v1/status")?;
    let key = own_key();
    if args.json {
        let mut told =
            serde_json::to_value(&status).map_err(|error| Fail::new(Status::Failed, error))?;
        if let Some(told) = told.as_object_mut() {
            told.insert("approver_key".to_owned(), key.json());
        }
        out::json(&told);
        return Ok(());
    }
    let of = if status.of_everyone { "" } else { " of yours" };
    let health = if status.recording {
        "recording"
    } else {
        "NOT RECORDING: nothing is granted until the disk takes events again"
    };
    let sessions = match status.lowest_level {
        Some(level) => format!("{}{of}, none below level `{level}`", status.sessions),
        None => format!("{}{of}", status.sessions),
    };
    let lines = [
        (
            "broker",
            format!(
                "{} (process {}), since {}",
                status.version, status.pid, status.since
            ),
        ),
        ("mode", status.mode.to_string()),
        ("sessions", sessions),
        ("capabilities", format!("{} live{of}", status.capabilities)),
        ("requests", format!("{} waiting{of}", status.questions)),
        ("log", format!("{} events, {health}", status.events)),
        (
            "policy",
            format!("{}, {}", status.policy, status.policy_digest),
        ),
        ("diagnostics", visible(&status.diagnostics)),
    ];
    for (name, value) in lines {
        out::line(&format!("{name:<12} {value}"));
    }
    if let Some(error) = &status.last_error {
        out::line(&format!("last error   {}", visible(error)));
    }
    for note in &status.posture {
        out::line(&format!("note         {note}"));
    }
    out::line(&format!("your key     {}", key.words()));
    Ok(())
}

/// Puts a new broker in the place of the one that runs.
pub(crate) fn upgrade() -> Result<(), Fail> {
    let paths = home::paths()?;
    let by_manager = || {
        Fail::new(
            Status::Failed,
            "this broker's sockets are held by a service manager, which replaces it without closing them",
        )
        .hinted("`systemctl restart valetkey.service`; for a broker of your own, `systemctl --user restart valetkey.service`")
    };
    if paths.mode == Mode::System {
        return Err(by_manager());
    }
    let before: Option<BrokerStatus> = match home::operator() {
        Ok(mut operator) => Some(operator.get("/v1/status")?),
        Err(_) => None,
    };
    if before.is_some() && !paths.handover_socket().exists() {
        return Err(by_manager());
    }
    valetkey_guard::replace(&paths)?;
    let now: BrokerStatus = home::operator()?.get("/v1/status")?;
    match before {
        Some(before) if before.pid == now.pid => Err(Fail::new(
            Status::Failed,
            "the broker that ran is still the one that runs",
        )),
        Some(before) => {
            out::line(&format!(
                "broker {} (process {}) has taken the place of {} (process {}); {} session(s) ended",
                now.version, now.pid, before.version, before.pid, before.sessions
            ));
            Ok(())
        }
        None => {
            out::line(&format!(
                "broker {} (process {}) was started; none ran before",
                now.version, now.pid
            ));
            Ok(())
        }
    }
}

/// What there is to say of the key of the person who asks. The broker does not know the file.
enum OwnKey {
    Absent,
    Unreadable(String),
    Unprotected,
    Protected(Unlock),
}

fn own_key() -> OwnKey {
    let loaded = home::paths().map(|paths| KeyFile::load(&paths));
    match loaded {
        Ok(Ok(None)) => OwnKey::Absent,
        Ok(Ok(Some(file))) if file.is_protected() => OwnKey::Protected(unlocked_until(&file)),
        Ok(Ok(Some(_))) => OwnKey::Unprotected,
        Ok(Err(error)) => OwnKey::Unreadable(error.to_string()),
        Err(_) => OwnKey::Absent,
    }
}

impl OwnKey {
    fn words(&self) -> String {
        match self {
            Self::Absent => "none yet".to_owned(),
            Self::Unreadable(why) => why.clone(),
            Self::Unprotected => {
                "without a passphrase: whoever reads its file can approve as you".to_owned()
            }
            Self::Protected(Unlock::Locked) => "under a passphrase, locked".to_owned(),
            Self::Protected(Unlock::Until(time)) => {
                format!(
                    "under a passphrase, unlocked until {time}: until then a program that runs as you outside a cell can use it"
                )
            }
            Self::Protected(Unlock::NoKeyStore) => {
                "under a passphrase, asked for each time: this kernel keeps no keys".to_owned()
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let (protection, until) = match self {
            Self::Absent => ("absent", None),
            Self::Unreadable(_) => ("unreadable", None),
            Self::Unprotected => ("none", None),
            Self::Protected(Unlock::Until(time)) => ("passphrase", Some(*time)),
            Self::Protected(Unlock::Locked | Unlock::NoKeyStore) => ("passphrase", None),
        };
        serde_json::json!({"protection": protection, "unlocked_until": until})
    }
}

/// Ends the broker and waits until it has gone.
pub(crate) fn stop() -> Result<(), Fail> {
    let socket = home::paths()?.operator_socket();
    let mut operator = match Client::connect(&socket) {
        Ok(client) => client,
        Err(_) => {
            out::error("no broker is running");
            return Ok(());
        }
    };
    operator.post::<_, ()>("/v1/stop", &())?;
    // The broker holds its lock to its very end: until its log is closed.
    let lock = home::paths()?.run.join("broker.lock");
    // A system broker's lock is its own and root's.
    let lock = std::fs::File::open(&lock).map_err(|error| Fail::new(Status::Failed, error))?;
    for _ in 0..500 {
        if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Fail::new(
        Status::Failed,
        "the broker has not ended after 5 seconds",
    ))
}
