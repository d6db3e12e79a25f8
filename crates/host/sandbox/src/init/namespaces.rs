//! Settling into the new namespaces: who one is, how one ends, what the host no longer sees.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, Uid};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit, setsid, umask,
};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use valetkey_sys::network::bring_loopback_up;
use valetkey_sys::privilege::join_new_session_keyring;

use super::Plan;
use crate::error::{AtStep, Fault, Step};
use crate::etc::HOST_NAME;
use crate::host_user::HostUser;
use crate::limits::Held as HeldLimits;
use crate::posture::Foresight;

/// Processes and threads of a cell: more than builds and browsers have, far less than a machine's.
const PROCESSES_MAX: u64 = 16_384;
/// Connections that wait to be taken.
const NETWORK_BACKLOG: i32 = 128;
/// The kinds of namespace of which there may be no more: the kernel counts them for each user.
const LIMITED_KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// First things in the new namespaces. Answers the guard's umask, which the command gets back.
pub(super) fn settle(plan: &Plan<'_>, host_user: HostUser) -> Result<Mode, Fault> {
    end_with_guard()?;
    if host_user != HostUser::Throwaway {
        // A process that is not dumpable may not write its own maps, and the guard may not be.
        set_dumpable_behavior(DumpableBehavior::Dumpable).at(Step::MapUser, "dumpable")?;
        // The host's ids were read before the fork: in here they are unmapped still.
        map_user(0, plan.host_uid, 0, plan.host_gid)?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::MapUser, "dumpable")?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .at(Step::CutPropagation, "")?;
    setsid().at(Step::BindLife, "session")?;
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
        .at(Step::Loopback, "socket")?;
    bring_loopback_up(socket.as_fd()).at(Step::Loopback, "")?;
    rustix::system::sethostname(HOST_NAME.as_bytes()).at(Step::NameHost, "")?;
    rustix::thread::set_name(c"cell").at(Step::NameHost, "")?;
    limit_processes()?;
    Ok(umask(Mode::from_raw_mode(0o022)))
}

/// Becomes the one user and group that the guard mapped, and leaves every other group. Until now this process was the guard's user,
/// who reaches what is to be taken from the host; every capability in the new namespaces stays.
pub(super) fn become_throwaway() -> Result<(), Fault> {
    set_thread_groups(&[]).at(Step::MapUser, "groups")?;
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    set_thread_res_gid(group, group, group).at(Step::MapUser, "group")?;
    set_thread_res_uid(user, user, user).at(Step::MapUser, "user")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::MapUser, "dumpable")?;
    // A change of user forgets it.
    end_with_guard()
}

/// What this cell will enforce.
pub(super) fn foresee(plan: &Plan<'_>, host_user: HostUser) -> Foresight {
    Foresight {
        kernel: kernel(),
        landlock_abi: plan.version.number(),
        namespaces_frozen: can_freeze(),
        own_keyring: join_new_session_keyring().is_ok(),
        host_user,
        limits: HeldLimits::default(),
    }
}

/// Listens on the cell's own loopback interface for connections that want out. Whoever holds the listener serves it from outside.
pub(super) fn listen_at(port: u16) -> Result<OwnedFd, Fault> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .at(Step::NetworkSocket, "socket")?;
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    bind(&socket, &address).at(Step::NetworkSocket, address)?;
    listen(&socket, NETWORK_BACKLOG).at(Step::NetworkSocket, address)?;
    Ok(socket)
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    let name = rustix::system::uname();
    name.release().to_string_lossy().into_owned()
}

/// Limits processes and threads, before the namespace is made in which the agent's are counted: the kernel takes the limit for the
/// whole of it then, whoever in it would raise their own.
fn limit_processes() -> Result<(), Fault> {
    let most = [getrlimit(Resource::Nproc).maximum, Some(PROCESSES_MAX)];
    let most = most.into_iter().flatten().min();
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nproc, limit).at(Step::DropPrivilege, "number of processes")
}

/// Whether [`freeze`] will be let.
fn can_freeze() -> bool {
    LIMITED_KINDS.iter().all(|kind| {
        let path = format!("/proc/sys/user/max_{kind}_namespaces");
        fs::OpenOptions::new().write(true).open(path).is_ok()
    })
}

/// Asks the kernel to kill this process when the guard ends. A change of credentials forgets it, so
/// it is asked for again after each.
pub(super) fn end_with_guard() -> Result<(), Fault> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Step::BindLife, "")
}

/// Maps one user and one group of the namespace outside into this one.
pub(super) fn map_user(
    inside_uid: u32,
    outside_uid: u32,
    inside_gid: u32,
    outside_gid: u32,
) -> Result<(), Fault> {
    let write = |path: &str, text: String| {
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .at(Step::MapUser, path)
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write(
        "/proc/self/uid_map",
        format!("{inside_uid} {outside_uid} 1"),
    )?;
    write(
        "/proc/self/gid_map",
        format!("{inside_gid} {outside_gid} 1"),
    )
}

/// Lets the kernel itself refuse any further namespace, whatever the filter says: none of any kind,
/// and of user namespaces only the one that the cell itself enters next. Answers whether all of it
/// took; a kernel may lack a kind.
pub(super) fn freeze() -> bool {
    LIMITED_KINDS.iter().fold(true, |all, kind| {
        let most = if *kind == "user" { "1" } else { "0" };
        let path = format!("/proc/sys/user/max_{kind}_namespaces");
        let set = fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, most.as_bytes()));
        all & set.is_ok()
    })
}
