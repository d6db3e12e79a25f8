//! A tree of the host with a layer over it that takes every change: the kernel's overlay, without a privilege of the caller's.
//!
//! The mount is made by a child in namespaces of its own and handed over as a descriptor. It is nowhere in the caller's tree of mounts, and gone
//! with the last descriptor of it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::UnshareFlags;
use valetkey_sys::fork::{Inherit, fork};
use valetkey_sys::pass::{receive, send};

/// Bytes in which the child says what failed.
const ANSWER_BYTES_MAX: usize = 256;

/// Three directories, by absolute paths without links.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// What is changed by nobody.
    pub lower: &'a Path,
    /// What takes the changes.
    pub upper: &'a Path,
    /// An empty one beside it, for the kernel's own use.
    pub work: &'a Path,
}

/// Lays `upper` over `lower`. Gives the root of what is seen then.
///
/// # Errors
/// When the process has several threads, or the kernel does not let this user do it.
pub fn overlay(layers: Layers<'_>) -> io::Result<OwnedFd> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // Root needs no namespace of users, in which the owners of files would have to be mapped one by one.
    let flags = if uid.is_root() {
        UnshareFlags::NEWNS
    } else {
        UnshareFlags::NEWNS | UnshareFlags::NEWUSER
    };
    let paths = [layers.lower, layers.upper, layers.work].map(Path::to_path_buf);
    let handed_over = vec![theirs];
    let child = fork(
        flags,
        Inherit::HandedOver,
        handed_over,
        move |descriptors| {
            let [socket] = descriptors.as_slice() else {
                return 1;
            };
            let mapped = if uid.is_root() {
                Ok(())
            } else {
                map_itself(uid.as_raw(), gid.as_raw())
            };
            let made = mapped.and_then(|()| mount(&paths));
            let told = match made {
                Ok(root) => send(socket.as_fd(), b"mounted", &[root.as_fd()]),
                Err(error) => send(socket.as_fd(), error.to_string().as_bytes(), &[]),
            };
            u8::from(told.is_err())
        },
    )?;
    let answer = receive(ours.as_fd(), ANSWER_BYTES_MAX);
    let mut ended = [PollFd::new(&child.pidfd, PollFlags::IN)];
    while poll(&mut ended, None) == Err(rustix::io::Errno::INTR) {}
    // It has ended, whatever it says; nobody else waits for it.
    let _status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
    let (said, mut descriptors) = answer?;
    descriptors
        .pop()
        .ok_or_else(|| io::Error::other(String::from_utf8_lossy(&said).into_owned()))
}

/// One user and one group, each as itself.
fn map_itself(uid: u32, gid: u32) -> io::Result<()> {
    let write = |path: &str, text: String| {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// The kernel takes layers of this namespace of mounts alone, so that they are opened here.
fn mount(paths: &[PathBuf; 3]) -> io::Result<OwnedFd> {
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, path) in ["lowerdir", "upperdir", "workdir"].into_iter().zip(paths) {
        let layer = openat2(
            CWD,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )?;
        // By number: a path may hold what means something in this list.
        let path = format!("/proc/self/fd/{}", layer.as_raw_fd());
        fsconfig_set_string(&overlay, key, path)?;
    }
    // What the kernel notes down about the layers then needs no privilege.
    fsconfig_set_flag(&overlay, "userxattr")?;
    fsconfig_create(&overlay)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(
        &overlay,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}
