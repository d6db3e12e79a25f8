//! `valetkey status` and `valetkey stop`: the broker's state, and its end.

use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use valetkey_api::{Client, Status as BrokerStatus};

use crate::args::ListArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Shows the broker's state.
pub(crate) fn status(args: &ListArgs) -> Result<(), Fail> {
    let status: BrokerStatus = home::operator()?.get("/v1/status")?;
    if args.json {
        out::json(&status);
        return Ok(());
    }
    out::line(&format!(
        "broker       {} (process {}), since {}",
        status.version, status.pid, status.since
    ));
    out::line(&format!("sessions     {}", status.sessions));
    out::line(&format!("capabilities {} live", status.capabilities));
    out::line(&format!("requests     {} waiting", status.questions));
    let health = if status.recording {
        "recording"
    } else {
        "NOT RECORDING: nothing is granted until the disk takes events again"
    };
    out::line(&format!("log          {} events, {health}", status.events));
    out::line(&format!("policy       base, {}", status.policy_digest));
    for note in &status.posture {
        out::line(&format!("note         {note}"));
    }
    Ok(())
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
