//! The listening sockets of the doors: passed by a service manager, taken over from the broker before, or bound here.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use thiserror::Error;
use valetkey_api::{Mode, bind};
use valetkey_sys::activation::Passed;

/// A listening socket cannot be used.
#[derive(Debug, Error)]
pub enum ListenError {
    /// What was passed is not what it should be.
    #[error("the socket `{name}` that was passed cannot be used: {why}")]
    NotUsable {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// It cannot be made.
    #[error("cannot open {}: {source}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The sockets that came from outside, and copies of those that are served, to hand on.
#[derive(Debug)]
pub(crate) struct Listeners {
    mode: Mode,
    passed: Vec<Passed>,
    /// Whether this process removes the sockets' names when it ends: not those of a manager.
    owned: bool,
    served: Vec<Served>,
}

/// A door that is served.
#[derive(Debug)]
pub(crate) struct Served {
    /// The door's name, as service managers know it.
    pub(crate) name: &'static str,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// The same listening socket once more.
    pub(crate) listener: UnixListener,
}

impl Listeners {
    /// With what a service manager passed; nothing is fine.
    pub(crate) fn passed(mode: Mode, passed: Vec<Passed>) -> Self {
        Self {
            mode,
            owned: passed.is_empty(),
            passed,
            served: Vec::new(),
        }
    }

    /// With what the broker before handed over; it had bound them itself.
    pub(crate) fn handed_over(mode: Mode, passed: Vec<Passed>) -> Self {
        Self {
            owned: true,
            ..Self::passed(mode, passed)
        }
    }

    /// Whether a broker that comes after may have them from this one: a manager keeps its own.
    pub(crate) fn can_be_handed_over(&self) -> bool {
        self.owned
    }

    /// The socket of a door: the one that was passed under this name, or a new one at `path`.
    ///
    /// # Errors
    /// When the one that was passed is not a listening stream socket at exactly this path, or none can be bound.
    pub(crate) fn take_or_bind(
        &mut self,
        name: &'static str,
        path: &Path,
    ) -> Result<UnixListener, ListenError> {
        let mut own = self.passed.extract_if(.., |passed| passed.name == name);
        let found = (own.next(), own.next());
        drop(own);
        let unusable = |why: String| ListenError::NotUsable {
            name: name.to_owned(),
            why,
        };
        let listener = match found {
            (Some(_), Some(_)) => return Err(unusable("it was passed twice".to_owned())),
            (Some(passed), None) => checked(passed, path).map_err(unusable)?,
            (None, _) => self.bind(path).map_err(|source| ListenError::Bind {
                path: path.to_path_buf(),
                source,
            })?,
        };
        let again = listener
            .try_clone()
            .map_err(|error| unusable(error.to_string()))?;
        self.served.push(Served {
            name,
            path: path.to_path_buf(),
            listener: again,
        });
        Ok(listener)
    }

    fn bind(&self, path: &Path) -> io::Result<UnixListener> {
        let listener = bind(path)?;
        if self.mode == Mode::System {
            // The group is the broker's own. Whoever is not in it cannot connect, nor even find it: the directory is closed to them.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        }
        Ok(listener)
    }

    /// Says that every door is open. What was passed and nobody serves is an error: peers would wait at it for ever.
    ///
    /// # Errors
    /// When a socket is left.
    pub(crate) fn all_taken(&self) -> Result<(), ListenError> {
        match self.passed.first() {
            None => Ok(()),
            Some(left) => Err(ListenError::NotUsable {
                name: left.name.clone(),
                why: "the broker has no door of this name, or it was not expected".to_owned(),
            }),
        }
    }

    /// The doors, to hand on.
    pub(crate) fn served(&self) -> &[Served] {
        &self.served
    }

    /// Takes the names of the sockets away that this process answers for. One that stays behind is replaced by the next broker.
    pub(crate) fn remove(&self) {
        if self.owned {
            for served in &self.served {
                drop(std::fs::remove_file(&served.path));
            }
        }
    }
}

/// The listener behind a descriptor, if it is one and lies where it must: whoever connects there must reach this broker.
fn checked(passed: Passed, path: &Path) -> Result<UnixListener, String> {
    let socket = passed.descriptor;
    let said = |error: rustix::io::Errno| error.to_string();
    if socket_domain(socket.as_fd()).map_err(said)? != AddressFamily::UNIX {
        return Err("it is not a Unix socket".to_owned());
    }
    if socket_type(socket.as_fd()).map_err(said)? != SocketType::STREAM {
        return Err("it is not a stream socket".to_owned());
    }
    if !socket_acceptconn(socket.as_fd()).map_err(said)? {
        return Err("it does not listen".to_owned());
    }
    let listener = UnixListener::from(socket);
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    if address.as_pathname() != Some(path) {
        return Err(format!(
            "it lies at {}, not at {}",
            address
                .as_pathname()
                .map_or_else(|| "no path".to_owned(), |at| at.display().to_string()),
            path.display()
        ));
    }
    listener
        .set_nonblocking(true)
        .map_err(|error| error.to_string())?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    fn with(passed: Vec<(&str, OwnedFd)>) -> Listeners {
        let passed = passed
            .into_iter()
            .map(|(name, descriptor)| Passed {
                name: name.to_owned(),
                descriptor,
            })
            .collect();
        Listeners::passed(Mode::User, passed)
    }

    #[test]
    fn what_was_passed_is_served_and_its_name_stays() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("guard.sock");
        let made = UnixListener::bind(&path).expect("bind");
        let mut listeners = with(vec![("guard", made.into())]);
        let taken = listeners.take_or_bind("guard", &path).expect("take");
        let _peer = UnixStream::connect(&path).expect("connect");
        taken.set_nonblocking(false).expect("block");
        drop(taken.accept().expect("accept"));
        listeners.all_taken().expect("nothing is left");
        listeners.remove();
        assert!(path.exists(), "the name is its manager's");
    }

    #[test]
    fn what_is_no_listening_socket_at_its_place_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("guard.sock");
        let elsewhere = UnixListener::bind(home.path().join("other.sock")).expect("bind");
        let datagram = UnixDatagram::bind(home.path().join("datagram")).expect("bind");
        let (pair, _other) = UnixStream::pair().expect("pair");
        let network = TcpListener::bind("127.0.0.1:0").expect("bind");
        let null = std::fs::File::open("/dev/null").expect("open");
        let wrong: [OwnedFd; 5] = [
            elsewhere.into(),
            datagram.into(),
            pair.into(),
            network.into(),
            null.into(),
        ];
        for descriptor in wrong {
            let mut listeners = with(vec![("guard", descriptor)]);
            let refused = listeners.take_or_bind("guard", &path);
            assert!(
                matches!(refused, Err(ListenError::NotUsable { .. })),
                "{refused:?}"
            );
            assert!(!path.exists(), "nothing is bound in its place");
        }
    }

    #[test]
    fn a_socket_that_nobody_serves_or_a_second_of_a_name_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("guard.sock");
        let made = UnixListener::bind(&path).expect("bind");
        let again = made.try_clone().expect("clone");
        let mut twice = with(vec![("guard", made.into()), ("guard", again.into())]);
        assert!(twice.take_or_bind("guard", &path).is_err());
        let left = with(vec![(
            "surprise",
            UnixListener::bind(home.path().join("s"))
                .expect("bind")
                .into(),
        )]);
        assert!(left.all_taken().is_err());
    }
}
