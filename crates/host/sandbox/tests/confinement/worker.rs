//! What a confined worker can still do: compute on what it was given, within its limits.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use crate::support::{As, everybody, program};

fn worker(who: As, arguments: &[&str]) -> Output {
    let mut child = program(who, "worker", arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    // A worker that was killed does not read.
    drop(child.stdin.take().expect("stdin").write_all(b"banana"));
    child.wait_with_output().expect("wait")
}

#[test]
fn it_computes_on_what_it_was_given() {
    for who in everybody() {
        let output = worker(who, &["compute"]);
        assert_eq!(output.stdout, b"3 letters", "{output:?}");
        assert!(output.status.success());
    }
}

#[test]
fn anything_else_kills_it() {
    for who in everybody() {
        for action in ["open", "connect", "spawn", "thread"] {
            let output = worker(who, &[action]);
            assert_eq!(
                output.status.signal(),
                Some(libc::SIGSYS),
                "{action}: {output:?}"
            );
        }
    }
}

#[test]
fn a_name_cannot_even_be_looked_at() {
    for who in everybody() {
        assert_eq!(worker(who, &["stat"]).status.code(), Some(1));
        // The same outside shows that the test would notice.
        assert_eq!(worker(who, &["unconfined", "stat"]).status.code(), Some(0));
        assert_eq!(worker(who, &["unconfined", "open"]).status.code(), Some(0));
    }
}

#[test]
fn its_limits_hold() {
    assert_eq!(worker(As::Me, &["memory"]).status.code(), Some(1));
    assert_eq!(
        worker(As::Me, &["unconfined", "memory"]).status.code(),
        Some(0)
    );
    let spun = worker(As::Me, &["spin"]).status.signal();
    assert!(
        matches!(spun, Some(libc::SIGKILL | libc::SIGXCPU)),
        "{spun:?}"
    );
}
