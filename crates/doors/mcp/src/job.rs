//! Calls that take their time: progress while they run, and a handle to come back with before a client gives up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

/// Calls at once, those that wait for a person included: each has a thread.
pub(crate) const CALLS_MAX: usize = 32;
/// How long a call is waited for: the least patient client known gives up after 60 s.
const PATIENCE: Duration = Duration::from_secs(50);
/// How often a client that wants to know hears that a call goes on.
const PROGRESS: Duration = Duration::from_secs(10);

const _: () = assert!(
    PROGRESS.as_secs() < PATIENCE.as_secs(),
    "progress is told before the wait is over"
);

/// What a call will have become.
pub(crate) type Running = JoinHandle<CallToolResult>;

/// The calls that nobody has had the end of.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    waiting: BTreeMap<u64, Running>,
}

/// Whoever wants to hear of progress.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) peer: Peer<RoleServer>,
    pub(crate) token: Option<ProgressToken>,
}

impl Jobs {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        let mut kept = self.lock();
        // Whoever never came back for an end does not want it.
        if kept.waiting.len() >= CALLS_MAX {
            kept.waiting.retain(|_, running| !running.is_finished());
        }
        kept.waiting.len() < CALLS_MAX
    }

    /// Takes out the call that a handle names.
    pub(crate) fn take(&self, handle: &str) -> Option<Running> {
        let number = handle.strip_prefix("call-")?.parse().ok()?;
        self.lock().waiting.remove(&number)
    }

    /// Waits for a call as long as a client does; what is not done then is kept under a handle.
    pub(crate) async fn attend(
        &self,
        mut running: Running,
        listener: &Listener,
        patience: Duration,
    ) -> CallToolResult {
        let patience = patience.min(PATIENCE);
        let mut over = std::pin::pin!(sleep(patience));
        let first = Instant::now()
            .checked_add(PROGRESS)
            .unwrap_or_else(Instant::now);
        let mut ticks = interval_at(first, PROGRESS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0_u32;
        loop {
            tokio::select! {
                ended = &mut running => {
                    return ended.unwrap_or_else(|_| refusal("the call failed within the server"));
                }
                () = &mut over => break,
                _ = ticks.tick() => {
                    told = told.saturating_add(1);
                    listener.tell(told).await;
                }
            }
        }
        let handle = self.keep(running);
        pending(&handle)
    }

    fn keep(&self, running: Running) -> String {
        let mut kept = self.lock();
        kept.last = kept.last.saturating_add(1);
        let number = kept.last;
        kept.waiting.insert(number, running);
        format!("call-{number}")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    async fn tell(&self, told: u32) {
        let Some(token) = self.token.clone() else {
            return;
        };
        let mut progress = ProgressNotificationParam::new(token, f64::from(told));
        progress.message = Some("still waiting, most likely for a person's answer".to_owned());
        // A client that does not listen hears nothing; the call goes on.
        drop(self.peer.notify_progress(progress).await);
    }
}

fn pending(handle: &str) -> CallToolResult {
    let text = format!(
        "Pending: this is not done yet, most likely because a person is being asked. Call `await_result` with {{\"handle\":\"{handle}\"}} to go on waiting. Do not repeat the call: it goes on by itself."
    );
    let mut result = CallToolResult::success(vec![ContentBlock::text(text.clone())]);
    result.structured_content = Some(json!({"content": text, "pending": true, "handle": handle}));
    result
}

/// A result that says no.
pub(crate) fn refusal(text: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
