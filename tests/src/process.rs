//! Running a program with a time limit, its output kept while it runs.

use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take if the test does not say.
const TIME: Duration = Duration::from_secs(30);
/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(4);

/// Waits until `is_so` gives something.
///
/// # Panics
/// When it does not in `time`.
pub fn until<T>(what: &str, time: Duration, mut is_so: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(begun.elapsed() < time, "not within {time:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A program about to be run.
#[derive(Debug)]
pub struct Call {
    command: Command,
    time: Duration,
    input: Option<Vec<u8>>,
    keeps_input_open: bool,
}

impl Call {
    /// A call of a command whose environment is set.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command,
            time: TIME,
            input: None,
            keeps_input_open: false,
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In another directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<std::path::Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// With these bytes on standard input, which then ends. Without this it is empty.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// With a standard input that the test writes to.
    #[must_use]
    pub fn open_input(mut self) -> Self {
        self.keeps_input_open = true;
        self
    }

    /// Within this time.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[must_use]
    pub fn done(self) -> Finished {
        let time = self.time;
        self.start().finish(time)
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Started {
        let what = format!("{:?}", self.command);
        let input = if self.input.is_some() || self.keeps_input_open {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        self.command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let out = Capture::of(child.stdout.take().expect("piped"));
        let err = Capture::of(child.stderr.take().expect("piped"));
        let mut stdin = child.stdin.take();
        if let (Some(bytes), Some(mut pipe)) =
            (self.input, stdin.take_if(|_| !self.keeps_input_open))
        {
            // A program that does not want all of its input closes it: that is its affair.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        Started {
            child,
            out,
            err,
            begun,
            what,
            stdin,
        }
    }
}

#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut chunk = vec![0; 256 * 1024];
            while let Ok(read) = from.read(&mut chunk) {
                if read == 0 {
                    break;
                }
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&chunk[..read]);
            }
        });
        Self {
            bytes,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Everything, once the other end is closed. A process that outlives the program and holds its output is a defect.
    fn whole(&mut self, what: &str) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            until(
                &format!("the output of {what} ends"),
                Duration::from_secs(10),
                || thread.is_finished().then_some(()),
            );
        }
        self.so_far()
    }
}

/// A running program. It is killed when dropped.
#[derive(Debug)]
pub struct Started {
    child: Child,
    out: Capture,
    err: Capture,
    begun: Instant,
    what: String,
    stdin: Option<ChildStdin>,
}

impl Started {
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("send a signal");
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    /// When that is closed.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("an open input");
        stdin.write_all(bytes).expect("write");
        stdin.flush().expect("flush");
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.out.so_far()).into_owned()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err.so_far()).into_owned()
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("look at a child").is_none()
    }

    /// Waits until it has written `text`.
    ///
    /// # Panics
    /// When it does not in time, or ends without.
    pub fn wait_for(&mut self, text: &str, time: Duration) {
        let begun = Instant::now();
        while !self.output().contains(text) {
            let over = !self.is_running() && !self.output().contains(text);
            assert!(
                !over && begun.elapsed() < time,
                "{} did not write `{text}` but:\n{}\n{}",
                self.what,
                self.output(),
                self.errors()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come in time.
    #[must_use]
    pub fn finish(mut self, time: Duration) -> Finished {
        self.stdin = None;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait for a child") {
                break status;
            }
            if begun.elapsed() > time {
                let (out, err) = (self.output(), self.errors());
                panic!("{} did not end within {time:?}:\n{out}\n{err}", self.what);
            }
            std::thread::sleep(LOOK_EVERY);
        };
        let took = self.begun.elapsed();
        Finished {
            status,
            out: self.out.whole(&self.what),
            err: self.err.whole(&self.what),
            took,
            what: self.what.clone(),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended and been waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub out: Vec<u8>,
    /// What it wrote to standard error.
    pub err: Vec<u8>,
    /// How long it ran.
    pub took: Duration,
    what: String,
}

impl Finished {
    /// Its output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Its standard error as text.
    #[must_use]
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    /// Its exit status, or 128 and the signal that ended it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Asserts the exit status.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            code,
            "{} ended with {}:\n{}\n{}",
            self.what,
            self.status,
            self.text(),
            self.errors()
        );
        self
    }

    /// Asserts success.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> Self {
        self.expect(0)
    }

    /// Asserts that standard error says this.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    #[must_use]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.errors().contains(words),
            "{} does not say `{words}` but:\n{}\n{}",
            self.what,
            self.errors(),
            self.text()
        );
        self
    }

    /// Its output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out)
            .unwrap_or_else(|error| panic!("{}: {error}:\n{}", self.what, self.text()))
    }
}
