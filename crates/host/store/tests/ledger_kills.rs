//! The ledger, its process killed again and again. A test binary of its own: a child holds its parent's locks until it has become another program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use valetkey_model::{CapabilityId, Timestamp};
use valetkey_store::Ledger;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn capability(n: u8) -> CapabilityId {
    CapabilityId::new(at(1), [n; 10])
}

/// Set in the process that is going to be killed: its ledger.
const VICTIM: &str = "VALETKEY_TEST_LEDGER_VICTIM";
/// Capabilities that the victims fight over.
const CONTESTED: u8 = 200;

/// Not a test of its own: the process that the next test kills. Its threads use the same capabilities up, all of them.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else {
        return;
    };
    let ledger = Ledger::open(Path::new(&path), at(100)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..CONTESTED {
                    if ledger.consume(&capability(n), at(1000)).unwrap() {
                        let line = format!("first {n}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn nobody_is_first_twice_however_often_the_process_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger");
    let mut told = Vec::new();
    let mut lives = 0;
    // Killed after every few answers, until every capability is used up; what was written and not told is used up too.
    loop {
        let left = Ledger::open(&path, at(100)).unwrap();
        if (0..CONTESTED).all(|n| left.is_consumed(&capability(n))) {
            break;
        }
        drop(left);
        lives += 1;
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture"])
            .arg("--test-threads=1")
            .env(VICTIM, &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut wanted = 1 + lives % 9;
        // The harness writes the name of the test before the first line.
        let number = |line: &str| Some(line.split_once("first ")?.1.parse::<u8>().unwrap());
        while wanted > 0 {
            let Some(line) = lines.next() else {
                break;
            };
            let first = number(&line.unwrap());
            wanted -= usize::from(first.is_some());
            told.extend(first);
        }
        victim.kill().unwrap();
        // What it said before it was killed counts as well.
        told.extend(lines.map_while(Result::ok).filter_map(|line| number(&line)));
        victim.wait().unwrap();
    }
    assert!(lives > 1, "killed {lives} times");
    let mut once = told.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), told.len(), "told twice: {told:?}");
}
