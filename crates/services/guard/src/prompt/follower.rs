//! Follows what is open while the prompt shows or expects a question: a thread of its own, since each call of the door waits until something is new.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};

use valetkey_api::{FOLLOW_WAIT_MAX, Follow, Paths};

use super::clerk::Order;

/// Follows the operator door, or rests.
#[derive(Debug)]
pub(super) struct Follower {
    begin: SyncSender<()>,
    is_wanted: Arc<AtomicBool>,
}

impl Follower {
    /// Starts the thread. It asks nothing yet.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn start(paths: &Paths, orders: Sender<Order>) -> io::Result<Self> {
        let (begin, begun) = sync_channel(1);
        let is_wanted = Arc::new(AtomicBool::new(false));
        let (wanted, follow) = (Arc::clone(&is_wanted), Follow::new(paths));
        std::thread::Builder::new()
            .name("follower".to_owned())
            .spawn(move || run(follow, &begun, &wanted, &orders))?;
        Ok(Self { begin, is_wanted })
    }

    /// Follows from now on, or no longer after the call that is under way.
    pub(super) fn follow(&self, is_wanted: bool) {
        let was_wanted = self.is_wanted.swap(is_wanted, Ordering::AcqRel);
        if is_wanted && !was_wanted {
            // One that is there already will be heard.
            let _begins = self.begin.try_send(());
        }
    }
}

fn run(mut follow: Follow, begun: &Receiver<()>, wanted: &AtomicBool, orders: &Sender<Order>) {
    while begun.recv().is_ok() {
        while wanted.load(Ordering::Acquire) {
            // A broker that does not answer now may do so later; what is shown closes in its time anyway.
            if let Ok(changes) = follow.next(FOLLOW_WAIT_MAX)
                && orders.send(Order::Open(changes.questions)).is_err()
            {
                return;
            }
            std::thread::sleep(follow.rest());
        }
    }
}
