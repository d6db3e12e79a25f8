//! What the broker tells, as it comes: read by a thread of its own, which rings where the other one waits.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use valetkey_api::{
    Alert, ClientError, FOLLOW_WAIT_MAX, Follow, LiveCapabilities, Paths, Review, ReviewList,
};
use valetkey_approval::Asked;
use valetkey_capability::Capability;

/// What waits and lives, and what was raised since it was told last.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) questions: Vec<Asked>,
    pub(crate) held: Vec<Capability>,
    pub(crate) reviews: Vec<Review>,
    pub(crate) alerts: Vec<Alert>,
}

/// Where news come out.
#[derive(Debug)]
pub(crate) struct Feed {
    told: Receiver<Result<Seen, ClientError>>,
    /// Has something to read when there are news.
    pub(crate) bell: UnixStream,
}

impl Feed {
    /// Follows the broker from now on.
    ///
    /// # Errors
    /// When there can be no more threads or sockets.
    pub(crate) fn start(paths: &Paths) -> io::Result<Self> {
        let (bell, ring) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ring.set_nonblocking(true)?;
        let (tell, told) = channel();
        let follow = Follow::new(paths);
        std::thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || read(follow, &tell, &ring))?;
        Ok(Self { told, bell })
    }

    /// What has come since.
    pub(crate) fn news(&mut self) -> Vec<Result<Seen, ClientError>> {
        // Emptied before the news are taken: what comes in between rings again.
        while matches!(self.bell.read(&mut [0; 64]), Ok(1..)) {}
        self.told.try_iter().collect()
    }
}

fn read(mut follow: Follow, tell: &Sender<Result<Seen, ClientError>>, mut ring: &UnixStream) {
    // What was raised and could not be told with the rest.
    let mut alerts = Vec::new();
    loop {
        if tell.send(look(&mut follow, &mut alerts)).is_err() {
            return;
        }
        // A bell that is full rings already.
        let _rings = ring.write(&[1]);
        std::thread::sleep(follow.rest());
    }
}

fn look(follow: &mut Follow, alerts: &mut Vec<Alert>) -> Result<Seen, ClientError> {
    let changes = follow.next(FOLLOW_WAIT_MAX)?;
    alerts.extend(changes.alerts);
    let live: LiveCapabilities = follow.get("/v1/capabilities")?;
    let reviews: ReviewList = follow.get("/v1/reviews")?;
    Ok(Seen {
        questions: changes.questions,
        held: live.capabilities,
        reviews: reviews.reviews,
        alerts: std::mem::take(alerts),
    })
}
