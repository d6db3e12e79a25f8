//! Prints how many durable, signed events a second the log takes from 1, 8 and 64 writers.
//!
//! `cargo run --release -p valetkey-store --example commit_rate [DIRECTORY]`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use valetkey_audit::{Actor, AuditDecision, Event, EventType, Outcome};
use valetkey_model::{AgentId, SessionId, Timestamp};
use valetkey_store::{Clock, Log, LogKey, StoreError};

/// How long each number of writers is measured.
const RUN: Duration = Duration::from_secs(3);

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// An event as a document agent makes one: about 700 bytes.
fn event() -> Result<Event, Box<dyn Error + Send + Sync>> {
    Ok(Event::new(EventType::OperationPerformed, Actor::Agent)
        .user(1000, "alice")
        .agent(AgentId::sanitised("agent-ui-123"))
        .session(SessionId::new(now(), [1; 10]))
        .resource("file:/home/alice/Documents/QuarterlyReport.xlsx".parse()?)
        .action("read,append".parse()?)
        .decision(AuditDecision::Allowed)
        .policy("policy-finance-2026-q1", None)
        .outcome(Outcome::Succeeded)
        .duration_us(250)
        .attribute("bytes", 4096_u64))
}

fn write_until(log: &Log, stop: &AtomicBool, event: &Event) -> Result<Vec<Duration>, StoreError> {
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        log.append(event.clone())?;
        waits.push(start.elapsed());
    }
    Ok(waits)
}

fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let index = sorted.len().saturating_mul(per_mille) / 1000;
    sorted
        .get(index)
        .or(sorted.last())
        .copied()
        .unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let place = match std::env::args_os().nth(1) {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let event = event()?;
    println!("writers  events/s   p50 ms   p99 ms");
    for writers in [1_u32, 8, 64, 256] {
        let directory = place.path().join(writers.to_string());
        let clock: Clock = Arc::new(now);
        let key = LogKey::new("valetkey.example/rate", &[1; 32])?;
        let (log, _) = Log::open(&directory, key, clock)?;
        let stop = AtomicBool::new(false);
        let start = Instant::now();
        let mut waits = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|_| scope.spawn(|| write_until(&log, &stop, &event)))
                .collect();
            std::thread::sleep(RUN);
            stop.store(true, Ordering::Relaxed);
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| "a writer ended early")??);
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(all)
        })?;
        let seconds = start.elapsed().as_millis().max(1);
        waits.sort_unstable();
        let count = u128::try_from(waits.len())?;
        println!(
            "{writers:>7} {:>9} {:>8.2} {:>8.2}",
            count.saturating_mul(1000).checked_div(seconds).unwrap_or(0),
            quantile(&waits, 500).as_secs_f64() * 1000.0,
            quantile(&waits, 990).as_secs_f64() * 1000.0,
        );
    }
    Ok(())
}
