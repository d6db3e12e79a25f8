//! A terminal stays a terminal: its size, its keys, job control, its modes afterwards; and the person's own never enters the cell.

use std::ffi::OsStr;

use valetkey_tests::{Home, Pty, agent_program};

use super::needs_cells;

/// A shell of the person's at a terminal.
fn shell(home: &Home) -> Pty {
    let mut command = home.command("bash");
    command
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "prompt> ")
        .env("VK", home.program("valetkey"))
        .env("AGENT", agent_program());
    let mut pty = Pty::start(&command);
    pty.wait_for("prompt> ");
    pty
}

/// `valetkey run -- COMMAND` directly at a terminal.
fn direct<S: AsRef<OsStr>>(home: &Home, command: &[S]) -> Pty {
    let mut run = home.command(home.program("valetkey"));
    run.args(["run", "--"]).args(command);
    Pty::start(&run)
}

#[test]
fn the_command_has_a_terminal_of_its_own() {
    needs_cells!();
    let home = Home::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && echo three; tty; stty size; ls /dev/pts | tr '\\n' ' '; exit 3";
    let mut pty = direct(&home, &["sh", "-c", script]);
    pty.wait_for("three");
    pty.wait_for("/dev/pts/0");
    pty.wait_for("31 97");
    pty.wait_for("0 ptmx");
    assert_eq!(pty.finish(), 3);
}

#[test]
fn the_window_changes_inside_too() {
    needs_cells!();
    let home = Home::new();
    let agent = agent_program().to_str().expect("text");
    let mut pty = direct(&home, &[agent, "window"]);
    pty.wait_for("window 31 97");
    pty.resize(40, 120);
    pty.wait_for("window 40 120");
    pty.resize(11, 22);
    pty.wait_for("window 11 22");
    pty.keys("\n");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn control_c_ends_what_runs_inside() {
    needs_cells!();
    let home = Home::new();
    let mut pty = direct(&home, &["sh", "-c", "echo up; exec sleep 60"]);
    pty.wait_for("up");
    pty.keys("\x03");
    assert_eq!(pty.finish(), 130);
    let mut pty = direct(
        &home,
        &[
            "sh",
            "-c",
            "trap 'echo caught; exit 6' INT; echo up; while :; do sleep 0.05; done",
        ],
    );
    pty.wait_for("up");
    pty.keys("\x03");
    pty.wait_for("caught");
    assert_eq!(pty.finish(), 6);
}

#[test]
fn control_d_ends_the_input_and_text_is_echoed_once() {
    needs_cells!();
    let home = Home::new();
    let mut pty = direct(&home, &["sh", "-c", "echo up; cat; echo over"]);
    pty.wait_for("up");
    pty.keys("hello\r");
    pty.wait_for("hello\r\nhello");
    pty.keys("\x04");
    pty.wait_for("over");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn control_z_stops_and_fg_continues() {
    needs_cells!();
    let home = Home::new();
    let mut pty = shell(&home);
    pty.keys("stty -g; echo be''fore\r");
    pty.wait_for("\n");
    let before = pty.wait_for("before\r");
    pty.keys("$VK run -- sh -c 'echo u''p; read x; echo got-$x; exit 5'\r");
    pty.wait_for("up\r");
    pty.keys("\x1a");
    pty.wait_for("Stopped");
    pty.wait_for("prompt> ");
    pty.keys("jobs -l; echo still-$((20+1))\r");
    pty.wait_for("still-21");
    pty.keys("fg\r");
    pty.wait_for("got-$x");
    std::thread::sleep(std::time::Duration::from_millis(300));
    pty.keys("back\r");
    pty.wait_for("got-back");
    pty.wait_for("prompt> ");
    pty.keys("echo status-$?\r");
    pty.wait_for("status-5");
    pty.keys("stty -g; echo af''ter\r");
    pty.wait_for("\n");
    let after = pty.wait_for("after\r");
    assert_eq!(modes(&before), modes(&after));
    pty.keys("exit\r");
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    needs_cells!();
    let home = Home::new();
    let valetkey = home.program("valetkey");
    let check = |inside: &str| {
        let script = format!(
            "stty -g; echo first; \"$0\" run -- sh -c '{inside}'; echo ended-$?; stty -g; echo second"
        );
        let mut command = home.command("sh");
        command.args(["-c", &script]).arg(&valetkey);
        let mut pty = Pty::start(&command);
        let before = pty.wait_for("first\r");
        pty.wait_for("ended-");
        let _status = pty.wait_for("\n");
        let after = pty.wait_for("second\r");
        assert_eq!(modes(&before), modes(&after), "after `{inside}`");
        assert_eq!(pty.finish(), 0);
    };
    check("true");
    check("stty raw -echo");
    check("kill -9 $$");
    check("stty raw; exit 7");
}

fn modes(text: &str) -> String {
    let line = text
        .lines()
        .rev()
        .find(|line| line.matches(':').count() > 10);
    line.unwrap_or_else(|| panic!("no modes in {text:?}"))
        .trim()
        .to_owned()
}

#[test]
fn nothing_can_be_typed_into_the_persons_terminal() {
    needs_cells!();
    let home = Home::new();
    let mut pty = shell(&home);
    pty.keys("$VK run -- $AGENT push $'touch injected\\n'\r");
    for _ in 0..4 {
        pty.wait_for("pushed 0 of 15");
    }
    pty.wait_for("prompt> ");
    pty.keys("echo al''ive\r");
    pty.wait_for("alive");
    pty.keys("exit\r");
    let _status = pty.finish();
    assert!(!home.path("injected").exists());
}

#[test]
fn streams_that_are_no_terminal_stay_what_they_are() {
    needs_cells!();
    let home = Home::new();
    let script = "echo piped | \"$0\" run -- sh -c 'cat; test -t 0 || echo in-pipe; test -t 1 && echo out-terminal' 2>/dev/null; read x";
    let mut command = home.command("sh");
    command.args(["-c", script]).arg(home.program("valetkey"));
    let mut pty = Pty::start(&command);
    pty.wait_for("piped");
    pty.wait_for("in-pipe");
    pty.wait_for("out-terminal");
    pty.keys("\r");
    let _status = pty.finish();
}

#[test]
fn a_terminal_that_hangs_up_ends_the_session() {
    needs_cells!();
    let home = Home::new();
    let pty = direct(
        &home,
        &["sh", "-c", "echo up; while :; do sleep 0.05; done"],
    );
    home.wait_for_event("session.opened", |_| true);
    drop(pty);
    home.wait_for_event("session.closed", |_| true);
}
