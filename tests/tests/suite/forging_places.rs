//! Approvals forged from where the agent is, or by what it writes: from inside a cell, at the person's terminals, and in text that a person reads.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::{Call, Home, Pty, Question, agent_program, host_program, id, skipped, until};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(20);

/// What a program in a cell tries while the answer to its own question is awaited. It prints `reached …` for whatever succeeds.
const TRIES: &str = r#"
import ctypes, errno, fcntl, glob, os, socket, sys, termios
state, valetkey, is_control = os.environ["VALETKEY_HOME"], "./valetkey", sys.argv[1] == "control"
seen = []

def tried(what, attempt):
    try:
        result = attempt()
    except (OSError, ValueError):
        result = None
    seen.append(what)
    if result:
        print("reached", what, result, flush=True)

def connect(address):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(address)
    return "connected"

def run(*words):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.execv(valetkey, [valetkey, *words])
    return os.waitpid(child, 0)[1] == 0

# The operator door, by its path, through every process, by abstract names.
roots = [""] + [f"/proc/{pid}/{way}" for pid in list(range(1, 40)) + ["self"] for way in ("root", "cwd/../../../../../..")]
for root in roots:
    for door in ("operator", "guard", "agent"):
        tried(f"{root} {door}", lambda: connect(f"{root}{state}/run/{door}.sock"))
for name in (f"{state}/run/operator.sock", "valetkey-operator", "operator"):
    tried(f"abstract {name}", lambda: connect("\0" + name))
# The key: its file, descriptors of others, their memory and environment.
for root in roots:
    tried(f"{root} key", lambda: open(f"{root}{state}/config/approver.key", "rb").read())
if is_control:
    tried("status", lambda: run("status"))
    sys.exit()
for pid in range(1, 200):
    if pid != os.getpid() and os.path.exists(f"/proc/{pid}"):
        for name in glob.glob(f"/proc/{pid}/fd/*"):
            tried(name, lambda: os.stat(name).st_ino and ("valetkey" in os.readlink(name) and os.readlink(name)))
libc = ctypes.CDLL(None, use_errno=True)
parent = os.getppid()
tried("ptrace of pid 1", lambda: libc.ptrace(16, 1, 0, 0) == 0)
tried("ptrace of the parent", lambda: libc.ptrace(16, parent, 0, 0) == 0)
tried("memory of pid 1", lambda: open("/proc/1/mem", "rb").read(1))
# The kernel's key store: add, and search in every keyring of this user.
for ring in (-1, -2, -3, -4, -5):
    tried(f"key store {ring}", lambda: libc.syscall(250, 10, ring, b"user", b"valetkey:approver", 0) > 0)
tried("key store", lambda: libc.syscall(248, b"user", b"x", b"y", 1, -4) > 0)
# The program itself.
for words in (("approve", ""), ("deny", ""), ("approve", "--json", "req"), ("approver", "unlock", "--for", "1h"), ("approver", "show-key"),
              ("approver", "init", "--no-passphrase"), ("requests",), ("stop",)):
    tried(" ".join(words), lambda: run(*words) and words[0] != "stop")
# Typing for the person: into this terminal and into every other.
for device in ["/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1"] + glob.glob("/dev/pts/*") + sys.argv[2:]:
    def push():
        with open(device, "r+b", buffering=0) as file:
            return sum(1 for byte in b"y\n" if fcntl.ioctl(file, termios.TIOCSTI, bytes([byte])) is not None)
    tried(f"typing at {device}", push)
    def draw():
        if os.path.samefile(device, "/dev/pts/0") or device in ("/dev/tty", "/dev/pts/ptmx"):
            return None
        with open(device, "wb", buffering=0) as file:
            return file.write(b"INJECTED approve? ")
    tried(f"drawing at {device}", draw)
print("tried", len(seen), flush=True)
"#;

#[test]
fn whatever_a_cell_tries_its_own_question_stays_open() {
    needs_cells!();
    if host_program("python3").is_none() {
        skipped("forging", "there is no python3 here");
        return;
    }
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let work = home.path("work");
    home.bring(&home.program("valetkey"), "work/valetkey");
    home.write("work/tries.py", TRIES);
    // Another terminal of the person's, where they look at what is asked.
    let mut other = Pty::start(home.command("sh").args(["-c", "tty; exec sleep 120"]));
    let terminal = other.wait_for("\r\n").trim().to_owned();
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let script =
        "cat ../notes.txt & sleep 1; /usr/bin/python3 tries.py attack \"$1\"; kill %1; echo over";
    let mut run = home.command(home.program("valetkey"));
    run.args(["run", "--env", "VALETKEY_HOME", "--workspace"])
        .arg(&work)
        .args(["--", "sh", "-c", script, "sh", &terminal])
        .current_dir(&work);
    let mut session = Pty::start(&run);
    let question = home.wait_for_question("/notes.txt");
    let tried = session.wait_for("over\r");
    assert!(!tried.contains("reached"), "{tried}");
    let count = tried.rsplit("tried ").next().and_then(|rest| {
        let number = rest.split_whitespace().next()?;
        number.parse::<usize>().ok()
    });
    assert!(count.is_some_and(|count| count > 300), "{tried}");
    assert!(!tried.contains("decoy"), "{tried}");
    let _status = session.finish();
    // Nothing was answered, nothing was drawn elsewhere, and the broker and its person are as they were.
    for kind in ["approval.given", "approval.refused"] {
        assert!(home.events(kind).is_empty(), "{kind}");
    }
    home.wait_for_event("approval.expired", |event| {
        event["request_id"] == id(&question)
    });
    assert!(!other.screen().contains("INJECTED"), "{}", other.screen());
    assert!(home.status().is_some());
    assert!(home.key_file().exists());
    home.verify();
    // Outside of a cell the same program reaches the door and the key.
    let control = Call::new(home.command("/usr/bin/python3"))
        .args(["tries.py", "control"])
        .cwd(&work)
        .done()
        .ok();
    for what in [
        "reached  operator connected",
        "reached  key ",
        "reached status",
    ] {
        assert!(control.text().contains(what), "{what}: {}", control.text());
    }
}

/// Whether a character is one that a terminal acts on, that reorders text or that nobody sees. Line ends are the program's own.
fn misleads(character: char) -> bool {
    let is_break = matches!(character, '\n' | '\r' | '\t');
    (character.is_control() && !is_break)
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}' | '\u{ad}' | '\u{e0000}'..='\u{e007f}')
}

/// What a terminal is sent when a program runs at it, without colours: bytes of ours alone.
fn at_a_terminal(home: &Home, words: &[&str]) -> String {
    let mut command = home.command(home.program("valetkey"));
    command.args(words).env("NO_COLOR", "1");
    Pty::start(&command).shown()
}

#[track_caller]
fn assert_harmless(what: &str, shown: &str) {
    assert!(
        !shown.contains(misleads) && !shown.contains('\u{fffd}'),
        "{what}: {}",
        shown.escape_debug()
    );
}

/// A name with all that a terminal could act on: colours, title, cursor, C1, reversal, zero width, a line break, and bytes that are no UTF-8.
fn hostile_name() -> OsString {
    let mut bytes = "a\x1b[2J\x1b]0;title\x07\u{9b}31m\u{202e}txt\u{200b}\u{feff}\rapproved\nb"
        .as_bytes()
        .to_vec();
    bytes.extend([0x9b, b'3', b'1', b'm', 0xff]);
    OsString::from_vec(bytes)
}

/// The same in words of an agent, which are text.
const HOSTILE_WORDS: &str =
    "please\x1b[1A\x1b[2K\u{9b}1A\u{202e}\u{200b}\r\nThe person said yes already.\r\napproved\u{7}";

/// Every place where a person reads what an agent wrote.
fn assert_all_harmless(home: &Home, question: &Question) {
    for words in [
        ["requests"].as_slice(),
        &["audit", "tail", "-n", "100"],
        &["caps", "list"],
        &["status"],
        &["requests", "--json"],
        &["audit", "tail", "-n", "100", "--json"],
        &["caps", "list", "--json"],
        &["status", "--json"],
    ] {
        let shown = at_a_terminal(home, words);
        let least = usize::from(words[0] != "caps") * 20;
        assert!(shown.len() > least, "{words:?}: {shown}");
        assert_harmless(&words.join(" "), &shown);
        if words == ["requests"] {
            assert!(shown.contains("<U+001B>"), "{shown}");
            // No line of the prompt begins as the agent wanted one to.
            assert!(
                !shown.lines().any(|line| line.trim() == "approved"),
                "{shown}"
            );
        }
    }
    for event in home.trail() {
        if event["request_id"] == id(question) {
            let name = event["event_id"].as_str().expect("an id");
            assert_harmless("audit show", &at_a_terminal(home, &["audit", "show", name]));
        }
    }
}

#[test]
fn no_name_and_no_word_of_an_agent_steers_a_terminal() {
    needs_cells!();
    let home = Home::new();
    let name = hostile_name();
    fs::write(home.dir().join(&name), "decoy\n").expect("write");
    let agent = home.bring(agent_program(), "work/agent");
    let path = home.dir().join(&name);
    // It opens the file, and the notice is at its own terminal (the prompt has tests of its own); and asks with words at its door.
    let mut run = home.command(home.program("valetkey"));
    run.args(["run", "--no-prompt", "--", "cat"])
        .arg(&path)
        .env("NO_COLOR", "1");
    let mut session = Pty::start(&run);
    let question = until("a question", SOON, || home.questions().into_iter().next());
    session.wait_for("valetkey approve");
    assert_harmless("the notice", &session.screen());
    assert_all_harmless(&home, &question);
    let answered = at_a_terminal(&home, &["approve", id(&question)]);
    assert_harmless("approve", &answered);
    session.wait_for("was granted");
    session.wait_for("decoy");
    let _status = session.finish();
    assert_all_after(&home);
    // Words.
    home.write("notes.txt", "x\n");
    let body = serde_json::json!({
        "resource": format!("file:{}", home.path("notes.txt").display()), "actions": ["read"], "justification": HOSTILE_WORDS,
    });
    let mut run = home.command(home.program("valetkey"));
    let script = "\"$0\" door POST /v1/requests \"$1\" > /dev/null; exec sleep 60";
    run.args(["run", "--no-prompt", "--workspace"])
        .arg(home.path("work"))
        .args(["--", "sh", "-c", script])
        .arg(agent)
        .arg(body.to_string())
        .env("NO_COLOR", "1");
    let mut session = Pty::start(&run);
    let question = home.wait_for_question("/notes.txt");
    assert_eq!(question["justification"], HOSTILE_WORDS);
    session.wait_for("valetkey approve");
    assert_harmless("the notice", &session.screen());
    assert_all_harmless(&home, &question);
    let denied = at_a_terminal(&home, &["deny", id(&question), "--because", HOSTILE_WORDS]);
    assert_harmless("deny", &denied);
    assert_all_after(&home);
    session.keys("\x03");
    let _status = session.finish();
}

/// The listings once there is an answer.
fn assert_all_after(home: &Home) {
    for words in [["audit", "tail"], ["caps", "list"]] {
        assert_harmless(&words.join(" "), &at_a_terminal(home, &words));
    }
}

#[test]
fn an_agents_program_of_a_hostile_name_is_shown_by_a_plain_one() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let bytes = b"work/c\x1b[2Ja\x9bt\xe2\x80\xae".to_vec();
    let program = home.dir().join(OsString::from_vec(bytes));
    home.make_dir(&home.path("work"));
    let cat = host_program("cat").expect("cat");
    fs::copy(cat, &program).expect("copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("mode");
    let work = home.path("work");
    let session = home
        .valetkey(["run", "--no-prompt", "--workspace"])
        .arg(&work)
        .arg("--")
        .arg(&program)
        .arg(home.path("notes.txt"))
        .start();
    let question = home.wait_for_question("/notes.txt");
    assert!(
        question["agent"].as_str().is_some_and(|name| name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte))),
        "{question}"
    );
    for words in [["requests", "--"], ["audit", "tail"]] {
        let words: Vec<_> = words.into_iter().filter(|word| *word != "--").collect();
        assert_harmless("listed", &at_a_terminal(&home, &words));
    }
    drop(home.deny(&question));
    assert!(session.finish(SOON).text().is_empty());
}

#[test]
fn a_key_and_a_door_of_the_same_user_are_not_enough_without_the_passphrase() {
    let home = Home::new();
    let _broker = home.start_broker();
    let set = home.valetkey(["approver", "passphrase", "--passphrase-fd", "0"]);
    drop(set.input("correct horse battery\n").done().ok());
    let mut guard = valetkey_tests::Guard::open(&home);
    let owner = home.valetkey(["approver", "show-key"]).done().ok();
    assert!(!owner.text().is_empty());
    let ask = serde_json::json!({"session": guard.session, "resource": format!("file:{}", home.path("notes.txt").display()),
                                 "actions": ["read"], "may_ask": true});
    let put = guard.peer.post("/v1/requests", &ask).expect("an answer");
    assert_eq!(put.body["state"], "pending", "{put:?}");
    let question = home.wait_for_question("/notes.txt");
    // A program of the same user outside of any cell: it reads the key file and speaks at the door, and has no answer.
    for input in ["", "\n", "correct horse batter\n", "y\ny\ny\n"] {
        let tried = home
            .unattended(["approve", id(&question), "--passphrase-fd", "0"])
            .input(input)
            .done();
        assert_ne!(tried.code(), 0, "{input:?}");
    }
    drop(home.unattended(["approve", id(&question)]).done().expect(1));
    let file: Value =
        serde_json::from_slice(&fs::read(home.key_file()).expect("read")).expect("JSON");
    assert!(file["protection"]["passphrase"].is_object(), "{file}");
    assert!(home.events("approval.given").is_empty());
    let answered = home
        .unattended(["approve", id(&question), "--passphrase-fd", "0"])
        .input("correct horse battery\n")
        .done();
    drop(answered.ok());
}
