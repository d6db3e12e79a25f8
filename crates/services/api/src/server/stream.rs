//! A connection's bytes, with the times that a peer has for them: a head that drips in and an answer that nobody reads end it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep};

use super::Limits;
use super::phase::Phase;
use super::table::Place;

/// A stream that tells its place what it is doing and gives up on a peer that is too slow.
#[derive(Debug)]
pub(super) struct Timed {
    stream: UnixStream,
    place: Arc<Place>,
    head_time: Duration,
    read_time: Duration,
    /// By when the head must be there.
    head_by: Option<Pin<Box<Sleep>>>,
    /// By when everything written must be taken. It is not put off by a peer that takes a little.
    taken_by: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    pub(super) fn new(stream: UnixStream, place: Arc<Place>, limits: &Limits) -> Self {
        Self {
            stream,
            place,
            head_time: limits.head_time,
            read_time: limits.read_time,
            head_by: None,
            taken_by: None,
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        match this.place.doing.phase() {
            // The first byte of a head.
            Phase::Idle if read.is_ready() && buffer.filled().len() > before => {
                this.place.doing.set(Phase::Head);
                this.head_by = None;
            }
            Phase::Head if read.is_pending() => {
                let by = this
                    .head_by
                    .get_or_insert_with(|| Box::pin(sleep(this.head_time)));
                ready!(by.as_mut().poll(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Phase::Idle | Phase::Head => {}
            Phase::Body | Phase::Handling | Phase::Writing => this.head_by = None,
        }
        read
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let wrote = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.still_in_time(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.still_in_time(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when there is nothing more to write: everything has been taken.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        this.taken_by = None;
        if this.place.doing.phase() == Phase::Writing {
            this.place.doing.set(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Timed {
    fn still_in_time(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            return wrote;
        }
        let by = self
            .taken_by
            .get_or_insert_with(|| Box::pin(sleep(self.read_time)));
        ready!(by.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
