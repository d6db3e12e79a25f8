//! Telling a service manager how the broker stands (`sd_notify(3)`), over a socket that is connected before the broker gives up its rights.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The manager's socket, if there is a manager.
#[derive(Debug)]
pub(crate) struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// Connects to what `NOTIFY_SOCKET` names. A manager that cannot be reached will say so itself, by its time-out.
    pub(crate) fn from_env() -> Self {
        let connected = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address.ok()?).ok()?;
            // A manager that does not read must not hold the broker up.
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        });
        Self(connected)
    }

    /// The doors are open.
    pub(crate) fn ready(&self) {
        self.say("READY=1\nSTATUS=the doors are open");
    }

    /// The broker is ending.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=ending");
    }

    fn say(&self, what: &str) {
        if let Some(socket) = &self.0 {
            // Whoever does not hear it waits for the process itself.
            drop(socket.send(what.as_bytes()));
        }
    }
}
