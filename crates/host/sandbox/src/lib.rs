//! A cell: a process that the kernel holds inside what a [`CellSpec`] describes, and nothing else.
//!
//! A cell has its own user, mount, pid, network, ipc, uts and cgroup namespaces; its root is a file
//! system that the caller serves (FUSE) with read-only system directories over it; its processes
//! have no capability, cannot get one, and run under Landlock and a seccomp filter. What cannot be
//! enforced here is an error, never left out.
//!
//! Launching goes in phases, because the caller must start to serve the file system (which takes
//! threads) after the fork (which must happen while there are none):
//!
//! ```text
//! Cell::begin(&spec)       one thread only: forks pid 1 of the cell, hears what it will enforce
//!   └► .mounted()          gets the FUSE descriptors; Cell::launch(&spec) is both
//!        Launching         the caller takes view_fuse and quiet_fuse and starts serving them
//!        └► .prepare()     pid 1 builds the tree, pivots into it, gives up every privilege
//!             └► Prepared  the caller looks at the posture, the pty, the agent's listener
//!                  └► .start()   the command is executed, confined
//!                       └► Cell  events come in, signals go out
//! ```
//!
//! Call [`Cell::launch`] before the process holds any secret: pid 1 of the cell starts as a copy of
//! the caller's memory (it is not dumpable and hidden from the agent, but the copy is there).
//!
//! [`confine_worker`] and [`confine_service`] are the other entries: they take every right from a process but those to the descriptors, or
//! the directories, that it needs.
#![forbid(unsafe_code)]

mod attestor;
mod cell;
mod cgroup;
mod commands;
mod control;
mod error;
mod etc;
mod host_user;
mod init;
mod landlocked;
mod launch;
mod limits;
mod overlay;
mod posture;
pub mod seccomp;
mod service;
mod spec;
mod worker;

pub use attestor::{confine_attestor, confine_attestor_keeper};
pub use cell::{Cell, Event, Noticeboard, Prepared};
pub use commands::Commands;
pub use error::{SandboxError, Step};
pub use host_user::HostUser;
pub use launch::{Beginning, Launching};
pub use limits::{Asked as AskedLimit, Held as HeldLimits, Limit, Limits};
pub use overlay::{Layers, overlay};
pub use posture::{Foresight, Posture, Shortfall};
pub use service::{ServicePlaces, confine_service};
pub use spec::{
    CellSpec, LOCAL_PORTS_MAX, NETWORK_PORT, Root, Stdio, Terminal, can_listen_at,
    default_system_dirs, mount_points, root_links,
};
pub use worker::{WorkerLimits, confine_worker};
