//! A home of its own for one test: directories, environment, broker, log and the person who answers.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::binaries::{Binaries, binaries};
use crate::place::{Device, scratch};
use crate::process::{Call, Finished, Started, until};

/// The usual search path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The user id of the ordinary user that root runs tests as.
pub const NOBODY: u32 = 65534;
/// How long the broker may take for anything that no person decides.
const SOON: Duration = Duration::from_secs(10);

/// An open question, as the program lists it.
pub type Question = Value;

/// A home. Its broker is stopped, and its directories are gone, when it is dropped.
#[derive(Debug)]
pub struct Home {
    root: tempfile::TempDir,
    programs: Binaries,
    uid: Option<u32>,
    prefix: Vec<OsString>,
    state: PathBuf,
}

impl Home {
    /// A home for the user who runs the tests.
    #[must_use]
    pub fn new() -> Self {
        Self::build(scratch(), None, Vec::new(), binaries().clone())
    }

    /// A home below a directory that the test names.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        let root = tempfile::Builder::new()
            .prefix("vk-")
            .tempdir_in(dir)
            .expect("make a home");
        Self::build(root, None, Vec::new(), binaries().clone())
    }

    /// A home for an ordinary user, as whom root runs everything, with `/dev/fuse` as told.
    #[must_use]
    pub fn of_ordinary_user(device: Device) -> Self {
        let root = scratch();
        let programs = binaries().copied_to(&root.path().join("bin"));
        Self::build(root, Some(NOBODY), device.prefix(NOBODY), programs)
    }

    /// A home of root's whose commands have `/dev/fuse` as told.
    #[must_use]
    pub fn with_device(device: Device) -> Self {
        Self::build(scratch(), None, device.prefix(0), binaries().clone())
    }

    fn build(
        root: tempfile::TempDir,
        uid: Option<u32>,
        prefix: Vec<OsString>,
        programs: Binaries,
    ) -> Self {
        let home = Self {
            state: root.path().join("v"),
            root,
            programs,
            uid,
            prefix,
        };
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(home.root.path(), mode).expect("open the home's root");
        home.make_dir(&home.dir());
        home.make_dir(&home.state);
        home.give_key();
        home
    }

    /// The same with the given words before every command, such as `unshare …`.
    #[must_use]
    pub fn prefixed<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.prefix = words.map(OsString::from).to_vec();
        self
    }

    /// The same with Valetkey's own directories somewhere else.
    #[must_use]
    pub fn with_state(mut self, dir: PathBuf) -> Self {
        self.state = dir;
        self
    }

    /// Where `HOME` points.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// A path below `HOME`.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir().join(below)
    }

    /// Where `VALETKEY_HOME` points.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The directory above all of the home's, where nothing is granted.
    #[must_use]
    pub fn outside(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// Makes a directory that belongs to the home's user.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make_dir(&self, dir: &Path) {
        fs::create_dir_all(dir).expect("make a directory");
        self.give(dir);
    }

    /// Writes a file below `HOME`, with its directories.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, below: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        let mut made = Vec::new();
        let mut dir = path.parent().expect("a directory");
        while !dir.exists() {
            made.push(dir.to_path_buf());
            dir = dir.parent().expect("a directory");
        }
        fs::create_dir_all(path.parent().expect("a directory")).expect("make a directory");
        fs::write(&path, content).expect("write a file");
        made.iter().for_each(|dir| self.give(dir));
        self.give(&path);
        path
    }

    /// An approver key without a passphrase, as a person chooses it with `approver init --no-passphrase`: most tests are not about it.
    fn give_key(&self) {
        let config = self.state.join("config");
        self.make_dir(&config);
        fs::set_permissions(&config, fs::Permissions::from_mode(0o700)).expect("mode");
        let mut seed = [0; 32];
        let mut random = fs::File::open("/dev/urandom").expect("open");
        std::io::Read::read_exact(&mut random, &mut seed).expect("random bytes");
        let key = self.key_file();
        fs::write(&key, seed).expect("write a key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mode");
        self.give(&key);
    }

    /// The person's approver key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.state.join("config/approver.key")
    }

    /// A call of `valetkey` by somebody without a terminal.
    #[must_use]
    pub fn unattended<const N: usize>(&self, args: [&str; N]) -> Call {
        let call = Call::new(self.command("setsid")).arg("--wait");
        call.arg(self.programs.get("valetkey")).args(args)
    }

    fn give(&self, path: &Path) {
        if let Some(uid) = self.uid {
            chown(path, Some(uid), Some(uid)).expect("give a file away");
        }
    }

    /// Copies a program into the home, so that a workspace can hold it.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn bring(&self, program: &Path, below: &str) -> PathBuf {
        let path = self.write(below, fs::read(program).expect("read a program"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make it executable");
        path
    }

    /// A command in this home's environment, as its user.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut words = self.prefix.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .env_clear()
            .env("HOME", self.dir())
            .env("VALETKEY_HOME", &self.state)
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .current_dir(self.dir());
        command
    }

    /// A call of `valetkey`.
    #[must_use]
    pub fn valetkey<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Call {
        Call::new(self.command(self.programs.get("valetkey"))).args(args)
    }

    /// The program `valetkey` itself.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.get(name)
    }

    /// `valetkey run OPTIONS -- COMMAND`.
    #[must_use]
    pub fn run<S: AsRef<OsStr>, T: AsRef<OsStr>>(&self, options: &[S], command: &[T]) -> Call {
        self.valetkey(["run"]).args(options).arg("--").args(command)
    }

    /// A shell script in a cell whose workspace is `HOME/work`.
    #[must_use]
    pub fn in_workspace(&self, script: &str) -> Call {
        let work = self.path("work");
        self.make_dir(&work);
        self.run(
            &[OsStr::new("--workspace"), work.as_os_str()],
            &["sh", "-c", script],
        )
        .cwd(&work)
    }

    /// The events of the log, oldest first.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn trail(&self) -> Vec<Value> {
        let tail = ["audit", "tail", "-n", "100000", "--json"];
        let read = self.valetkey(tail).done();
        // Before the first session there is no log.
        if read.code() == 1 && read.errors().contains("there is no log") {
            return Vec::new();
        }
        read.ok()
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("an event a line"))
            .collect()
    }

    /// The events of one type.
    #[must_use]
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let mut events = self.trail();
        events.retain(|event| event["type"] == kind);
        events
    }

    /// Waits for an event of a type that `fits`.
    pub fn wait_for_event(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        until(&format!("an event {kind}"), SOON, || {
            self.events(kind).into_iter().find(|event| fits(event))
        })
    }

    /// Asserts that the log verifies.
    #[track_caller]
    pub fn verify(&self) {
        let verdict = self.valetkey(["audit", "verify", "--json"]).done().ok();
        assert_eq!(verdict.json()["verdict"], "intact");
    }

    /// The broker's state; nothing when none answers.
    #[must_use]
    pub fn status(&self) -> Option<Value> {
        let answer = self.valetkey(["status", "--json"]).done();
        (answer.code() == 0).then(|| answer.json())
    }

    /// The broker's process.
    ///
    /// # Panics
    /// When none runs.
    #[must_use]
    pub fn broker(&self) -> rustix::process::Pid {
        let status = self.status().expect("a broker");
        let pid = status["pid"].as_i64().expect("a process id");
        rustix::process::Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a pid")
    }

    /// One of the broker's doors, by its name.
    #[must_use]
    pub fn door(&self, name: &str) -> PathBuf {
        self.state.join("run").join(format!("{name}.sock"))
    }

    /// Starts the broker itself, with no session before it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_broker(&self) -> Started {
        self.try_start_broker().expect("a broker starts")
    }

    /// The same; nothing when it ends instead, because another has the home.
    #[must_use]
    pub fn try_start_broker(&self) -> Option<Started> {
        let mut broker = Call::new(self.command(self.programs.get("valetkeyd"))).start();
        // The whole line: one that ends because another runs "already" has not started.
        let is_ready = |broker: &Started| broker.output().lines().any(|line| line == "ready");
        until("the broker starts or ends", SOON, || {
            (is_ready(&broker) || !broker.is_running()).then_some(())
        });
        (is_ready(&broker) && broker.is_running()).then_some(broker)
    }

    /// The questions that wait.
    ///
    /// # Panics
    /// When the broker does not list them.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let listed = self.valetkey(["requests", "--json"]).done();
        if listed.code() == 6 {
            return Vec::new();
        }
        let listed = listed.ok().json();
        listed.as_array().expect("a list").clone()
    }

    /// Waits for a question about a resource that ends in `resource`.
    pub fn wait_for_question(&self, resource: &str) -> Question {
        until(&format!("a question about {resource}"), SOON, || {
            self.questions().into_iter().find(|question| {
                question["grant"]["resource"]
                    .as_str()
                    .is_some_and(|text| text.ends_with(resource))
            })
        })
    }

    /// Approves a question.
    #[track_caller]
    pub fn approve(&self, question: &Question) -> Finished {
        self.valetkey(["approve", id(question)]).done().ok()
    }

    /// Refuses a question.
    #[track_caller]
    pub fn deny(&self, question: &Question) -> Finished {
        self.valetkey(["deny", id(question)]).done().ok()
    }

    /// Somebody who approves everything until they are dropped.
    #[must_use]
    pub fn person(&self) -> Person {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let valetkey = self.program("valetkey");
        let (home, state, prefix) = (self.dir(), self.state.clone(), self.prefix.clone());
        let thread = std::thread::spawn(move || {
            let call = |args: &[&str]| {
                let mut words = prefix.clone();
                words.push(valetkey.clone().into());
                let mut command = Command::new(&words[0]);
                command
                    .args(&words[1..])
                    .args(args)
                    .env_clear()
                    .env("PATH", PATH)
                    .env("HOME", &home)
                    .env("VALETKEY_HOME", &state);
                Call::new(command).done()
            };
            let mut answered = 0;
            while !ended.load(Ordering::Acquire) {
                let listed = call(&["requests", "--json"]);
                let open: Value = serde_json::from_slice(&listed.out).unwrap_or_default();
                for question in open.as_array().into_iter().flatten() {
                    let answer = call(&["approve", id(question), "--json"]);
                    answered += usize::from(answer.code() == 0);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            answered
        });
        Person {
            over,
            thread: Some(thread),
        }
    }

    fn diagnose(&self) {
        eprintln!("--- the home was {}", self.root.path().display());
        for name in ["valetkeyd.log", "stderr.log"] {
            let path = self.state.join("state/diagnostics").join(name);
            let log = fs::read_to_string(path).unwrap_or_default();
            eprintln!("--- the broker said in {name}: {log}");
        }
        let tail = self.quietly(&["audit", "tail", "-n", "25"]);
        eprintln!("--- its last events:\n{tail}");
    }

    /// A call whose failure is no failure of the test.
    fn quietly(&self, args: &[&str]) -> String {
        self.command(self.programs.get("valetkey"))
            .args(args)
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.diagnose();
        }
        // Behind a prefix the socket may lie where only the prefix leads.
        if !self.prefix.is_empty() || self.state.join("run/operator.sock").exists() {
            drop(self.quietly(&["stop"]));
        }
    }
}

/// The id of a question.
#[must_use]
pub fn id(question: &Question) -> &str {
    question["request_id"].as_str().expect("an id")
}

/// Somebody who says yes to everything.
#[derive(Debug)]
pub struct Person {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Person {
    /// Stops, and says how many questions were approved.
    ///
    /// # Panics
    /// When answering failed.
    #[must_use]
    pub fn finish(mut self) -> usize {
        self.over.store(true, Ordering::Release);
        let thread = self.thread.take().expect("a thread");
        thread.join().expect("the person")
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it does not ask how it went.
            drop(thread.join());
        }
    }
}
