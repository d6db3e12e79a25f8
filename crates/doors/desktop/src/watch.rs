//! The person's side: asks the broker what waits, tells the other process what to show, and does what was pressed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use valetkey_api::{Client, ClientError, Paths, Revoke, Revoked};
use valetkey_model::{CapabilityId, Timestamp};

use crate::board::{Board, Effect};
use crate::fail::Fail;
use crate::feed::{Feed, Seen};
use crate::link::{Heard, Link, Order, SPEAKER, wait};
use crate::opener::Opener;
use crate::say;

/// The longest that nothing is looked at, such as for a clock that was set.
const LOOK_MS: u64 = 60_000;
/// How often a refusal that was started is looked after: one that fails opens the inbox.
const DENYING_MS: u64 = 100;
/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the other process may leave its orders unread.
const SPEAKER_PATIENCE: Duration = Duration::from_secs(10);
/// The first wait before the other process is started again, doubled with each time that it ends without having been ready.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How often it is started without ever being ready, before this ends too: the desktop session is over.
const RETRIES: u32 = 6;

/// Runs until it is stopped, or there is no session bus any more.
pub(crate) fn run() -> Result<(), Fail> {
    let paths = Paths::from_env().map_err(Fail::new)?;
    paths.create().map_err(Fail::new)?;
    let _lock = only_one(&paths)?;
    let home = valetkey_sys::account::by_uid(rustix::process::geteuid().as_raw()).home;
    let mut watch = Watch {
        paths,
        board: Board::new(Some(home)),
        opener: Opener::default(),
        feed: None,
        seen: None,
        said_nobody: false,
        said_broken: false,
    };
    let mut failed = 0;
    loop {
        match watch.with_speaker()? {
            Ended::Ready => failed = 0,
            // What it wrote to standard error says why.
            Ended::Never(status) if failed == 0 && !watch.was_ready() => {
                return Err(Fail::ended(status));
            }
            Ended::Never(_) if failed >= RETRIES => {
                return Err(Fail::new("the session bus is gone")
                    .hinted("start it again in a desktop session"));
            }
            Ended::Never(_) => failed = failed.saturating_add(1),
        }
        std::thread::sleep(RETRY_FIRST.saturating_mul(1 << failed.min(RETRIES)));
    }
}

/// The lock of this home: two would show everything twice.
fn only_one(paths: &Paths) -> Result<File, Fail> {
    let path = paths.config.join("desktop.lock");
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(&path)
        .map_err(|error| Fail::new(format_args!("cannot open {}: {error}", path.display())))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Fail::new(
            "notifications of this home are shown already, by another valetkey-desktop",
        )
        .hinted("stop that one first (`systemctl --user stop valetkey-desktop`)")),
        Err(error) => Err(Fail::new(format_args!(
            "cannot lock {}: {error}",
            path.display()
        ))),
    }
}

/// How the other process ended.
enum Ended {
    /// After it had been ready.
    Ready,
    /// Without, and with this status.
    Never(u8),
}

struct Watch {
    paths: Paths,
    board: Board,
    opener: Opener,
    /// The broker is followed once the other process was ready.
    feed: Option<Feed>,
    /// What it told last; nothing while it does not answer.
    seen: Option<Seen>,
    /// Whether it was said that nobody shows notifications.
    said_nobody: bool,
    /// Whether it was said that the broker's answers cannot be used.
    said_broken: bool,
}

impl Watch {
    /// Whether the other process has ever been ready: only then is the broker asked.
    fn was_ready(&self) -> bool {
        self.feed.is_some()
    }

    /// Starts the process that speaks D-Bus, and serves it until it ends.
    fn with_speaker(&mut self) -> Result<Ended, Fail> {
        let (ours, theirs) = UnixStream::pair().map_err(Fail::new)?;
        ours.set_write_timeout(Some(SPEAKER_PATIENCE))
            .map_err(Fail::new)?;
        let mut speaker = start(theirs)?;
        let mut link = Link::new(ours);
        self.board.forget_shown();
        // What ends the connection ends the process: it is started anew, and shows everything again.
        let ready = self.serve(&mut link);
        drop(link);
        let status = speaker.wait().map_err(Fail::new)?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(if ready {
            Ended::Ready
        } else {
            Ended::Never(code.filter(|code| *code != 0).unwrap_or(1))
        })
    }

    /// Says whether it ever was ready.
    fn serve(&mut self, link: &mut Link) -> bool {
        let mut ready = false;
        loop {
            let bell = self.feed.as_ref().map(|feed| &feed.bell);
            let Ok((told, rung)) = wait(&link.stream, bell, self.rest_ms()) else {
                return ready;
            };
            if told && !matches!(link.receive(), Ok(true)) {
                return ready;
            }
            loop {
                match link.next::<Heard>() {
                    Ok(Some(Heard::Ready)) => ready = true,
                    // Told again with each question that nobody shows; said once.
                    Ok(Some(Heard::Nobody)) if self.said_nobody => {}
                    Ok(Some(Heard::Nobody)) => {
                        self.said_nobody = true;
                        say(
                            "note: nothing on this desktop shows notifications; `valetkey requests` shows the questions",
                        );
                    }
                    Ok(Some(heard)) => self.act(heard),
                    Ok(None) => break,
                    Err(_) => return ready,
                }
            }
            self.opener.reap();
            if !ready {
                continue;
            }
            if self.feed.is_none() {
                match Feed::start(&self.paths) {
                    Ok(feed) => self.feed = Some(feed),
                    Err(error) => {
                        say(&format!("note: the broker cannot be followed: {error}"));
                        return false;
                    }
                }
            }
            if rung {
                self.hear();
            }
            let orders = self.show();
            if orders.iter().any(|order| link.send(order).is_err()) {
                return ready;
            }
        }
    }

    /// Until something changes by itself: a question or a lease ends, or a refusal that was started.
    fn rest_ms(&self) -> u64 {
        let now = now();
        let ends = self.seen.iter().flat_map(|seen| {
            let questions = seen.questions.iter().map(|asked| asked.expires_at);
            questions.chain(seen.held.iter().map(|held| held.expires_at))
        });
        let next = ends.filter(|end| *end > now).min();
        let next = next.map_or(LOOK_MS, |end| end.ms_since(now).saturating_add(1));
        let most = if self.opener.is_denying() {
            DENYING_MS
        } else {
            LOOK_MS
        };
        next.min(most)
    }

    /// Takes in what the broker told.
    fn hear(&mut self) {
        let news = self.feed.as_mut().map(Feed::news).unwrap_or_default();
        for told in news {
            match told {
                Ok(seen) => {
                    self.said_broken = false;
                    self.board.told(&seen.alerts, &seen.reviews);
                    self.seen = Some(seen);
                }
                Err(error) => {
                    let is_away = matches!(error, ClientError::Unreachable { .. });
                    // A broker that is not there yet, or was stopped, is nothing to tell of.
                    if !is_away && !std::mem::replace(&mut self.said_broken, true) {
                        say(&format!(
                            "note: the broker does not tell what waits: {error}"
                        ));
                    }
                    self.seen = None;
                }
            }
        }
    }

    /// What has to change on the desktop. Without a broker nothing waits and nothing lives.
    fn show(&mut self) -> Vec<Order> {
        match &self.seen {
            Some(seen) => self.board.update(&seen.questions, &seen.held, now()),
            None => self.board.clear(),
        }
    }

    fn act(&mut self, heard: Heard) {
        match self.board.heard(heard) {
            Some(Effect::Inbox(on)) => self.opener.inbox(on.as_ref()),
            Some(Effect::Deny(id, digest)) => self.opener.deny(&id, &digest),
            Some(Effect::End(id)) => self.end(id),
            None => {}
        }
    }

    /// Ends a lease. One that is gone by now needs no ending.
    fn end(&self, id: CapabilityId) {
        let revoke = || -> Result<Revoked, ClientError> {
            let mut operator = Client::connect(&self.paths.operator_socket())?;
            operator.set_timeout(Some(PATIENCE))?;
            operator.post("/v1/revocations", &Revoke::Capability(id.clone()))
        };
        match revoke() {
            Ok(_) => {}
            Err(ClientError::Problem(problem)) => {
                say(&format!("note: {id} was not ended: {}", problem.detail));
            }
            Err(error) => {
                say(&format!(
                    "note: {id} was not ended: {error}\n  next: `valetkey caps revoke {id}`"
                ));
            }
        }
    }
}

/// The same program as the one that speaks D-Bus, out of reach of what is typed at this one's terminal: it ends with this one, after it has
/// taken its notifications away.
fn start(theirs: UnixStream) -> Result<Child, Fail> {
    let cannot = |error: io::Error| {
        Fail::new(format_args!(
            "cannot start the process that speaks D-Bus: {error}"
        ))
    };
    Command::new("/proc/self/exe")
        .arg(SPEAKER)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(cannot)
}

/// By this machine's clock; the broker's own decides.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
