//! `run` passes through: exit status, signals, streams, directory, environment, identity and arguments are as if run directly.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use valetkey_tests::{Home, host_program};

use super::needs_cells;

const NONE: [&str; 0] = [];

#[test]
fn exit_status_is_the_commands_own() {
    needs_cells!();
    let home = Home::new();
    for status in [0, 1, 7, 126, 127, 255] {
        let script = format!("exit {status}");
        let ended = home.run(&NONE, &["sh", "-c", &script]).done();
        assert_eq!(ended.code(), status);
        assert!(ended.err.is_empty(), "{}", ended.errors());
    }
    let closed = home.events("session.closed");
    assert_eq!(closed.len(), 6);
    home.verify();
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_is_126() {
    needs_cells!();
    let home = Home::new();
    let missing = home.run(&NONE, &["no-such-command-anywhere"]).done();
    assert!(missing.errors().contains("command not found"));
    assert!(missing.errors().contains("next:"), "{}", missing.errors());
    drop(missing.expect(127));
    // A program that may be read and not run, as policy has it that allows nothing but the grant.
    let program = home.bring(&host_program("true").expect("true"), "work/program");
    let grant = format!("{}=read", program.display());
    let policy = super::asking::impatient(&home, 1);
    let run = home
        .valetkey(["run", "--grant", &grant, "--policy"])
        .arg(policy);
    let ended = run.arg("--").arg(&program).done();
    assert!(ended.errors().contains("cannot run"), "{}", ended.errors());
    drop(ended.expect(126));
    // A file without the bit is no command, as for a shell that searches.
    let plain = home.write("work/plain", "echo no\n");
    drop(home.run(&NONE, &[plain]).done().expect(127));
}

#[test]
fn a_signal_that_ends_the_command_is_128_and_its_number() {
    needs_cells!();
    let home = Home::new();
    for (name, number) in [
        ("TERM", 15),
        ("KILL", 9),
        ("SEGV", 11),
        ("INT", 2),
        ("USR1", 10),
    ] {
        let script = format!("kill -{name} $$");
        let ended = home.run(&NONE, &["sh", "-c", &script]).done();
        assert_eq!(ended.code(), 128 + number, "{name}: {}", ended.errors());
    }
}

#[test]
fn signals_to_valetkey_reach_the_command() {
    needs_cells!();
    let home = Home::new();
    let sleeper = "echo up; while :; do sleep 0.05; done";
    for (signal, number) in [
        (Signal::TERM, 15),
        (Signal::INT, 2),
        (Signal::HUP, 1),
        (Signal::QUIT, 3),
    ] {
        let mut session = home.run(&NONE, &["sh", "-c", sleeper]).start();
        session.wait_for("up", Duration::from_secs(10));
        session.signal(signal);
        let ended = session.finish(Duration::from_secs(5));
        assert_eq!(ended.code(), 128 + number, "{signal:?}");
    }
    let caught = "trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.05; done";
    let mut session = home.run(&NONE, &["sh", "-c", caught]).start();
    session.wait_for("up", Duration::from_secs(10));
    session.signal(Signal::TERM);
    let ended = session.finish(Duration::from_secs(5));
    assert_eq!((ended.code(), ended.text().as_str()), (9, "up\ncaught\n"));
}

#[test]
fn ten_megabytes_through_stdin_are_the_same_bytes() {
    needs_cells!();
    let home = Home::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes: Vec<u8> = (0..10 * 1024 * 1024 / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    let ended = home.run(&NONE, &["cat"]).input(bytes.clone()).done().ok();
    assert!(
        ended.out == bytes,
        "{} of {} bytes, or others",
        ended.out.len(),
        bytes.len()
    );
    let first_only = home
        .run(&NONE, &["head", "-c", "5"])
        .input(bytes.clone())
        .done()
        .ok();
    assert_eq!(first_only.out, bytes[..5]);
}

#[test]
fn sixty_four_megabytes_through_stdout_are_all_there() {
    needs_cells!();
    let home = Home::new();
    let script = "head -c 67108864 /dev/zero; printf end; echo apart >&2";
    let ended = home
        .run(&NONE, &["sh", "-c", script])
        .within(Duration::from_secs(60))
        .done()
        .ok();
    assert_eq!(ended.out.len(), 67_108_864 + 3);
    assert!(ended.out.ends_with(b"\0\0end"));
    assert_eq!(ended.errors(), "apart\n");
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    needs_cells!();
    let home = Home::new();
    let mut command = home.command(home.program("valetkey"));
    let mut child = command
        .args(["run", "--", "sh", "-c", "yes; echo $? >&2; exit 5"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let mut stdout = child.stdout.take().expect("piped");
    let mut some = [0; 100];
    stdout.read_exact(&mut some).expect("some output");
    drop(stdout);
    let ended = valetkey_tests::until("the writer ends", Duration::from_secs(10), || {
        child.try_wait().expect("wait")
    });
    let mut words = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("read");
    assert_eq!(ended.code(), Some(5), "{words}");
    assert!(
        words.starts_with("141") || words.contains("Broken pipe"),
        "{words}"
    );
}

#[test]
fn directory_and_identity_are_the_persons() {
    needs_cells!();
    let home = Home::new();
    home.make_dir(&home.path("a b/c"));
    let cwd = home.path("a b/c");
    let ended = home
        .run(
            &NONE,
            &["sh", "-c", "pwd; id -u; id -g; id -un; echo $HOME"],
        )
        .cwd(&cwd)
        .done()
        .ok();
    let host = |args: &[&str]| {
        let output = std::process::Command::new("id")
            .args(args)
            .output()
            .expect("id");
        String::from_utf8(output.stdout).expect("text")
    };
    let expected = format!(
        "{}\n{}{}{}{}\n",
        cwd.display(),
        host(&["-u"]),
        host(&["-g"]),
        host(&["-un"]),
        home.dir().display()
    );
    assert_eq!(ended.text(), expected);
}

#[test]
fn the_environment_is_scrubbed() {
    needs_cells!();
    let home = Home::new();
    let run = |options: &[&str]| {
        home.run(options, &["env", "-0"])
            .env("AWS_SECRET_ACCESS_KEY", "decoy-secret")
            .env("SSH_AUTH_SOCK", "/tmp/agent.1")
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/0/bus")
            .env("LD_PRELOAD", "")
            .env("DISPLAY", ":0")
            .env("LC_TIME", "C")
            .env("MY_FLAG", "one\ntwo")
            .done()
            .ok()
            .text()
    };
    let plain = run(&[]);
    let has = |text: &str, entry: &str| text.split('\0').any(|had| had == entry);
    assert!(has(&plain, "LANG=C.UTF-8") && has(&plain, "LC_TIME=C") && has(&plain, "TERM=xterm"));
    assert!(has(&plain, "VALETKEY=/run/valetkey") && has(&plain, "TMPDIR=/tmp"));
    for name in [
        "AWS_SECRET",
        "decoy-secret",
        "SSH_AUTH",
        "DBUS",
        "LD_PRELOAD",
        "DISPLAY",
        "MY_FLAG",
        "VALETKEY_HOME",
    ] {
        assert!(!plain.contains(name), "{name} is in {plain:?}");
    }
    let named = run(&["--env", "MY_FLAG"]);
    assert!(has(&named, "MY_FLAG=one\ntwo") && !named.contains("decoy-secret"));
}

#[test]
fn arguments_arrive_as_they_were_given() {
    needs_cells!();
    let home = Home::new();
    let given: Vec<OsString> = [
        &b"two words"[..],
        b"line\nbreak",
        b"",
        b"\xff\xfe not UTF-8",
        b"'quotes\"",
        b"$HOME `id` \\",
        b"-n",
        b"--",
        "\u{202e}bidi".as_bytes(),
    ]
    .iter()
    .map(|bytes| OsString::from_vec(bytes.to_vec()))
    .collect();
    let mut command: Vec<OsString> = ["sh", "-c", "printf '%s\\0' \"$@\"", "sh"]
        .map(OsString::from)
        .to_vec();
    command.extend(given.iter().cloned());
    let ended = home.run(&NONE, &command).done().ok();
    let mut expected = Vec::new();
    for arg in given {
        expected.extend(arg.into_vec());
        expected.push(0);
    }
    assert_eq!(ended.out, expected);
}

#[test]
fn closed_standard_streams_do_no_harm() {
    needs_cells!();
    let home = Home::new();
    let valetkey = home.program("valetkey");
    let script = "exec \"$0\" run -- sh -c 'cat; echo done; exit 4' <&- 2>&-";
    let mut command = home.command("sh");
    command.args(["-c", script]).arg(&valetkey);
    let ended = valetkey_tests::Call::new(command).done();
    assert_eq!((ended.code(), ended.text().as_str()), (4, "done\n"));
}

#[test]
fn interpreters_run() {
    needs_cells!();
    let home = Home::new();
    for (program, args, answer) in [
        (
            "python3",
            ["-c", "import json,os,ssl,sqlite3;print(json.dumps(6*7))"],
            "42\n",
        ),
        ("node", ["-e", "console.log(6*7)"], "42\n"),
        ("perl", ["-e", "print 6*7, qq(\\n)"], "42\n"),
        ("bash", ["-c", "echo $((6*7))"], "42\n"),
    ] {
        if host_program(program).is_none() {
            valetkey_tests::skipped("interpreters_run", &format!("{program} is not installed"));
            continue;
        }
        let ended = home.run(&NONE, &[program, args[0], args[1]]).done().ok();
        assert_eq!(ended.text(), answer, "{program}: {}", ended.errors());
    }
}
