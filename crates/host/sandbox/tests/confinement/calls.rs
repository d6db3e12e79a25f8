//! System calls from a cell, made by programs of one call each: what the agent is refused, with the
//! error that the profile names, and that the same call outside a cell gets another answer.
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::machine_code::{foreign_program, one_call};
use crate::support::{As, cell, everybody, shared};

/// Whether a call can be made on the host to see that the test would notice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// It does no harm there, and is answered otherwise.
    Differs,
    /// It could do harm, or is answered alike.
    Unseen,
}
use Outside::{Differs, Unseen};

fn number(call: libc::c_long) -> u64 {
    u64::try_from(call).expect("number")
}

const fn flag(flag: i32) -> u64 {
    flag.unsigned_abs() as u64
}

/// No argument matters.
const NONE: [u64; 6] = [0; 6];
/// The flags of a call that makes a process.
const PROCESS: u64 = flag(libc::SIGCHLD);

/// The arguments of `ioctl` on standard input.
const fn ask(request: u64) -> [u64; 6] {
    [0, request, 0, 0, 0, 0]
}

/// The arguments of `socket`.
const fn open(family: u64, kind: u64, protocol: u64) -> [u64; 6] {
    [family, kind, protocol, 0, 0, 0]
}

/// A name, the call, its arguments, the error that a cell answers, and the host's answer.
type Probe = (&'static str, libc::c_long, [u64; 6], i32, Outside);

/// Calls that reach for another process, a mount, the kernel or the machine.
const ADMINISTRATION: &[Probe] = &[
    (
        "ptrace-traceme",
        libc::SYS_ptrace,
        NONE,
        libc::EPERM,
        Differs,
    ),
    (
        "process-vm-readv",
        libc::SYS_process_vm_readv,
        [1, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "kcmp",
        libc::SYS_kcmp,
        [1, 1, 99, 0, 0, 0],
        libc::EPERM,
        Unseen,
    ),
    (
        "pidfd-getfd",
        libc::SYS_pidfd_getfd,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    ("mount", libc::SYS_mount, NONE, libc::EPERM, Differs),
    ("umount", libc::SYS_umount2, NONE, libc::EPERM, Differs),
    (
        "pivot-root",
        libc::SYS_pivot_root,
        NONE,
        libc::EPERM,
        Differs,
    ),
    ("chroot", libc::SYS_chroot, NONE, libc::EPERM, Differs),
    (
        "open-tree",
        libc::SYS_open_tree,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "move-mount",
        libc::SYS_move_mount,
        [99, 0, 99, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    ("fsopen", libc::SYS_fsopen, NONE, libc::EPERM, Differs),
    (
        "mount-setattr",
        libc::SYS_mount_setattr,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "setns",
        libc::SYS_setns,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "by-handle",
        libc::SYS_open_by_handle_at,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "to-handle",
        libc::SYS_name_to_handle_at,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "fanotify",
        libc::SYS_fanotify_init,
        [u64::MAX, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "bpf",
        libc::SYS_bpf,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "perf",
        libc::SYS_perf_event_open,
        NONE,
        libc::EPERM,
        Differs,
    ),
    (
        "userfaultfd",
        libc::SYS_userfaultfd,
        [1, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "keyctl",
        libc::SYS_keyctl,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    ("add-key", libc::SYS_add_key, NONE, libc::EPERM, Differs),
    (
        "request-key",
        libc::SYS_request_key,
        NONE,
        libc::EPERM,
        Differs,
    ),
    (
        "syslog",
        libc::SYS_syslog,
        [99, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "init-module",
        libc::SYS_init_module,
        NONE,
        libc::EPERM,
        Unseen,
    ),
    ("kexec", libc::SYS_kexec_load, NONE, libc::EPERM, Unseen),
    ("reboot", libc::SYS_reboot, NONE, libc::EPERM, Unseen),
    ("swapon", libc::SYS_swapon, NONE, libc::EPERM, Unseen),
    ("acct", libc::SYS_acct, NONE, libc::EPERM, Unseen),
    (
        "settimeofday",
        libc::SYS_settimeofday,
        NONE,
        libc::EPERM,
        Unseen,
    ),
    (
        "iopl",
        libc::SYS_iopl,
        [3, 0, 0, 0, 0, 0],
        libc::EPERM,
        Unseen,
    ),
    (
        "io-uring",
        libc::SYS_io_uring_setup,
        NONE,
        libc::ENOSYS,
        Differs,
    ),
    ("clone3", libc::SYS_clone3, NONE, libc::ENOSYS, Differs),
    ("unheard-of", 0x7fff, NONE, libc::ENOSYS, Unseen),
    ("x32-getpid", 0x4000_0027, NONE, libc::ENOSYS, Unseen),
];

/// Calls that are allowed but for certain arguments.
const ARGUMENTS: &[Probe] = &[
    (
        "new-user",
        libc::SYS_unshare,
        [flag(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "new-mounts",
        libc::SYS_unshare,
        [flag(libc::CLONE_NEWNS), 0, 0, 0, 0, 0],
        libc::EPERM,
        Unseen,
    ),
    (
        "new-time",
        libc::SYS_unshare,
        [flag(libc::CLONE_NEWTIME), 0, 0, 0, 0, 0],
        libc::EPERM,
        Unseen,
    ),
    (
        "clone-user",
        libc::SYS_clone,
        [flag(libc::CLONE_NEWUSER) | PROCESS, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "clone-pid",
        libc::SYS_clone,
        [flag(libc::CLONE_NEWPID) | PROCESS, 0, 0, 0, 0, 0],
        libc::EPERM,
        Unseen,
    ),
    (
        "tiocsti",
        libc::SYS_ioctl,
        ask(0x5412),
        libc::EPERM,
        Differs,
    ),
    (
        "tiocsti-high",
        libc::SYS_ioctl,
        ask(0xdead_beef_0000_5412),
        libc::EPERM,
        Differs,
    ),
    (
        "tioclinux",
        libc::SYS_ioctl,
        ask(0x541c),
        libc::EPERM,
        Differs,
    ),
    (
        "tiocsetd",
        libc::SYS_ioctl,
        ask(0x5423),
        libc::EPERM,
        Differs,
    ),
    (
        "af-alg",
        libc::SYS_socket,
        open(38, 5, 0),
        libc::EAFNOSUPPORT,
        Unseen,
    ),
    (
        "af-vsock",
        libc::SYS_socket,
        open(40, 1, 0),
        libc::EAFNOSUPPORT,
        Unseen,
    ),
    (
        "af-packet",
        libc::SYS_socket,
        open(17, 3, 0),
        libc::EAFNOSUPPORT,
        Unseen,
    ),
    (
        "af-netlink-audit",
        libc::SYS_socket,
        open(16, 3, 9),
        libc::EPROTONOSUPPORT,
        Unseen,
    ),
    ("raw", libc::SYS_socket, open(2, 3, 1), libc::EPERM, Unseen),
    (
        "personality",
        libc::SYS_personality,
        [0x40_0000, 0, 0, 0, 0, 0],
        libc::EPERM,
        Differs,
    ),
    (
        "set-mm",
        libc::SYS_prctl,
        [35, 0, 0, 0, 0, 0],
        libc::EPERM,
        Unseen,
    ),
];

fn check(probes: &[Probe]) {
    let directory = shared().to_str().expect("path");
    for (name, call, arguments, errno, outside) in probes.iter().copied() {
        let program = one_call(name, number(call), arguments);
        let program = program.to_str().expect("path");
        for who in everybody() {
            let output = cell(who, &["--bind", directory, "--", program])
                .output()
                .expect("run");
            assert_eq!(
                output.status.code(),
                Some(errno),
                "{name} as {who:?}: {output:?}"
            );
        }
        // An ordinary user is refused much of it anyway.
        if outside == Differs && rustix::process::geteuid().is_root() {
            let status = Command::new(program).status().expect("run");
            assert_ne!(status.code(), Some(errno), "{name} outside");
        }
    }
}

#[test]
fn administration_is_refused() {
    check(ADMINISTRATION);
}

#[test]
fn dangerous_arguments_are_refused() {
    check(ARGUMENTS);
}

#[test]
fn what_is_allowed_is_not_refused_by_accident() {
    let directory = shared().to_str().expect("path");
    for (name, call, arguments) in [
        ("ok-getpid", libc::SYS_getpid, [0; 6]),
        (
            "ok-unshare-files",
            libc::SYS_unshare,
            [flag(libc::CLONE_FILES), 0, 0, 0, 0, 0],
        ),
        ("ok-socket", libc::SYS_socket, [2, 1, 0, 0, 0, 0]),
        (
            "ok-netlink-route",
            libc::SYS_socket,
            [16, 3 | 0x8_0000, 0, 0, 0, 0],
        ),
        (
            "ok-personality",
            libc::SYS_personality,
            [0xffff_ffff, 0, 0, 0, 0, 0],
        ),
    ] {
        let program = one_call(name, number(call), arguments);
        let output = cell(
            As::Me,
            &["--bind", directory, "--", program.to_str().expect("path")],
        )
        .output()
        .expect("run");
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
    }
}

#[test]
fn a_foreign_architecture_is_killed() {
    let program = foreign_program();
    match Command::new(&program).status() {
        Ok(status) if status.code() == Some(42) => {}
        other => {
            eprintln!("skipped: this kernel runs no 32-bit programs: {other:?}");
            return;
        }
    }
    let directory = shared().to_str().expect("path");
    let output = cell(
        As::Me,
        &["--bind", directory, "--", program.to_str().expect("path")],
    )
    .output();
    assert_eq!(output.expect("run").status.code(), Some(128 + libc::SIGSYS));
}

#[test]
fn a_signal_number_is_not_mistaken_for_a_status() {
    let output = cell(As::Me, &["--", "sh", "-c", "kill -SEGV $$"])
        .output()
        .expect("run");
    assert_eq!(output.status.signal(), None);
    assert_eq!(output.status.code(), Some(128 + libc::SIGSEGV));
}
