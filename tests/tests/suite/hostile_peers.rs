//! A hostile peer at the guard door, one attack at a time, while a well-behaved one keeps asking: it is served, in time, and nothing else is granted.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use valetkey_tests::{Call, Guard, Home, Peer, Started, hostile_program, is_root, skipped, until};

const SOON: Duration = Duration::from_secs(20);
/// What the broker may hold at its worst.
const MEMORY_MAX_KIB: u64 = 64 * 1024;
/// A p99 that is fair on a busy machine with programs that are not optimised. Who has no chance against an attack waits until it is over.
const SERVED_BY: Duration = Duration::from_secs(1);
/// One attack at a time: what one slows is not the other's doing.
static ALONE: Mutex<()> = Mutex::new(());
/// How long an attack goes on at full force, and how often is asked meanwhile at least.
const ATTACK_TIME: Duration = Duration::from_millis(1200);
const ASKED_MIN: usize = 60;
/// Where the table goes that the documents quote; without it a test prints it.
const TABLE: &str = "VALETKEY_HOSTILE_TABLE";

/// What is measured: times of whole requests on a connection that is kept, and of first answers on new ones.
#[derive(Debug, Default)]
struct Times {
    asked: Vec<Duration>,
    first: Vec<Duration>,
}

impl Times {
    fn at(times: &[Duration], permille: usize) -> Duration {
        let mut sorted = times.to_vec();
        sorted.sort();
        sorted[(sorted.len() - 1) * permille / 1000]
    }
}

/// The broker, the well-behaved guard, and what it was granted.
struct House {
    home: Home,
    broker: Started,
    guard: Guard,
    granted: usize,
}

impl House {
    fn new() -> Self {
        let home = Home::new();
        home.write("work/a.txt", "a\n");
        let broker = home.start_broker();
        let guard = Guard::open(&home);
        Self {
            home,
            broker,
            guard,
            // The workspace.
            granted: 1,
        }
    }

    /// Asks, gives back, and comes anew, for some time.
    fn measure(&mut self, time: Duration) -> Times {
        let mut times = Times::default();
        let begun = Instant::now();
        while begun.elapsed() < time || times.asked.len() < ASKED_MIN {
            let before = Instant::now();
            let capability = self.guard.ask(&json!({}));
            times.asked.push(before.elapsed());
            self.granted += 1;
            self.guard.release(&capability);
            let before = Instant::now();
            let mut fresh = Peer::connect(&self.home.door("guard")).expect("connect");
            let answer = fresh.get("/v1/nothing").expect("an answer");
            assert_eq!(answer.status, 404, "{:?}", answer.body);
            times.first.push(before.elapsed());
        }
        times
    }

    fn proc(&self, name: &str) -> PathBuf {
        let pid = self.broker.pid().as_raw_nonzero();
        format!("/proc/{pid}/{name}").into()
    }

    /// The most memory that the broker has held.
    fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let figure = line.and_then(|line| line.split_whitespace().next());
        figure.expect("VmHWM").parse().expect("a number")
    }

    /// How many descriptors the broker has open, if that can be seen: to its own user it shows nothing of itself.
    fn descriptors(&self) -> Option<usize> {
        match fs::read_dir(self.proc("fd")) {
            Ok(open) => Some(open.count()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                assert!(!is_root(), "{error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts an attack; it is over when what is given is dropped.
    fn attack(&self, (name, processes, connections): Attack) -> Started {
        let mut attack = Call::new(self.home.command(hostile_program()))
            .arg(self.home.door("guard"))
            .args([name, &processes.to_string(), &connections.to_string()])
            .open_input()
            .start();
        attack.wait_for("ready", SOON);
        attack
    }
}

/// A name, from how many processes, and over how many connections each.
type Attack = (&'static str, usize, usize);

/// One attack: the well-behaved peer is served in time, memory is bounded, everything is given back, and nothing else was granted.
fn withstand(attacks: &[Attack]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut house = House::new();
    let _warm = house.measure(Duration::from_millis(200));
    let before = house.descriptors();
    for attack in attacks {
        let alone = house.measure(ATTACK_TIME / 2);
        let running = house.attack(*attack);
        let under = house.measure(ATTACK_TIME);
        drop(running);
        until("the broker has closed what the attack opened", SOON, || {
            (house.descriptors() <= before.map(|before| before + 2)).then_some(())
        });
        tell(*attack, &alone, &under, house.peak_kib());
        for (what, alone, under) in [
            ("asked", &alone.asked, &under.asked),
            ("first", &alone.first, &under.first),
        ] {
            let most = (Times::at(alone, 990) * 10).max(SERVED_BY);
            let took = Times::at(under, 990);
            assert!(took <= most, "{attack:?}: p99 of {what}: {took:?}");
        }
        let peak = house.peak_kib();
        assert!(peak < MEMORY_MAX_KIB, "{attack:?}: {peak} KiB");
    }
    let minted = house.home.events("capability.minted");
    assert_eq!(minted.len(), house.granted);
    let own = |event: &serde_json::Value| event["session"] == *house.guard.session;
    assert!(minted.iter().all(own));
    house.home.verify();
}

fn tell((name, processes, connections): Attack, alone: &Times, under: &Times, peak_kib: u64) {
    let row = |alone: &[Duration], under: &[Duration]| {
        let (p50, p99) = (Times::at(alone, 500), Times::at(alone, 990));
        let (under_p50, under_p99) = (Times::at(under, 500), Times::at(under, 990));
        format!(
            "{} / {} | {} / {} | {:.1}×",
            ms(p50),
            ms(p99),
            ms(under_p50),
            ms(under_p99),
            under_p99.as_secs_f64() / p99.as_secs_f64()
        )
    };
    let line = format!(
        "| {name} | {processes} | {connections} | {} | {} | {:.1} |\n",
        row(&alone.asked, &under.asked),
        row(&alone.first, &under.first),
        peak_kib as f64 / 1024.0
    );
    print!("{line}");
    if let Some(file) = std::env::var_os(TABLE) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(file)
            .expect("the table");
        std::io::Write::write_all(&mut file, line.as_bytes()).expect("write");
    }
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

#[test]
fn ten_thousand_connections_leave_room_for_others() {
    withstand(&[("idle", 1, 10_000), ("idle", 50, 200)]);
}

#[test]
fn slow_peers_slow_only_themselves() {
    withstand(&[("slow-heads", 4, 200), ("slow-bodies", 4, 64)]);
}

#[test]
fn floods_slow_only_themselves() {
    withstand(&[("pipelined", 4, 32), ("asking", 4, 16)]);
}

#[test]
fn peers_that_never_read_hold_no_memory() {
    withstand(&[("never-reading", 4, 128)]);
}

#[test]
fn rubbish_slows_only_who_sends_it() {
    withstand(&[("garbage", 4, 32), ("bad-json", 4, 32)]);
}

#[test]
fn coming_and_going_slows_only_who_does_it() {
    withstand(&[("storm", 4, 1), ("half-closed", 4, 64)]);
}

#[test]
fn descriptors_passed_unasked_are_not_kept() {
    let house = House::new();
    let Some(before) = house.descriptors() else {
        return skipped(
            "descriptors_passed_unasked",
            "to its own user the broker does not show its descriptors",
        );
    };
    let attack = house.attack(("descriptors", 2, 32));
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < ATTACK_TIME {
        most = most.max(house.descriptors().expect("as root"));
    }
    // Its connections and processes, and those on their way out; not the 64 descriptors that come with every request.
    assert!(most < before + 2 * (2 + 64), "{before} {most}");
    drop(attack);
    until("everything is closed", SOON, || {
        (house.descriptors() <= Some(before + 1)).then_some(())
    });
    withstand(&[("descriptors", 2, 32)]);
}
