//! Fills a log for measurements of reading: a few hundred sessions that read and write files of a few thousand directories.
//!
//! `cargo run -p valetkey-store --example fill DIR EVENTS`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use valetkey_audit::{Actor, AuditDecision, Event, EventType, LogKey, Outcome};
use valetkey_model::{Action, ActionSet, AgentId, CapabilityId, SessionId, Timestamp};
use valetkey_store::{Log, StoreError};

const START_MS: u64 = 1_768_662_720_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let directory = PathBuf::from(words.next().ok_or("fill DIR EVENTS")?);
    let events: u64 = words.next().ok_or("fill DIR EVENTS")?.parse()?;
    let ticks = AtomicU64::new(START_MS);
    let clock = Arc::new(move || Timestamp::from_unix_ms(ticks.fetch_add(3, Ordering::Relaxed)));
    let key = LogKey::new("example.org/fill", &[7; 32])?;
    println!("{}", key.public());
    let (log, _) = Log::open(&directory, key, clock)?;
    for number in 0..events {
        loop {
            match log.append_streamed(event(number)?) {
                Ok(_) => break,
                // It is written as fast as the disk takes it.
                Err(StoreError::QueueFull) => log.flush()?,
                Err(error) => return Err(error.into()),
            }
        }
    }
    log.close();
    Ok(())
}

/// One of the events: most are reads and writes, one in 500 is a denial.
fn event(number: u64) -> Result<Event, Box<dyn std::error::Error>> {
    let time = Timestamp::from_unix_ms(START_MS);
    let byte = |number: u64| u8::try_from(number % 251).unwrap_or(0);
    let session = number / 5000;
    let mut random = [byte(session); 10];
    random[0] = byte(session / 251);
    let place = number.wrapping_mul(2_654_435_761) % 200_000;
    let path = format!(
        "file:/home/alice/work/project-{}/src/module-{}/file-{place}.rs",
        session % 40,
        place % 50
    );
    let kind = if number.is_multiple_of(500) {
        EventType::OperationRefused
    } else {
        EventType::OperationPerformed
    };
    let decision = if number.is_multiple_of(500) {
        AuditDecision::Denied
    } else {
        AuditDecision::Allowed
    };
    let action = if number.is_multiple_of(3) {
        Action::Write
    } else {
        Action::Read
    };
    Ok(Event::new(kind, Actor::Guard)
        .user(1000, "alice")
        .agent(AgentId::sanitised(if session.is_multiple_of(7) {
            "codex"
        } else {
            "claude"
        }))
        .session(SessionId::new(time, random))
        .capability(CapabilityId::new(time, random))
        .resource(path.parse()?)
        .action(ActionSet::of(&[action]))
        .decision(decision)
        .outcome(Outcome::Succeeded)
        .duration_us(number % 900)
        .attribute("operation", "open")
        .attribute("bytes_read", number % 70_000))
}
