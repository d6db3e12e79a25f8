//! The inbox at a real terminal: questions appear, are answered or not, and close; grants are taken back; the terminal is given back.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use valetkey_tests::{Home, Pty, Started, id, until};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(30);
/// Longer than no key counts after a page has opened.
const PAUSE: Duration = Duration::from_millis(700);

/// The inbox at a terminal.
fn inbox(home: &Home) -> Pty {
    let mut command = home.command(home.program("valetkey"));
    command.args(["requests", "--watch"]);
    Pty::start(&command)
}

fn reading(home: &Home, file: &str) -> Started {
    home.write(file, "the notes\n");
    home.run(&NONE, &["cat", file]).start()
}

/// Presses a key once whatever came up is ready for it.
fn press(terminal: &mut Pty, keys: &str) {
    std::thread::sleep(PAUSE);
    terminal.keys(keys);
}

/// Asserts that the screen, the cursor and what is pasted are as usual again.
#[track_caller]
fn given_back(terminal: &Pty) {
    let shown = terminal.screen();
    for sequence in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l"] {
        assert!(shown.contains(sequence), "{}", shown.escape_debug());
    }
}

#[test]
fn a_question_appears_is_shown_whole_and_is_approved() {
    needs_cells!();
    let home = Home::new();
    let _broker = home.start_broker();
    let mut terminal = inbox(&home);
    terminal.wait_to_see("no question waits");
    let session = reading(&home, "notes.txt");
    let picture = terminal.wait_to_see("read the file");
    assert!(picture.contains("[1 questions 1]"), "{picture}");
    let question = home.wait_for_question("/notes.txt");
    press(&mut terminal, "a");
    let page = terminal.wait_to_see("Approve this?");
    for shown in [
        question["grant"]["resource"].as_str().expect("a resource"),
        question["policy_digest"].as_str().expect("a digest"),
        id(&question),
    ] {
        // Long values are wrapped.
        let plain: String = page.split_whitespace().collect();
        assert!(plain.contains(shown), "no {shown} in {page}");
    }
    terminal.wait_to_see("y signs your yes");
    press(&mut terminal, "y");
    terminal.wait_to_see("approved");
    assert_eq!(session.finish(SOON).text(), "the notes\n");
    let given = home.wait_for_event("approval.given", |_| true);
    assert_eq!(given["request_id"], question["request_id"]);
    press(&mut terminal, "q");
    until("the terminal is given back", SOON, || {
        terminal.screen().contains("\x1b[?1049l").then_some(())
    });
    given_back(&terminal);
    assert_eq!(terminal.finish(), 0);
}

#[test]
fn a_no_takes_its_reason_along() {
    needs_cells!();
    let home = Home::new();
    let session = reading(&home, "notes.txt");
    drop(home.wait_for_question("/notes.txt"));
    let mut terminal = inbox(&home);
    terminal.wait_to_see("read the file");
    press(&mut terminal, "d");
    terminal.wait_to_see("deny, because:");
    press(&mut terminal, "not for agents\r");
    terminal.wait_to_see("denied");
    assert!(session.finish(SOON).text().is_empty());
    let kept = home
        .trail()
        .iter()
        .any(|event| event.to_string().contains("not for agents"));
    assert!(kept, "{:?}", home.trail());
}

#[test]
fn keys_that_were_meant_for_something_else_approve_nothing() {
    needs_cells!();
    let home = Home::new();
    let _broker = home.start_broker();
    let mut terminal = inbox(&home);
    terminal.wait_to_see("no question waits");
    let session = reading(&home, "notes.txt");
    // Somebody types on while the question comes.
    until("the question is shown", SOON, || {
        terminal.keys("ay");
        terminal.picture().contains("read the file").then_some(())
    });
    // In one go, both keys; and pasted.
    std::thread::sleep(PAUSE);
    terminal.keys("ay\r y");
    terminal.wait_to_see("Approve this?");
    terminal.keys("\x1b[200~yyyy\x1b[201~");
    std::thread::sleep(PAUSE);
    terminal.keys("\x1b[200~yyyy\x1b[201~");
    std::thread::sleep(PAUSE);
    assert_eq!(home.questions().len(), 1);
    assert!(home.events("approval.given").is_empty());
    terminal.keys("\x1b");
    drop(home.deny(&home.questions()[0]));
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn what_was_answered_elsewhere_closes_and_takes_its_page_along() {
    needs_cells!();
    let home = Home::new();
    let session = reading(&home, "notes.txt");
    let question = home.wait_for_question("/notes.txt");
    let mut terminal = inbox(&home);
    terminal.wait_to_see("read the file");
    press(&mut terminal, "a");
    terminal.wait_to_see("Approve this?");
    drop(home.deny(&question));
    terminal.wait_to_see("nothing was answered");
    terminal.wait_to_see("closed elsewhere");
    assert!(session.finish(SOON).text().is_empty());
    press(&mut terminal, "3");
    terminal.wait_to_see("closed elsewhere cat: read the file");
}

#[test]
fn a_live_grant_is_taken_back_with_one_key() {
    needs_cells!();
    let home = Home::new();
    let session = home.in_workspace("sleep 60").start();
    until("a grant", SOON, || {
        home.status()
            .is_some_and(|status| status["capabilities"].as_u64() > Some(0))
            .then_some(())
    });
    let mut terminal = inbox(&home);
    terminal.wait_to_see("no question waits");
    press(&mut terminal, "2");
    terminal.wait_to_see("/work");
    press(&mut terminal, "r");
    let revoked = home.wait_for_event("capability.revoked", |_| true);
    assert!(revoked.to_string().contains("capability"), "{revoked}");
    terminal.wait_to_see("revoked");
    session.signal(Signal::INT);
}

#[test]
fn a_broker_that_dies_is_missed_and_found_again() {
    needs_cells!();
    let home = Home::new();
    let broker = home.start_broker();
    let mut terminal = inbox(&home);
    terminal.wait_to_see("no question waits");
    broker.signal(Signal::KILL);
    terminal.wait_to_see("broker not reachable");
    let _next = home.start_broker();
    until("the broker is found again", SOON, || {
        (!terminal.picture().contains("not reachable")).then_some(())
    });
    let session = reading(&home, "notes.txt");
    terminal.wait_to_see("read the file");
    drop(home.deny(&home.wait_for_question("/notes.txt")));
    drop(session.finish(SOON));
    terminal.keys("\x03");
    assert_eq!(terminal.finish(), 0);
}

#[test]
fn the_terminal_is_given_back_whatever_ends_the_inbox() {
    let home = Home::new();
    for end in ["q", "\x03", "TERM", "HUP"] {
        let script =
            "stty -g; echo first; \"$0\" requests --watch; echo ended-$?; stty -g; echo second";
        let mut command = home.command("sh");
        command.args(["-c", script]).arg(home.program("valetkey"));
        let mut terminal = Pty::start(&command);
        let before = terminal.wait_for("first\r");
        terminal.wait_for("\x1b[?1049h");
        terminal.wait_to_see("not reachable");
        match end {
            "TERM" | "HUP" => {
                let child = child_of(&home);
                let signal = if end == "TERM" {
                    Signal::TERM
                } else {
                    Signal::HUP
                };
                kill_process(child, signal).expect("a signal");
            }
            keys => press(&mut terminal, keys),
        }
        terminal.wait_for("\x1b[?1049l");
        terminal.wait_for("ended-0");
        let after = terminal.wait_for("second\r");
        assert_eq!(modes(&before), modes(&after), "after {end:?}");
        assert_eq!(terminal.finish(), 0);
    }
}

/// The inbox of this home, by what it was started with.
fn child_of(home: &Home) -> Pid {
    let state = format!("VALETKEY_HOME={}", home.state().display());
    let found = fs::read_dir("/proc")
        .expect("processes")
        .flatten()
        .find(|entry| {
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let has = |bytes: &[u8], text: &str| {
                String::from_utf8_lossy(bytes)
                    .split('\0')
                    .any(|word| word == text)
            };
            has(&read("cmdline"), "--watch")
                && has(&read("environ"), &state)
                && !read("cmdline").starts_with(b"sh\0")
                && !read("cmdline").starts_with(b"setsid\0")
        })
        .expect("the inbox");
    let number = found
        .file_name()
        .to_string_lossy()
        .parse()
        .expect("a number");
    Pid::from_raw(number).expect("a process id")
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
fn without_a_terminal_each_question_is_a_line() {
    needs_cells!();
    let home = Home::new();
    let _broker = home.start_broker();
    let mut plain = home.valetkey(["requests", "--watch"]).start();
    let mut json = home.valetkey(["requests", "--watch", "--json"]).start();
    let session = reading(&home, "a\u{202e}txt.exe");
    let question = home.wait_for_question("txt.exe");
    until("both tell", SOON, || {
        (plain.output().contains('\n') && json.output().contains('\n')).then_some(())
    });
    drop(home.deny(&question));
    drop(session.finish(SOON));
    for one in [&mut plain, &mut json] {
        assert!(one.is_running());
        one.signal(Signal::INT);
    }
    let (plain, json) = (plain.finish(SOON).ok(), json.finish(SOON).ok());
    assert_eq!(plain.text().lines().count(), 1, "{}", plain.text());
    assert!(plain.text().starts_with(id(&question)), "{}", plain.text());
    assert!(
        plain.text().contains("a<U+202E>txt.exe"),
        "{}",
        plain.text()
    );
    let told: serde_json::Value = serde_json::from_str(json.text().trim()).expect("an object");
    assert_eq!(told, question);
}

#[test]
fn a_passphrase_is_asked_for_on_the_page_and_never_shown() {
    needs_cells!();
    let home = Home::new();
    fs::remove_file(home.key_file()).expect("remove");
    drop(
        home.valetkey(["approver", "init", "--passphrase-fd", "0", "--name", "ann"])
            .input("correct horse battery\n")
            .done()
            .ok(),
    );
    let session = reading(&home, "notes.txt");
    drop(home.wait_for_question("/notes.txt"));
    let mut terminal = inbox(&home);
    terminal.wait_to_see("read the file");
    press(&mut terminal, "a");
    terminal.wait_to_see("y signs your yes");
    press(&mut terminal, "y");
    terminal.wait_to_see("passphrase of your approver key:");
    press(&mut terminal, "wrong horse\r");
    terminal.wait_to_see("does not open your approver key");
    press(&mut terminal, "correct horse battery\r");
    terminal.wait_to_see("approved");
    assert_eq!(session.finish(SOON).text(), "the notes\n");
    assert!(!terminal.screen().contains("horse"));
}

#[test]
fn windows_of_any_size_and_no_colours_where_none_are_wanted() {
    needs_cells!();
    let home = Home::new();
    let session = reading(&home, "notes.txt");
    let question = home.wait_for_question("/notes.txt");
    let mut command = home.command(home.program("valetkey"));
    command.args(["requests", "--watch"]).env("NO_COLOR", "1");
    let mut terminal = Pty::start(&command);
    terminal.wait_to_see("read the file");
    terminal.resize(5, 20);
    terminal.wait_to_see("too small");
    // What cannot be shown is not answered.
    press(&mut terminal, "a");
    press(&mut terminal, "y");
    terminal.resize(12, 60);
    terminal.wait_to_see("more lines below");
    assert_eq!(home.questions().len(), 1);
    press(&mut terminal, "a");
    terminal.wait_to_see("space shows them");
    press(&mut terminal, "y");
    terminal.wait_to_see("there is more to see");
    assert_eq!(home.questions().len(), 1);
    let shown = terminal.screen();
    assert!(!shown.contains(";31m") && !shown.contains(";33m"));
    drop(home.deny(&question));
    drop(session.finish(SOON));
    terminal.keys("\x03");
    assert_eq!(terminal.finish(), 0);
}
