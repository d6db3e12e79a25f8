//! The prompt over the agent's terminal: it comes, takes a deliberate answer, and leaves no trace; nothing of the agent's answers it.

use std::fs;
use std::time::{Duration, Instant};

use valetkey_tests::{Home, Pty};

use super::needs_cells;

/// What is shown when keys count.
const READY: &str = "answer> ";

/// `valetkey run OPTIONS -- sh -c SCRIPT` at a terminal.
fn session(home: &Home, options: &[&str], script: &str) -> Pty {
    let mut run = home.command(home.program("valetkey"));
    run.arg("run")
        .args(options)
        .args(["--", "sh", "-c", script]);
    Pty::start(&run)
}

/// A home with a file that policy asks about.
fn home() -> Home {
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    home
}

fn words(pty: &mut Pty) -> String {
    pty.wait_for("begin with the words: ");
    pty.wait_for("\r\n")
}

#[test]
fn a_question_is_approved_over_the_agents_terminal() {
    needs_cells!();
    let home = home();
    let mut pty = session(&home, &[], "echo up; cat notes.txt; echo over");
    let words = words(&mut pty);
    pty.wait_for("up");
    let prompt = pty.wait_for(READY);
    // Over the alternate screen, with the session's words, and the question whole.
    assert!(prompt.contains("\x1b[?1049h"), "{prompt:?}");
    assert!(
        prompt.contains(&format!("== {words} == valetkey asks")),
        "{prompt:?}"
    );
    assert!(prompt.contains("read the file \"notes.txt\""), "{prompt:?}");
    pty.keys("a\r");
    let until = pty.wait_for("the notes");
    assert!(until.contains("\x1b[?1049l"), "{until:?}");
    pty.wait_for("over");
    assert_eq!(pty.finish(), 0);
    let given = home.events("approval.given");
    assert_eq!(given.len(), 1, "{given:?}");
    home.verify();
}

#[test]
fn a_question_is_refused_or_left_over_the_agents_terminal() {
    needs_cells!();
    let home = home();
    let mut pty = session(&home, &[], "cat notes.txt; echo over-$?");
    pty.wait_for(READY);
    pty.keys("d\r");
    pty.wait_for("over-1");
    assert_eq!(pty.finish(), 0);
    let mut pty = session(&home, &[], "cat notes.txt; echo over-$?");
    pty.wait_for(READY);
    pty.keys("\x1b");
    pty.wait_for("\x1b[?1049l");
    pty.wait_for("in another terminal: valetkey approve");
    // It is still open.
    let question = home.wait_for_question("/notes.txt");
    drop(home.approve(&question));
    pty.wait_for("the notes");
    pty.wait_for("over-0");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn a_yes_for_once_is_used_up_and_a_longer_one_than_asked_for_is_none() {
    needs_cells!();
    let home = home();
    let mut pty = session(
        &home,
        &[],
        "cat notes.txt; sleep 0.2; cat notes.txt; echo over-$?",
    );
    pty.wait_for(READY);
    pty.keys("a 99h\r");
    pty.wait_for("a yes can reach: once");
    pty.keys("a once\r");
    pty.wait_for("the notes");
    // The second time is a question again.
    pty.wait_for("valetkey asks");
    pty.wait_for(READY);
    pty.keys("d\r");
    pty.wait_for("over-1");
    assert_eq!(pty.finish(), 0);
    let given = home.events("approval.given");
    assert_eq!(given.len(), 1, "{given:?}");
    assert_eq!(given[0]["attributes"]["lease_scope"], "once", "{given:?}");
    home.verify();
}

#[test]
fn a_folders_files_are_one_prompt_and_one_answer() {
    needs_cells!();
    let home = Home::new();
    for number in 0..6 {
        home.write(&format!("notes-{number}.txt"), "the notes\n");
    }
    let script = "for n in 0 1 2 3 4 5; do cat notes-$n.txt > /dev/null & p=\"$p $!\"; done; \
        for one in $p; do wait $one || echo missed; done; echo over";
    let mut pty = session(&home, &[], script);
    // All of them, or all but a first that came a moment before the others.
    let mut prompts = 0;
    let mut listed = 0;
    while listed < 6 {
        pty.wait_for(READY);
        let open = home.questions();
        let also = open[0]["also"].as_array().map_or(0, Vec::len);
        listed += 1 + also;
        prompts += 1;
        // What does not fit on the screen is looked at first.
        pty.keys("   a\r");
        pty.wait_for("\x1b[?1049l");
    }
    let end = pty.wait_for("over");
    assert!(prompts <= 2, "{prompts} prompts");
    assert!(!end.contains("missed"), "{end}");
    assert_eq!(pty.finish(), 0);
    assert_eq!(home.events("approval.given").len(), prompts);
}

#[test]
fn an_answer_from_elsewhere_closes_the_prompt() {
    needs_cells!();
    let home = home();
    let mut pty = session(&home, &[], "cat notes.txt; echo over");
    pty.wait_for("notes.txt");
    let question = home.wait_for_question("/notes.txt");
    drop(home.approve(&question));
    pty.wait_for("\x1b[?1049l");
    pty.wait_for("was granted");
    assert_eq!(pty.finish(), 0);
    assert!(home.questions().is_empty());
}

#[test]
fn what_was_typed_before_is_no_answer_and_reaches_the_agent() {
    needs_cells!();
    let home = home();
    let mut pty = session(
        &home,
        &[],
        "echo up; read one; cat notes.txt; read two; echo got-$one-$two",
    );
    pty.wait_for("up");
    // The first line starts the question; the rest was typed at once with it.
    pty.keys("go\rbefore\r");
    pty.wait_for("valetkey asks");
    pty.keys("a\ryes\ra\r");
    pty.wait_for(READY);
    assert!(home.events("approval.given").is_empty());
    pty.keys("a\r");
    pty.wait_for("the notes");
    pty.wait_for("got-go-before");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn nothing_that_the_agent_writes_or_has_the_terminal_answer_answers() {
    needs_cells!();
    let home = home();
    // Another process of the agent writes all the while: text, and queries that a terminal answers.
    let script = "(while :; do printf 'yes\\r\\na\\r\\n\\033[c\\033[6n\\033[21t\\033]11;?\\007'; sleep 0.02; done) & \
        w=$!; cat notes.txt; echo over-$?; kill $w";
    let mut pty = session(&home, &[], script);
    pty.wait_for("valetkey asks");
    pty.wait_for(READY);
    // As a terminal would answer, with a title that the agent chose.
    pty.keys("\x1b[?62;c\x1b[1;1R\x1b]lyes\ra\r\x1b\\\x1b]11;rgb:0/0/0\x07\x1bP1$ra\r\x1b\\\x1b[200~yes\ra\r\x1b[201~");
    std::thread::sleep(Duration::from_millis(500));
    assert!(home.events("approval.given").is_empty());
    assert_eq!(home.questions().len(), 1);
    pty.keys("d\r");
    pty.wait_for("over-1");
    let _status = pty.finish();
    assert!(home.events("approval.given").is_empty());
}

#[test]
fn a_full_screen_is_as_it_was_afterwards() {
    needs_cells!();
    let home = home();
    let script = "printf '\\033[?1049h\\033[?25l\\033[2J\\033[2;5r\\033[3;7HFULL\\033[7mSCREEN\\033[m'; \
        cat notes.txt > /dev/null; printf 'DONE'; read x; printf '\\033[r\\033[?25h\\033[?1049l'";
    let mut pty = session(&home, &[], script);
    pty.wait_for("FULL");
    pty.wait_for(READY);
    pty.keys("a\r");
    pty.wait_for("FULL");
    pty.wait_for("DONE");
    let screen = pty.screen();
    let mut terminal = vt100::Parser::new(31.try_into().unwrap(), 97.try_into().unwrap(), 0);
    terminal.process(screen.as_bytes());
    let shown = terminal.screen();
    assert!(shown.alternate_screen() && shown.hide_cursor());
    assert_eq!(shown.contents().trim(), "FULLSCREENDONE");
    assert_eq!(shown.cursor_position(), (2, 20));
    assert!(shown.cell(2, 10).unwrap().inverse() && !shown.cell(2, 16).unwrap().inverse());
    pty.keys("\r");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn the_window_may_change_while_a_prompt_is_shown() {
    needs_cells!();
    let home = home();
    let mut pty = session(&home, &[], "cat notes.txt; stty size");
    pty.wait_for(READY);
    pty.resize(50, 60);
    pty.wait_for("valetkey asks");
    pty.wait_for(READY);
    // Too small for a prompt: the question is left, and a line says so.
    pty.resize(5, 20);
    pty.wait_for("in another terminal: valetkey approve");
    drop(home.approve(&home.wait_for_question("/notes.txt")));
    pty.wait_for("the notes");
    pty.wait_for("5 20");
    assert_eq!(pty.finish(), 0);
}

#[test]
fn without_prompts_a_line_says_that_a_question_waits() {
    needs_cells!();
    let home = home();
    let mut pty = session(&home, &["--no-prompt"], "cat notes.txt");
    pty.wait_for("in another terminal: valetkey approve");
    drop(home.deny(&home.wait_for_question("/notes.txt")));
    assert!(!pty.screen().contains("valetkey asks"));
    assert!(!pty.screen().contains("begin with the words"));
    assert_eq!(pty.finish(), 1);
}

#[test]
fn the_environment_turns_prompts_off_too() {
    needs_cells!();
    let home = home();
    let mut run = home.command(home.program("valetkey"));
    run.args(["run", "--", "cat", "notes.txt"])
        .env("VALETKEY_PROMPT", "never");
    let mut pty = Pty::start(&run);
    pty.wait_for("in another terminal: valetkey approve");
    drop(home.approve(&home.wait_for_question("/notes.txt")));
    pty.wait_for("the notes");
    assert!(!pty.screen().contains("valetkey asks"));
    assert_eq!(pty.finish(), 0);
}

#[test]
fn several_questions_are_answered_one_by_one() {
    needs_cells!();
    let home = home();
    // Of one folder they would be one question.
    home.write("elsewhere/second.txt", "the second\n");
    let script = "cat notes.txt & cat elsewhere/second.txt & wait; echo over";
    let mut pty = session(&home, &[], script);
    pty.wait_for("the first of 2");
    pty.wait_for(READY);
    pty.keys("a\ra\ra\r");
    // The next one comes at once, and what was typed too much is not for it.
    pty.wait_for("wait: keys do not count yet");
    pty.wait_for(READY);
    assert_eq!(home.questions().len(), 1);
    pty.keys("d\r");
    pty.wait_for("over");
    assert_eq!(home.events("approval.given").len(), 1);
    assert!(home.questions().is_empty());
    let screen = pty.screen();
    assert!(
        screen.contains("the notes\r\n") != screen.contains("the second\r\n"),
        "{screen:?}"
    );
    assert_eq!(pty.finish(), 0);
}

#[test]
fn an_agent_that_ends_takes_its_prompt_with_it() {
    needs_cells!();
    let home = home();
    let mut pty = session(
        &home,
        &[],
        "(sleep 2; kill -9 $$) & cat notes.txt; echo never",
    );
    pty.wait_for(READY);
    pty.wait_for("\x1b[?1049l");
    assert_eq!(pty.finish(), 137);
}

#[test]
fn a_locked_key_takes_its_passphrase_in_the_prompt_and_never_shows_it() {
    needs_cells!();
    let home = home();
    fs::remove_file(home.key_file()).expect("remove the key");
    let mut init = home.command("sh");
    let script = "printf 'correct horse battery staple\\n' > pass; exec 3< pass; \"$0\" approver init --passphrase-fd 3";
    init.args(["-c", script]).arg(home.program("valetkey"));
    let made = init.output().expect("make a key");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut pty = session(&home, &[], "cat notes.txt; echo over");
    pty.wait_for(READY);
    pty.keys("a\r");
    pty.wait_for("passphrase (not shown)> ");
    pty.keys("wrong horse\r");
    pty.wait_for("does not open the key");
    pty.wait_for("passphrase (not shown)> ");
    pty.keys("correct horse battery staple\r");
    pty.wait_for("the notes");
    pty.wait_for("over");
    assert!(!pty.screen().contains("staple") && !pty.screen().contains("wrong horse"));
    assert_eq!(pty.finish(), 0);
}

#[test]
fn a_flood_behind_a_prompt_is_bounded_and_nothing_of_it_is_lost() {
    needs_cells!();
    let home = home();
    let script = "(i=0; while [ $i -lt 40000 ]; do echo line-$i-of-a-flood-that-is-more-than-is-kept; i=$((i+1)); done) & cat notes.txt; wait; echo over";
    let mut pty = session(&home, &[], script);
    pty.wait_for(READY);
    std::thread::sleep(Duration::from_millis(300));
    pty.keys("a\r");
    pty.wait_for("line-39999-of");
    pty.wait_for("over");
    // Without the prompt it is all there, in one piece.
    let screen = pty.screen();
    let (before, prompt) = screen.split_once("\x18\x1b\\").expect("a prompt");
    let (_, after) = prompt.split_once("\x1b[?2004l").expect("its end");
    let lines = format!("{before}{after}");
    assert_eq!(
        lines
            .matches("-of-a-flood-that-is-more-than-is-kept\r\n")
            .count(),
        40000
    );
    assert_eq!(pty.finish(), 0);
}

/// Prints how long a prompt takes to be there and an answer to be felt; asserts only what a slow machine keeps as well.
#[test]
fn a_prompt_is_there_at_once_and_an_answer_is_felt_at_once() {
    needs_cells!();
    let home = Home::new();
    let (mut asked, mut approved) = (Vec::new(), Vec::new());
    for number in 0..5 {
        home.write(&format!("notes-{number}.txt"), "the notes\n");
        let script = format!("echo up; read x; echo begun; exec cat notes-{number}.txt");
        let mut pty = session(&home, &[], &script);
        pty.wait_for("up");
        pty.keys("\r");
        pty.wait_for("begun");
        let begun = Instant::now();
        pty.wait_for("valetkey asks");
        asked.push(begun.elapsed());
        pty.wait_for(READY);
        pty.keys("a\r");
        let begun = Instant::now();
        pty.wait_for("the notes");
        approved.push(begun.elapsed());
        assert_eq!(pty.finish(), 0);
    }
    asked.sort_unstable();
    approved.sort_unstable();
    eprintln!("request to prompt: {asked:?}; answer to first byte: {approved:?}");
    assert!(asked[2] < Duration::from_secs(3) && approved[2] < Duration::from_secs(3));
}

#[test]
fn a_session_that_stops_gives_the_terminal_back_first() {
    needs_cells!();
    let home = home();
    let mut command = home.command("bash");
    command
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "prompt> ")
        .env("VK", home.program("valetkey"));
    let mut pty = Pty::start(&command);
    pty.wait_for("prompt> ");
    pty.keys("$VK run -- sh -c '(sleep 1; kill -STOP $$) & cat notes.txt; echo ov''er'\r");
    pty.wait_for(READY);
    pty.wait_for("\x1b[?1049l");
    pty.wait_for("in another terminal: valetkey approve");
    pty.wait_for("Stopped");
    pty.wait_for("prompt> ");
    pty.keys("fg\r");
    drop(home.approve(&home.wait_for_question("/notes.txt")));
    pty.wait_for("the notes");
    pty.wait_for("over");
    pty.wait_for("prompt> ");
    pty.keys("exit\r");
    let _status = pty.finish();
}

#[test]
fn a_real_full_screen_program_is_as_it_was_afterwards() {
    needs_cells!();
    let home = home();
    home.write("work/poem.txt", "first line\nsecond line\nthird line\n");
    let work = home.path("work");
    // The question is asked by another process while the pager has the screen.
    let script = format!(
        "export LESSHISTFILE=-; (sleep 1; cat {} > /dev/null) & exec less poem.txt",
        home.path("notes.txt").display()
    );
    let mut run = home.command(home.program("valetkey"));
    run.arg("run")
        .arg("--workspace")
        .arg(&work)
        .args(["--", "sh", "-c", &script])
        .current_dir(&work);
    let mut pty = Pty::start(&run);
    pty.wait_for("third line");
    pty.wait_for("valetkey asks");
    let before = terminal_at(&pty, "\x18\x1b\\");
    pty.wait_for(READY);
    pty.keys("a\r");
    // The modes are what a prompt brings back last.
    pty.wait_for("\x1b[?2004l");
    let after = terminal_at(&pty, "\0");
    assert!(before.screen().alternate_screen(), "{}", pty.screen());
    assert_eq!(after.screen().contents(), before.screen().contents());
    assert_eq!(
        after.screen().cursor_position(),
        before.screen().cursor_position()
    );
    pty.keys("q");
    assert_eq!(pty.finish(), 0);
}

/// What a terminal shows of everything up to the first `end`.
fn terminal_at(pty: &Pty, end: &str) -> vt100::Parser {
    let screen = pty.screen();
    let mut terminal = vt100::Parser::new(31.try_into().unwrap(), 97.try_into().unwrap(), 0);
    terminal.process(screen.split(end).next().unwrap_or_default().as_bytes());
    terminal
}

#[test]
fn keys_without_a_terminal_leave_it_at_a_line() {
    needs_cells!();
    let home = home();
    let script = "echo piped | \"$0\" run -- cat notes.txt; read x";
    let mut command = home.command("sh");
    command.args(["-c", script]).arg(home.program("valetkey"));
    let mut pty = Pty::start(&command);
    pty.wait_for("in another terminal: valetkey approve");
    drop(home.approve(&home.wait_for_question("/notes.txt")));
    pty.wait_for("the notes");
    assert!(!pty.screen().contains("valetkey asks"));
    pty.keys("\r");
    let _status = pty.finish();
}
