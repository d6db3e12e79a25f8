//! Approver keys and the people behind them: passphrases, unlocking for a while, quorums of two, files, and changes of who may answer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use valetkey_tests::{Call, Home, Pty, Started, id, skipped, until};

use super::needs_cells;

const NONE: [&str; 0] = [];
const SOON: Duration = Duration::from_secs(20);
const PHRASE: &str = "correct horse battery";

/// A home whose key is new, under a name and under the passphrase.
fn protected(name: &str) -> Home {
    let home = Home::new();
    fs::remove_file(home.key_file()).expect("remove");
    drop(
        home.valetkey(["approver", "init", "--passphrase-fd", "0", "--name", name])
            .input(format!("{PHRASE}\n"))
            .done()
            .ok(),
    );
    home
}

/// A home with nothing but an unprotected key of that name, and its public key.
fn colleague(name: &str) -> (Home, String) {
    let home = Home::new();
    fs::remove_file(home.key_file()).expect("remove");
    let made = home
        .valetkey(["approver", "init", "--no-passphrase", "--name", name])
        .done()
        .ok();
    let key = made.text().trim().to_owned();
    (home, key)
}

fn unlock(home: &Home, life: &str) -> Call {
    home.unattended(["approver", "unlock", "--for", life, "--passphrase-fd", "0"])
        .input(format!("{PHRASE}\n"))
}

/// The built-in policy, with questions that need an owner and somebody from finance.
fn policy_of_two(home: &Home) -> PathBuf {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/base/base.rego");
    let text = fs::read_to_string(base).expect("the built-in policy");
    let one = "{\"role\": \"owner\", \"count\": 1}";
    let two = format!("{one}, {{\"role\": \"finance-approver\", \"count\": 1}}");
    let changed = text.replace(one, &two);
    assert_ne!(text, changed);
    fs::create_dir_all(home.outside("two")).expect("make");
    fs::write(home.outside("two/base.rego"), changed).expect("write");
    home.outside("two")
}

fn reading(home: &Home, policy: &Path, file: &str) -> Started {
    home.write(file, "the notes\n");
    home.valetkey(["run", "--policy"])
        .arg(policy)
        .args(["--", "cat", file])
        .start()
}

#[test]
fn a_passphrase_is_typed_twice_and_never_shown() {
    let home = Home::new();
    fs::remove_file(home.key_file()).expect("remove");
    let valetkey = home.program("valetkey");
    // Standard input is a pipe: the terminal is asked all the same.
    let mut command = home.command("sh");
    command
        .args(["-c", "echo not-this | \"$0\" approver init"])
        .arg(&valetkey);
    let start = || Pty::start(&command);
    for (first, second, says) in [
        ("too short\r", None, "easy to guess"),
        (
            "correct horse battery\r",
            Some("correct horse batter\r"),
            "differ",
        ),
        ("half\x03", None, "cancelled"),
    ] {
        let mut terminal = start();
        let before = terminal.modes();
        terminal.wait_for("New passphrase");
        terminal.keys(first);
        if let Some(second) = second {
            terminal.wait_for("The same again");
            terminal.keys(second);
        }
        terminal.wait_for(says);
        assert_eq!(terminal.modes().local_modes, before.local_modes, "{says}");
        assert_eq!(terminal.finish(), 1, "{says}");
        assert!(!home.key_file().exists());
    }
    let mut terminal = start();
    for prompt in ["New passphrase", "The same again"] {
        terminal.wait_for(prompt);
        terminal.keys(&format!("{PHRASE}\r"));
    }
    terminal.wait_for("an owner registers it");
    assert!(
        !terminal.screen().contains("horse"),
        "{}",
        terminal.screen()
    );
    assert_eq!(terminal.finish(), 0);
    // A wrong one may be typed again, and no more than three times.
    let mut command = home.command(&valetkey);
    command.args(["approver", "unlock", "--for", "1s"]);
    let mut terminal = Pty::start(&command);
    for _ in 0..3 {
        terminal.wait_for("Passphrase of your approver key");
        terminal.keys("wrong\r");
    }
    terminal.wait_for("does not open");
    assert_eq!(terminal.finish(), 3);
}

#[test]
fn an_unlocked_key_answers_until_the_kernel_locks_it() {
    needs_cells!();
    let home = protected("ann");
    home.write("a.txt", "a\n");
    home.write("b.txt", "b\n");
    let session = home
        .run(&NONE, &["sh", "-c", "cat a.txt; cat b.txt"])
        .start();
    let question = home.wait_for_question("/a.txt");
    let locked = home.unattended(["approve", id(&question)]).done().expect(1);
    drop(locked.says("no terminal"));
    let wrong = home
        .unattended(["approve", id(&question), "--passphrase-fd", "0"])
        .input("wrong\n")
        .done()
        .expect(3);
    drop(wrong.says("does not open"));
    assert_eq!(home.questions().len(), 1);
    let first = unlock(&home, "60s").done();
    if first.errors().contains("key store") {
        session.signal(rustix::process::Signal::INT);
        skipped("an_unlocked_key", "there is no key store here");
        return;
    }
    drop(first.ok());
    let key = home.status().expect("a broker")["approver_key"].clone();
    assert_eq!(key["protection"], "passphrase");
    assert!(key["unlocked_until"].is_string(), "{key}");
    let posture = home.status().expect("a broker")["posture"].to_string();
    assert!(!posture.contains("passphrase"), "{posture}");
    drop(home.unattended(["approve", id(&question)]).done().ok());
    let question = home.wait_for_question("/b.txt");
    // For a second; then the kernel has ended it, and nothing of ours ran meanwhile.
    drop(unlock(&home, "1s").done().ok());
    until("the key is locked", SOON, || {
        let key = home.status().expect("a broker")["approver_key"].clone();
        key["unlocked_until"].is_null().then_some(())
    });
    drop(home.unattended(["approve", id(&question)]).done().expect(1));
    // Unlocked again, and locked by hand.
    drop(unlock(&home, "60s").done().ok());
    drop(home.valetkey(["approver", "lock"]).done().ok());
    drop(home.unattended(["approve", id(&question)]).done().expect(1));
    let answered = home
        .unattended(["approve", id(&question), "--passphrase-fd", "0"])
        .input(format!("{PHRASE}\n"))
        .done();
    drop(answered.ok());
    assert_eq!(session.finish(SOON).ok().text(), "a\nb\n");
}

#[test]
fn two_people_answer_by_files() {
    needs_cells!();
    let home = Home::new();
    let (bob, key) = colleague("bob");
    let session = reading(&home, &policy_of_two(&home), "notes.txt");
    let question = home.wait_for_question("/notes.txt");
    let role = ["--role", "finance-approver"];
    // One person's key is not registered as two people.
    let own = home.valetkey(["approver", "show-key"]).done().ok();
    let twice = home
        .valetkey(["approver", "add", "bob", "--key", own.text().trim()])
        .args(role)
        .done()
        .expect(1);
    drop(twice.says("registered already"));
    drop(
        home.valetkey(["approver", "add", "bob", "--key", &key])
            .args(role)
            .done()
            .ok(),
    );
    // The person for whom the agent asks is none of the two.
    let own = home.valetkey(["approve", id(&question)]).done().expect(1);
    drop(own.says("wants another to approve"));
    let (asked, answer) = (home.outside("question"), bob.outside("answer"));
    drop(
        home.valetkey(["approve", id(&question), "--export"])
            .arg(&asked)
            .done()
            .ok(),
    );
    let (carol, key) = colleague("carol");
    let added = ["approver", "add", "carol", "--role", "owner", "--key", &key];
    drop(home.valetkey(added).done().ok());
    let carols = carol.outside("answer");
    drop(
        carol
            .valetkey(["approve", "--import"])
            .arg(&asked)
            .arg("--out")
            .arg(&carols)
            .done()
            .ok(),
    );
    // The same person again is still one.
    for _ in 0..2 {
        let given = home.valetkey(["approve", "--import"]).arg(&carols).done();
        assert!(given.ok().text().ends_with("more people must answer\n"));
    }
    // Ann cannot sign in Bob's name.
    let forged = home.outside("forged");
    drop(
        home.valetkey(["approve", "--as", "bob", "--import"])
            .arg(&asked)
            .arg("--out")
            .arg(&forged)
            .done()
            .ok(),
    );
    let refused = home.valetkey(["approve", "--import"]).arg(&forged).done();
    drop(refused.expect(1).says("signature"));
    // Looking signs nothing, and shows what `approve` shows.
    let seen = bob
        .valetkey(["approve", "--import"])
        .arg(&asked)
        .done()
        .ok();
    assert!(seen.text().contains("/notes.txt") && seen.text().contains("not answered yet"));
    drop(
        bob.valetkey(["approve", "--because", "fine", "--import"])
            .arg(&asked)
            .arg("--out")
            .arg(&answer)
            .done()
            .ok(),
    );
    // What was signed as a yes is not passed on as a no, nor edited into one.
    drop(
        home.valetkey(["deny", "--import"])
            .arg(&answer)
            .done()
            .expect(2),
    );
    let text = fs::read_to_string(&answer).expect("read");
    let edited = home.outside("edited");
    fs::write(&edited, text.replace("\"fine\"", "\"not so\"")).expect("write");
    let refused = home.valetkey(["approve", "--import"]).arg(&edited).done();
    drop(refused.expect(1).says("signature"));
    let given = home
        .valetkey(["approve", "--import"])
        .arg(&answer)
        .done()
        .ok();
    assert_eq!(given.text(), "approved\n");
    assert_eq!(session.finish(SOON).ok().text(), "the notes\n");
    // And not again.
    let replayed = home.valetkey(["approve", "--import"]).arg(&answer).done();
    drop(replayed.expect(1).says("no open question"));
    home.verify();
}

#[test]
fn a_refusal_comes_by_file_too() {
    needs_cells!();
    let home = Home::new();
    let (bob, key) = colleague("bob");
    let session = reading(&home, &policy_of_two(&home), "notes.txt");
    let question = home.wait_for_question("/notes.txt");
    drop(
        home.valetkey([
            "approver",
            "add",
            "bob",
            "--role",
            "finance-approver",
            "--key",
            &key,
        ])
        .done()
        .ok(),
    );
    let (asked, answer) = (home.outside("question"), bob.outside("answer"));
    drop(
        home.valetkey(["deny", id(&question), "--export"])
            .arg(&asked)
            .done()
            .ok(),
    );
    // A question that was edited on its way is not shown, and not signed.
    let text = fs::read_to_string(&asked).expect("read");
    let edited = bob.outside("edited");
    fs::write(&edited, text.replace("notes.txt", "other.txt")).expect("write");
    let refused = bob
        .valetkey(["deny", "--out"])
        .arg(&answer)
        .arg("--import")
        .arg(&edited)
        .done();
    drop(refused.expect(1).says("changed after it was exported"));
    drop(
        bob.valetkey(["deny", "--out"])
            .arg(&answer)
            .arg("--import")
            .arg(&asked)
            .done()
            .ok(),
    );
    let given = home.valetkey(["deny", "--import"]).arg(&answer).done().ok();
    assert_eq!(given.text(), "refused\n");
    assert_ne!(session.finish(SOON).code(), 0);
}

#[test]
fn only_the_question_that_was_seen_is_answered() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "the notes\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    let listed = home.valetkey(["requests"]).done().ok().text();
    let digest = listed
        .split_whitespace()
        .skip_while(|word| *word != "digest")
        .nth(1)
        .expect("a digest")
        .to_owned();
    let other = format!("sha256:{}", "0".repeat(64));
    let refused = home
        .valetkey(["approve", id(&question), "--digest", &other])
        .done()
        .expect(3);
    drop(refused.says("not the one that you saw"));
    assert!(home.events("approval.given").is_empty());
    let approved = home.valetkey(["approve", id(&question), "--digest", &digest]);
    drop(approved.done().ok());
    assert_eq!(session.finish(SOON).ok().text(), "the notes\n");
}

/// A door that passes everything on to another home's operator door; the second list of questions that comes back has `swap` in it.
fn man_in_the_middle(of: &Home, at: &Path, swap: Option<(String, String)>) -> Arc<Mutex<Vec<u8>>> {
    let listener = UnixListener::bind(at).expect("listen");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (kept, door) = (Arc::clone(&heard), of.state().join("run/operator.sock"));
    std::thread::spawn(move || {
        while let Ok((mut near, _)) = listener.accept() {
            let mut far = UnixStream::connect(&door).expect("connect");
            let (mut from, mut to) = (
                near.try_clone().expect("dup"),
                far.try_clone().expect("dup"),
            );
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut chunk = [0; 65536];
                while let Ok(read @ 1..) = from.read(&mut chunk) {
                    kept.lock().expect("lock").extend_from_slice(&chunk[..read]);
                    drop(to.write_all(&chunk[..read]));
                }
                drop(to.shutdown(std::net::Shutdown::Both));
            });
            let (mut chunk, mut lists) = ([0; 65536], 0);
            while let Ok(read @ 1..) = far.read(&mut chunk) {
                let mut text = String::from_utf8_lossy(&chunk[..read]).into_owned();
                lists += usize::from(text.contains("\"questions\""));
                if let Some((what, with)) = swap.as_ref().filter(|_| lists > 1) {
                    text = text.replace(what, with);
                }
                drop(near.write_all(text.as_bytes()));
            }
        }
    });
    heard
}

/// Somebody with this home's key whose broker is the man in the middle.
fn misled(home: &Home, swap: Option<(String, String)>) -> (Home, Arc<Mutex<Vec<u8>>>) {
    let other = Home::new();
    fs::copy(home.key_file(), other.key_file()).expect("copy");
    other.make_dir(&other.state().join("run"));
    let heard = man_in_the_middle(home, &other.state().join("run/operator.sock"), swap);
    (other, heard)
}

#[test]
fn a_question_swapped_after_it_was_shown_is_not_signed() {
    needs_cells!();
    let home = Home::new();
    home.write("notes.txt", "decoy\n");
    let session = home.run(&NONE, &["cat", "notes.txt"]).start();
    let question = home.wait_for_question("/notes.txt");
    // Of the same length, so that the frame still fits.
    let swap = ("/notes.txt".to_owned(), "/diary.txt".to_owned());
    let (person, heard) = misled(&home, Some(swap));
    let refused = person.valetkey(["approve", id(&question)]).done().expect(3);
    drop(refused.says("not the one that you saw"));
    let heard = String::from_utf8_lossy(&heard.lock().expect("lock")).into_owned();
    assert!(!heard.contains("/v1/answers"), "{heard}");
    session.signal(rustix::process::Signal::INT);
    drop(session.finish(SOON));
    // The home of the misled has no broker of its own to stop.
    fs::remove_file(person.state().join("run/operator.sock")).expect("remove");
}

fn post(home: &Home, path: &str, body: &str) -> String {
    let mut door = UnixStream::connect(home.state().join("run/operator.sock")).expect("connect");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    door.write_all(head.as_bytes()).expect("write");
    door.write_all(body.as_bytes()).expect("write");
    let mut answer = String::new();
    door.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn a_change_of_approvers_is_an_owners_and_good_once() {
    needs_cells!();
    let home = Home::new();
    let (bob, key) = colleague("bob");
    // A broker runs from the first session on.
    drop(home.run(&NONE, &["true"]).done().ok());
    let (ann, heard) = misled(&home, None);
    let role = ["--role", "finance-approver"];
    drop(
        ann.valetkey(["approver", "add", "bob", "--key", &key])
            .args(role)
            .done()
            .ok(),
    );
    let heard = String::from_utf8_lossy(&heard.lock().expect("lock")).into_owned();
    let from = heard.find("{\"signed\"").expect("a signed change");
    let signed = heard[from..].to_owned();
    let change: Value = serde_json::from_str(&signed).expect("JSON");
    let refused = |answer: String, why: &str| {
        assert!(
            answer.contains(why) && !answer.starts_with("HTTP/1.1 2"),
            "{answer}"
        );
    };
    refused(post(&home, "/v1/approvers", &signed), "other approvers");
    let elevated = signed.replace("finance-approver", "owner");
    refused(post(&home, "/v1/approvers", &elevated), "signature");
    let removal = signed.replace("\"add\"", "\"remove\"");
    let inner = serde_json::from_str::<Value>(&removal).expect("JSON")["signed"].to_string();
    refused(post(&home, "/v1/approvers/remove", &inner), "signature");
    refused(post(&home, "/v1/approvers", &removal), "not of the kind");
    // Nobody comes first twice.
    let first = serde_json::json!({"first": change["signed"]["signed"]["change"]["add"]});
    refused(
        post(&home, "/v1/approvers", &first.to_string()),
        "registered already",
    );
    // Bob is no owner.
    fs::copy(home.key_file(), home.outside("anns.key")).expect("keep");
    fs::copy(bob.key_file(), home.key_file()).expect("copy");
    let by_bob = home
        .valetkey(["approver", "add", "eve", "--role", "owner", "--key"])
        .arg(colleague("eve").1)
        .done()
        .expect(3);
    drop(by_bob.says("only an owner"));
    fs::copy(home.outside("anns.key"), home.key_file()).expect("back");
    // The last owner stays; Bob goes, and does not come back by a replay.
    let me = home.events("registry.approver_added")[0]["attributes"]["approver"].clone();
    let last = home.valetkey(["approver", "remove", me.as_str().expect("a name")]);
    drop(last.done().expect(3).says("last owner"));
    drop(home.valetkey(["approver", "remove", "bob"]).done().ok());
    refused(post(&home, "/v1/approvers", &signed), "other approvers");
    let listed = home
        .valetkey(["approver", "list", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let gone = home.events("registry.approver_removed");
    assert_eq!(gone[0]["attributes"]["approver"], "bob");
    assert_eq!(gone[0]["attributes"]["sequence"], 3);
    // It holds after the broker has begun anew.
    drop(home.valetkey(["stop"]).done().ok());
    drop(home.run(&NONE, &["true"]).done().ok());
    refused(post(&home, "/v1/approvers", &signed), "other approvers");
    home.verify();
    fs::remove_file(ann.state().join("run/operator.sock")).expect("remove");
}

#[test]
fn a_cell_reaches_neither_the_key_nor_its_file() {
    needs_cells!();
    let home = protected("ann");
    home.bring(&home.program("valetkey"), "work/valetkey");
    let unlocked = unlock(&home, "60s").done().code() == 0;
    let work = home.path("work");
    let script = format!(
        "cat {0}/config/approver.key; ls -a {0}; for c in show-key lock 'unlock --for 1h' list; do ./valetkey approver $c </dev/null; echo \"$c: $?\"; done",
        home.state().display()
    );
    let ended = home
        .valetkey(["run", "--env", "VALETKEY_HOME", "--workspace"])
        .arg(&work)
        .args(["--", "sh", "-c", &script])
        .cwd(&work)
        .done();
    let said = ended.text() + &ended.errors();
    assert!(
        !said.contains("ciphertext") && !said.contains("approver.key\n"),
        "{said}"
    );
    for command in ["show-key", "lock", "unlock --for 1h", "list"] {
        assert!(!said.contains(&format!("{command}: 0")), "{said}");
        assert!(said.contains(&format!("{command}: ")), "{said}");
    }
    // What the cell did has locked nothing outside.
    let key = home.status().expect("a broker")["approver_key"].clone();
    assert_eq!(key["unlocked_until"].is_string(), unlocked, "{key}");
    drop(home.valetkey(["approver", "lock"]).done());
}
