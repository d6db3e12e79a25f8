//! Flow rules: what a session has read decides what it may still send, however it came to read it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use valetkey_tests::{Call, Home, host_program, skipped, until};

use super::needs_cells;
use super::network::{CLIENT, SOON, Server};

/// The starter policy in which what is confidential goes nowhere.
fn policy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/coding-agent")
}

/// A script beside a confidential file, with one way out.
fn session(home: &Home, server: &Server, script: &str) -> Option<Call> {
    if host_program("python3").is_none() {
        skipped("flowing", "there is no python3 here");
        return None;
    }
    let work = home.path("work");
    let _pay = home.write("work/confidential/pay.csv", "alice,1000\n");
    let _plain = home.write("work/plain.txt", "nothing of note\n");
    let _client = home.write("work/client.py", format!("{CLIENT}\n{script}"));
    let endpoint = format!("tcp:127.0.0.1:{}=connect", server.port());
    let options = [
        "--policy".into(),
        policy().into_os_string(),
        "--workspace".into(),
        work.clone().into_os_string(),
        "--grant".into(),
        endpoint.into(),
    ];
    Some(home.run(&options, &["python3", "client.py"]).cwd(&work))
}

#[test]
fn what_is_read_cuts_what_is_open_and_closes_the_way_out() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "s, answer = connect('127.0.0.1:{port}')\n\
         print(status(answer))\n\
         s.sendall(b'stream'); print(len(s.recv(2000)))\n\
         open('plain.txt').read()\n\
         s.sendall(b'stream'); print(len(s.recv(2000)))\n\
         pay = open('confidential/pay.csv').read()\n\
         print(pay.strip())\n\
         try:\n\
         \x20   s.sendall(pay.encode()); print('answer', s.recv(2000))\n\
         except OSError: print('cut')\n\
         print('again', status(connect('127.0.0.1:{port}')[1]))\n\
         open('note.txt', 'w').write('it still works on its files')\n"
    );
    let Some(call) = session(&home, &server, &script) else {
        return;
    };
    let ended = call.done().ok();
    let text = ended.text();
    let cut =
        ["answer b''", "cut"].map(|end| format!("200\n1000\n1000\nalice,1000\n{end}\nagain 403\n"));
    assert!(cut.contains(&text), "{text}{}", ended.errors());
    assert!(!server.got().contains("alice,1000"), "{}", server.got());

    let minted = home.events("capability.minted");
    let labelled: Vec<_> = minted
        .iter()
        .filter(|event| event["attributes"]["labels"] == "confidential")
        .collect();
    assert_eq!(labelled.len(), 1, "{minted:?}");
    let revoked = home.events("capability.revoked");
    assert_eq!(revoked.len(), 1, "{revoked:?}");
    assert_eq!(revoked[0]["attributes"]["labels"], "confidential");
    assert_eq!(revoked[0]["actor"], "broker");
    home.verify();
}

#[test]
fn a_session_beside_one_that_has_read_goes_on() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "import time\n\
         s, answer = connect('127.0.0.1:{port}')\n\
         print(status(answer), flush=True)\n\
         while not os.path.exists('go'): time.sleep(0.02)\n\
         s.sendall(b'stream'); print(len(s.recv(2000)))\n"
    );
    let Some(call) = session(&home, &server, &script) else {
        return;
    };
    let mut first = call.start();
    first.wait_for("200", SOON);
    let reading = "print(open('confidential/pay.csv').read().strip())\n";
    let other = session(&home, &server, reading)
        .expect("python3")
        .done()
        .ok();
    assert_eq!(other.text(), "alice,1000\n");
    let _go = home.write("work/go", "");
    assert_eq!(first.finish(SOON).ok().text(), "200\n1000\n");
}

#[test]
fn no_other_name_takes_the_label_off() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    // Each way in a session of its own: moved, moved with its directory, linked, copied, opened from within, and by a name that the host made.
    let ways = [
        "os.rename('confidential/pay.csv', 'moved.csv'); got = open('moved.csv').read()",
        "os.rename('confidential', 'plain'); got = open('plain/pay.csv').read()",
        "os.link('confidential/pay.csv', 'linked.csv'); got = open('linked.csv').read()",
        "import shutil; shutil.copy('confidential/pay.csv', 'copied.csv'); got = open('copied.csv').read()",
        "os.chdir('confidential'); got = open('pay.csv').read()",
        "os.symlink('confidential/pay.csv', 'soft.csv'); got = open('soft.csv').read()",
        "got = open('by-the-host.csv').read()",
    ];
    for way in ways {
        drop(std::fs::remove_dir_all(home.path("work")));
        let script = format!(
            "got = ''\n\
             try:\n\
             \x20   {way}\n\
             except OSError as error: print(error.strerror)\n\
             out = status(connect('127.0.0.1:{port}')[1])\n\
             print('sent' if got and out == '200' else 'kept', out)\n"
        );
        let Some(call) = session(&home, &server, &script) else {
            return;
        };
        let by_host = home.path("work/by-the-host.csv");
        std::fs::hard_link(home.path("work/confidential/pay.csv"), by_host).expect("link");
        let ended = call.done().ok();
        assert!(ended.text().contains("kept"), "{way}: {}", ended.text());
    }
    until("the end of all sessions", Duration::from_secs(10), || {
        let status = home.status()?;
        (status["sessions"] == 0).then_some(())
    });
}
