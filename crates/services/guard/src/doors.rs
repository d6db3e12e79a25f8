//! The doors of the cell: each is opened when somebody knocks, since most commands never do, and threads and runtimes take their time.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use valetkey_sandbox::Cell;
use valetkey_view::Keeper;

use crate::desk::Desk;
use crate::document::Documents;
use crate::door::{self, AgentDoor};
use crate::error::RunError;
use crate::network;

/// Doors that nobody has come to yet.
pub(crate) struct Doors {
    desk: Arc<Desk>,
    hidden: Vec<PathBuf>,
    keeper: Option<Arc<dyn Keeper>>,
    agent: Option<OwnedFd>,
    network: Option<OwnedFd>,
    /// The listeners of local ports, served with the network's.
    local: Vec<(u16, OwnedFd)>,
}

impl Doors {
    /// The doors of `cell`. Whoever comes waits at the listener until it is served.
    pub(crate) fn of(
        cell: &Cell,
        desk: &Arc<Desk>,
        hidden: Vec<PathBuf>,
        keeper: Option<Arc<dyn Keeper>>,
    ) -> io::Result<Self> {
        let local = cell.local_listeners.iter();
        let local = local.map(|(port, listener)| Ok((*port, listener.try_clone()?)));
        Ok(Self {
            local: local.collect::<io::Result<_>>()?,
            desk: Arc::clone(desk),
            hidden,
            keeper,
            agent: Some(cell.agent_listener.try_clone()?),
            network: Some(cell.network_listener.try_clone()?),
        })
    }

    /// The listeners to wait at.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let local = self.local.iter().map(|(_, listener)| listener);
        let listeners = self.agent.iter().chain(&self.network).chain(local);
        listeners.map(|listener| listener.as_fd())
    }

    /// Opens the doors at which somebody stands; `knocked` says so of each listener, in the order of [`Doors::waiting`].
    ///
    /// # Errors
    /// When a thread or its runtime cannot be started.
    pub(crate) fn answer(&mut self, knocked: &[bool]) -> Result<(), RunError> {
        let system =
            |what: &'static str| move |source: io::Error| RunError::System { what, source };
        let mut knocked = knocked.iter().copied();
        if self.agent.is_some()
            && knocked.next() == Some(true)
            && let Some(listener) = self.agent.take()
        {
            let desk = Arc::clone(&self.desk);
            let hidden = std::mem::take(&mut self.hidden);
            let documents = Documents::new(Arc::clone(&desk), hidden, self.keeper.take());
            let documents = Arc::new(documents);
            door::open(listener, AgentDoor { desk, documents })
                .map_err(system("open the agent door"))?;
        }
        if self.network.is_some()
            && knocked.any(|knocked| knocked)
            && let Some(listener) = self.network.take()
        {
            let local = std::mem::take(&mut self.local);
            network::open(&listener, &local, &self.desk)
                .map_err(system("open the network door"))?;
        }
        Ok(())
    }
}
