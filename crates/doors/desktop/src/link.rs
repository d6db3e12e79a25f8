//! What the two processes say to each other: one JSON object a line, over a socket pair.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The argument with which the program starts itself as the one that speaks D-Bus.
pub(crate) const SPEAKER: &str = "--speak-d-bus";
/// The longest line: a notification's text is bounded well below it.
const LINE_MAX: usize = 64 * 1024;

/// A notification, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Key(pub(crate) u64);

/// What a person can press. There is nothing here that approves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Button {
    /// Look at the question where it can be answered.
    Inbox,
    /// Refuse.
    Deny,
    /// End a lease.
    End,
}

impl Button {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Inbox, Self::Deny, Self::End];

    /// Its name on the bus.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Deny => "deny",
            Self::End => "end",
        }
    }

    /// What is written on it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Inbox => "Open inbox",
            Self::Deny => "Deny",
            Self::End => "End it now",
        }
    }
}

/// How loud a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Urgency {
    Low,
    Normal,
    Critical,
}

/// What is shown. Safe text, with no markup; line feeds are our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notice {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) urgency: Urgency,
    /// The kind, as the specification wants vendors to name theirs.
    pub(crate) category: String,
    /// For how long; as long as the desktop likes otherwise.
    pub(crate) life_ms: Option<u32>,
    pub(crate) buttons: Vec<Button>,
}

/// To the one that speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Order {
    Show(Key, Notice),
    Close(Key),
}

/// From the one that speaks. Whoever took it over can say no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Heard {
    /// It is on the bus and confined.
    Ready,
    /// Nobody shows notifications.
    Nobody,
    Pressed(Key, Button),
    /// The person closed it, or the desktop did.
    Gone(Key),
}

/// One end of the socket pair.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: UnixStream,
    buffer: Vec<u8>,
}

impl Link {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// Takes in what has come, without waiting. False at the end.
    pub(crate) fn receive(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        match rustix::net::recv(&self.stream, &mut chunk, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Ok(false),
            Ok((_, read)) => {
                self.buffer
                    .extend_from_slice(chunk.get(..read).unwrap_or_default());
                Ok(true)
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole message.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return if self.buffer.len() > LINE_MAX {
                Err(io::Error::other("a line that is too long"))
            } else {
                Ok(None)
            };
        };
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(io::Error::from)
    }
}

/// Waits until one of two sockets has something, or the time is over; says which have.
pub(crate) fn wait(
    first: &UnixStream,
    second: Option<&UnixStream>,
    ms: u64,
) -> io::Result<(bool, bool)> {
    let mut fds = vec![PollFd::new(first, PollFlags::IN)];
    fds.extend(second.map(|second| PollFd::new(second, PollFlags::IN)));
    let time = Timespec {
        tv_sec: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from((ms % 1000).saturating_mul(1_000_000)).unwrap_or(0),
    };
    match poll(&mut fds, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok((ready.next().unwrap_or(false), ready.next().unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_speaks_has_no_word_for_yes() {
        for line in [
            "\"approve\"",
            "{\"pressed\":[1,\"approve\"]}",
            "{\"pressed\":[1,\"Inbox\"]}",
            "{\"pressed\":[1,\"inbox\",\"x\"]}",
            "{\"pressed\":[-1,\"inbox\"]}",
            "{\"run\":\"xterm\"}",
        ] {
            assert!(serde_json::from_str::<Heard>(line).is_err(), "{line}");
        }
        let pressed = serde_json::from_str::<Heard>("{\"pressed\":[1,\"inbox\"]}").expect("read");
        assert_eq!(pressed, Heard::Pressed(Key(1), Button::Inbox));
    }

    #[test]
    fn lines_come_whole_and_in_order_and_too_long_ones_end_it() {
        let (one, two) = UnixStream::pair().expect("pair");
        let (mut one, mut two) = (Link::new(one), Link::new(two));
        one.send(&Heard::Ready).expect("send");
        one.send(&Heard::Gone(Key(7))).expect("send");
        assert!(two.receive().expect("receive"));
        assert_eq!(two.next::<Heard>().expect("read"), Some(Heard::Ready));
        assert_eq!(
            two.next::<Heard>().expect("read"),
            Some(Heard::Gone(Key(7)))
        );
        assert_eq!(two.next::<Heard>().expect("read"), None);
        two.buffer = vec![b'x'; LINE_MAX + 1];
        assert!(two.next::<Heard>().is_err());
        drop(one);
        assert!(!two.receive().expect("the end"));
    }
}
