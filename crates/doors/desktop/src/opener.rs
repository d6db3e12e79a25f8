//! What is started for the person: the inbox in a terminal, and the command that refuses. Each in bounds, since whoever owns the desktop's
//! name on the bus can press as often as they like.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use valetkey_model::RequestId;

use crate::{say, terminal};

/// Inboxes that are opened within [`WINDOW`]: more than a person presses, and too few to hold a machine up.
const OPENED_MAX: usize = 4;
/// Inboxes and refusals that run at one time.
const RUNNING_MAX: usize = 8;
/// The time over which openings are counted.
const WINDOW: Duration = Duration::from_secs(30);

/// A program that was started.
#[derive(Debug)]
struct Running {
    child: Child,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Inbox(Option<RequestId>),
    Deny(RequestId),
}

/// Starts programs, and waits for their ends.
#[derive(Debug, Default)]
pub(crate) struct Opener {
    running: Vec<Running>,
    opened: VecDeque<Instant>,
}

impl Opener {
    /// Opens the inbox, unless one is open on the same question.
    pub(crate) fn inbox(&mut self, on: Option<&RequestId>) {
        let what = What::Inbox(on.cloned());
        let now = Instant::now();
        while self
            .opened
            .front()
            .is_some_and(|first| now.saturating_duration_since(*first) > WINDOW)
        {
            let _past = self.opened.pop_front();
        }
        let is_open = self.running.iter().any(|running| running.what == what);
        if is_open || self.opened.len() >= OPENED_MAX || self.running.len() >= RUNNING_MAX {
            return;
        }
        let variable = |name: &str| std::env::var_os(name);
        let words = terminal::words(
            variable("VALETKEY_TERMINAL").as_deref(),
            variable("TERMINAL").as_deref(),
            variable("PATH").as_deref(),
        );
        let Some(words) = words else {
            say(
                "note: no terminal is found to open the inbox in\n  next: set VALETKEY_TERMINAL, or run `valetkey requests --watch` yourself",
            );
            return;
        };
        self.opened.push_back(now);
        let mut inbox: Vec<OsString> = vec![valetkey().into(), "requests".into(), "--watch".into()];
        inbox.extend(on.map(|id| OsString::from(id.as_str())));
        let mut words = words.into_iter().chain(inbox);
        let Some(program) = words.next() else { return };
        let mut command = Command::new(program);
        command.args(words);
        self.start(command, what);
    }

    /// Refuses a question with the person's key, if it is unlocked; opens the inbox where that does not do.
    pub(crate) fn deny(&mut self, id: &RequestId, digest: &str) {
        if self.running.len() >= RUNNING_MAX {
            return;
        }
        let mut command = Command::new(valetkey());
        command
            .args(["deny", id.as_str(), "--digest", digest, "--json"])
            .arg("--from-notification")
            // There is nobody at a terminal: a key that is locked is no reason to stop and ask.
            .args(["--passphrase-fd", "0"])
            .args(["--because", "refused in a desktop notification"]);
        self.start(command, What::Deny(id.clone()));
    }

    /// Whether a refusal is under way.
    pub(crate) fn is_denying(&self) -> bool {
        let mut running = self.running.iter();
        running.any(|running| matches!(running.what, What::Deny(_)))
    }

    /// Looks after what has ended.
    pub(crate) fn reap(&mut self) {
        let mut not_denied = Vec::new();
        self.running.retain_mut(|running| {
            let done = match running.child.try_wait() {
                Ok(None) => return true,
                Ok(Some(status)) => status.success(),
                Err(_) => false,
            };
            if let (What::Deny(id), false) = (&running.what, done) {
                not_denied.push(id.clone());
            }
            false
        });
        for id in not_denied {
            self.inbox(Some(&id));
        }
    }

    /// In a process group of its own, so that what stops this program leaves the inbox alone.
    fn start(&mut self, mut command: Command, what: What) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        match command.spawn() {
            Ok(child) => self.running.push(Running { child, what }),
            Err(error) => say(&format!(
                "note: cannot start {}: {error}",
                command.get_program().to_string_lossy()
            )),
        }
    }
}

/// The program beside this one.
fn valetkey() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("valetkey")
}
