//! Waiting for the end of a peer's process, by the descriptor that the kernel gives for it.

use std::future::Future;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use valetkey_api::{Peer, Problem, ProblemKind};

/// What ends with the process that is at the other end of a connection, however it ends.
///
/// # Errors
/// When it cannot be watched. Whoever cannot be is not trusted.
pub(super) fn end_of(peer: &Peer) -> Result<impl Future<Output = ()> + Send + use<>, Problem> {
    let unwatched = |error: std::io::Error| {
        Problem::new(
            ProblemKind::Unavailable,
            format!("this process cannot be watched: {error}"),
        )
    };
    let pidfd = peer
        .pidfd
        .as_ref()
        .ok_or_else(|| Problem::new(ProblemKind::Denied, "the kernel does not name this process"))?
        .try_clone()
        .map_err(unwatched)?;
    #[expect(
        deprecated,
        reason = "the replacement is unsafe; an `OwnedFd`, which stays open while it is registered, is what it asks for"
    )]
    let watched = AsyncFd::with_interest(pidfd, Interest::READABLE).map_err(unwatched)?;
    Ok(async move {
        // An error here is as good as the end: a process that cannot be watched is not trusted further.
        drop(
            watched
                .readable()
                .await
                .map(|mut ready| ready.retain_ready()),
        );
    })
}
