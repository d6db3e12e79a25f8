//! What the log costs, beside a file that is synced for each line and SQLite: durable events a second, verification, reading.
//!
//! `cargo run --release -p valetkey-store --example throughput [EVENTS]`, on a disk (not a tmpfs): it works below the current directory.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use valetkey_audit::{Actor, AuditDecision, Event, EventType, Verdict};
use valetkey_model::{AgentId, SessionId, Timestamp};
use valetkey_store::{Clock, Log, LogKey, LogReader};

/// How long each row is measured.
const TIME: Duration = Duration::from_secs(3);

/// Writers at once.
const WRITERS: [usize; 4] = [1, 8, 64, 256];

/// SQLite as Python brings it: a table, one commit a line, as durable as it can be told to.
const SQLITE: &str = r#"
import sqlite3, sys, threading, time
path, writers, seconds, line = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), "x" * int(sys.argv[4])
def connect():
    db = sqlite3.connect(path, timeout=60, isolation_level=None)
    db.execute("pragma journal_mode=wal"); db.execute("pragma synchronous=full")
    return db
connect().execute("create table log (seq integer primary key, line text)")
times, end = [], time.monotonic() + seconds
def write():
    db, own = connect(), []
    while time.monotonic() < end:
        began = time.monotonic()
        db.execute("insert into log (line) values (?)", (line,))
        own.append(time.monotonic() - began)
    times.extend(own)
threads = [threading.Thread(target=write) for _ in range(writers)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
times.sort()
print(len(times), times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6)
"#;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let events: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(300_000), |text| text.parse())?;
    let place = std::env::current_dir()?.join("throughput.tmp");
    std::fs::create_dir_all(&place)?;
    let done = writing(&place).and_then(|()| reading(&place, events));
    std::fs::remove_dir_all(&place)?;
    done
}

fn clock() -> Clock {
    Arc::new(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_unix_ms(u64::try_from(now.as_millis()).unwrap_or(0))
    })
}

fn log(directory: &Path) -> Result<Log> {
    let key = LogKey::new("valetkey.test/log", &[4; 32])?;
    Ok(Log::open(directory, key, clock())?.0)
}

fn event(number: u64) -> Event {
    let decision = if number % 1000 == 7 {
        AuditDecision::Denied
    } else {
        AuditDecision::Allowed
    };
    let path = format!(
        "file:/home/alice/work/src/module{}/file{number}.rs",
        number % 97
    );
    let event = Event::new(EventType::OperationPerformed, Actor::Guard)
        .session(SessionId::new(
            Timestamp::from_unix_ms(1_768_662_720_000),
            [2; 10],
        ))
        .agent(AgentId::sanitised("codex"))
        .user(1000, "alice")
        .decision(decision)
        .duration_us(number % 500)
        .attribute("operation", "open");
    match path.parse() {
        Ok(resource) => event.resource(resource),
        Err(_) => event,
    }
}

/// Runs `work` on `writers` threads for a while; how many were done, and the times of each.
fn measure(writers: usize, work: impl Fn(u64) + Sync) -> (f64, Duration, Duration) {
    let (stop, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let times = Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                let mut own = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    work(next.fetch_add(1, Ordering::Relaxed));
                    own.push(start.elapsed());
                }
                times.lock().unwrap().extend(own);
            });
        }
        std::thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
    });
    let took = began.elapsed();
    let mut times = times.into_inner().unwrap();
    times.sort_unstable();
    let rate = times.len() as f64 / took.as_secs_f64();
    (rate, times[times.len() / 2], times[times.len() * 99 / 100])
}

fn writing(place: &Path) -> Result<()> {
    let sealed = 700;
    println!("| durable events | writers | a second | p50 | p99 |");
    println!("|---|--:|--:|--:|--:|");
    for writers in WRITERS {
        let log = log(&place.join(format!("log{writers}")))?;
        let ours = measure(writers, |number| drop(log.append(event(number)).unwrap()));
        drop(log);
        let file = Mutex::new(File::create(place.join(format!("plain{writers}")))?);
        let line = vec![b'x'; sealed];
        let plain = measure(writers, |_| {
            let mut file = file.lock().unwrap();
            file.write_all(&line).unwrap();
            file.sync_data().unwrap();
        });
        for (name, (rate, p50, p99)) in [("valetkey", ours), ("a line and `fdatasync`", plain)] {
            println!("| {name} | {writers} | {rate:.0} | {p50:.2?} | {p99:.2?} |");
        }
        match sqlite(place, writers, sealed) {
            Some((rate, p50, p99)) => println!(
                "| SQLite, WAL, FULL | {writers} | {rate:.0} | {p50:.0} µs | {p99:.0} µs |"
            ),
            None => println!("| SQLite, WAL, FULL | {writers} | no python3 | | |"),
        }
    }
    Ok(())
}

fn sqlite(place: &Path, writers: usize, bytes: usize) -> Option<(f64, f64, f64)> {
    let output = Command::new("python3")
        .args(["-c", SQLITE])
        .arg(place.join(format!("sqlite{writers}")))
        .args([
            writers.to_string(),
            TIME.as_secs().to_string(),
            bytes.to_string(),
        ])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map(|word| word.parse::<f64>());
    let (count, p50, p99) = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    Some((count / TIME.as_secs_f64(), p50, p99))
}

fn reading(place: &Path, events: u64) -> Result<()> {
    let directory = place.join("long");
    let long = log(&directory)?;
    let began = Instant::now();
    for number in 0..events {
        while long.append_streamed(event(number)).is_err() {
            long.flush()?;
        }
    }
    drop(long);
    let wrote = began.elapsed();
    let key = LogKey::new("valetkey.test/log", &[4; 32])?;
    let reader = LogReader::open(&directory)?;
    let bytes: u64 = std::fs::read_dir(&directory)?
        .flatten()
        .map(|entry| entry.metadata().map_or(0, |data| data.len()))
        .sum();
    let began = Instant::now();
    let Verdict::Intact(intact) = reader.verify(key.public(), None)? else {
        return Err("the log is not whole".into());
    };
    let verified = began.elapsed();
    let began = Instant::now();
    let read = reader.entries(0)?.filter(|entry| entry.is_ok()).count();
    let all = began.elapsed();
    let began = Instant::now();
    let needle = b"\"decision\":\"denied\"";
    let denied = reader
        .entries(0)?
        .sieved(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
        .count();
    let sieved = began.elapsed();
    let rate = |time: Duration| intact.events as f64 / time.as_secs_f64();
    println!("\n| {} events | time | events a second |", intact.events);
    println!("|---|--:|--:|");
    println!(
        "| streamed into the log, sealed, hashed, written and synced | {wrote:.2?} | {:.0} |",
        rate(wrote)
    );
    println!(
        "| verified: every event, {} signatures | {verified:.2?} | {:.0} |",
        intact.checkpoints,
        rate(verified)
    );
    println!("| read and parsed: {read} | {all:.2?} | {:.0} |", rate(all));
    println!(
        "| read for {denied} of them | {sieved:.2?} | {:.0} |",
        rate(sieved)
    );
    println!(
        "\n{:.0} bytes on disk for each event",
        bytes as f64 / intact.events as f64
    );
    Ok(())
}
