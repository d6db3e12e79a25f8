//! Knocking at doors of the kernel, to see whether they are closed: calls with arguments that the kernel refuses after it has let
//! the caller in, so that the answer tells whether the call can be reached, and nothing happens where it can.

use std::io;

/// A pointer to nothing that can be mapped.
const NOWHERE: libc::c_ulong = 8;
/// A descriptor, or a process, that there is none of.
const NONE: libc::c_ulong = libc::c_ulong::MAX;

/// A call that does nothing, whoever makes it.
#[derive(Debug, Clone, Copy)]
pub struct Knock {
    name: &'static str,
    number: libc::c_long,
    arguments: [libc::c_ulong; 5],
}

/// Short, for a table.
const fn knock(name: &'static str, number: libc::c_long, arguments: [libc::c_ulong; 5]) -> Knock {
    Knock {
        name,
        number,
        arguments,
    }
}

/// Every door there is to knock at. No argument is an address that is mapped, a descriptor that is open, or a request that is
/// carried out.
pub const KNOCKS: &[Knock] = &[
    knock(
        "ptrace",
        libc::SYS_ptrace,
        [libc::PTRACE_PEEKDATA as libc::c_ulong, NONE, 0, 0, 0],
    ),
    knock(
        "process_vm_readv",
        libc::SYS_process_vm_readv,
        [NONE, 0, 0, 0, 0],
    ),
    knock(
        "process_vm_writev",
        libc::SYS_process_vm_writev,
        [NONE, 0, 0, 0, 0],
    ),
    knock("pidfd_getfd", libc::SYS_pidfd_getfd, [NONE, 0, 0, 0, 0]),
    knock("kcmp", libc::SYS_kcmp, [NONE, NONE, 0, 0, 0]),
    knock(
        "process_madvise",
        libc::SYS_process_madvise,
        [NONE, NOWHERE, 1, 0, 0],
    ),
    knock("move_pages", libc::SYS_move_pages, [NONE, 0, 0, 0, 0]),
    knock("mount", libc::SYS_mount, [NOWHERE, NOWHERE, NOWHERE, 0, 0]),
    knock("umount2", libc::SYS_umount2, [NOWHERE, 0, 0, 0, 0]),
    knock(
        "pivot_root",
        libc::SYS_pivot_root,
        [NOWHERE, NOWHERE, 0, 0, 0],
    ),
    knock("open_tree", libc::SYS_open_tree, [NONE, NOWHERE, 1, 0, 0]),
    knock(
        "move_mount",
        libc::SYS_move_mount,
        [NONE, NOWHERE, NONE, NOWHERE, 0],
    ),
    knock("fsopen", libc::SYS_fsopen, [NOWHERE, 0, 0, 0, 0]),
    knock("fsmount", libc::SYS_fsmount, [NONE, 0, 0, 0, 0]),
    knock("fspick", libc::SYS_fspick, [NONE, NOWHERE, 0, 0, 0]),
    knock(
        "mount_setattr",
        libc::SYS_mount_setattr,
        [NONE, NOWHERE, 0, NOWHERE, 32],
    ),
    knock("setns", libc::SYS_setns, [NONE, 0, 0, 0, 0]),
    knock(
        "unshare",
        libc::SYS_unshare,
        [libc::CLONE_NEWUSER as libc::c_ulong | 1, 0, 0, 0, 0],
    ),
    knock("chroot", libc::SYS_chroot, [NOWHERE, 0, 0, 0, 0]),
    knock("bpf", libc::SYS_bpf, [NONE, NOWHERE, 8, 0, 0]),
    knock(
        "perf_event_open",
        libc::SYS_perf_event_open,
        [NOWHERE, 0, NONE, NONE, 0],
    ),
    knock(
        "io_uring_setup",
        libc::SYS_io_uring_setup,
        [1, NOWHERE, 0, 0, 0],
    ),
    knock("userfaultfd", libc::SYS_userfaultfd, [NONE, 0, 0, 0, 0]),
    knock("keyctl", libc::SYS_keyctl, [NONE, 0, 0, 0, 0]),
    knock("add_key", libc::SYS_add_key, [NOWHERE, NOWHERE, 0, 0, 0]),
    knock(
        "request_key",
        libc::SYS_request_key,
        [NOWHERE, NOWHERE, 0, 0, 0],
    ),
    knock("kexec_load", libc::SYS_kexec_load, [0, 0, NOWHERE, NONE, 0]),
    knock(
        "init_module",
        libc::SYS_init_module,
        [NOWHERE, 0, NOWHERE, 0, 0],
    ),
    knock(
        "finit_module",
        libc::SYS_finit_module,
        [NONE, NOWHERE, 0, 0, 0],
    ),
    knock(
        "delete_module",
        libc::SYS_delete_module,
        [NOWHERE, 0, 0, 0, 0],
    ),
    knock("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0]),
    knock("swapon", libc::SYS_swapon, [NOWHERE, 0, 0, 0, 0]),
    knock("swapoff", libc::SYS_swapoff, [NOWHERE, 0, 0, 0, 0]),
    knock("acct", libc::SYS_acct, [NOWHERE, 0, 0, 0, 0]),
    knock(
        "quotactl",
        libc::SYS_quotactl,
        [NONE, NOWHERE, 0, NOWHERE, 0],
    ),
    knock(
        "clock_settime",
        libc::SYS_clock_settime,
        [NONE, NOWHERE, 0, 0, 0],
    ),
    knock(
        "sethostname",
        libc::SYS_sethostname,
        [NOWHERE, NONE, 0, 0, 0],
    ),
    knock(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        [NONE, NOWHERE, 0, 0, 0],
    ),
    knock("fanotify_init", libc::SYS_fanotify_init, [NONE, 0, 0, 0, 0]),
    knock("syslog", libc::SYS_syslog, [10, 0, 0, 0, 0]),
    knock(
        "terminal_input",
        libc::SYS_ioctl,
        [NONE, 0x5412, NOWHERE, 0, 0],
    ),
    knock(
        "terminal_console",
        libc::SYS_ioctl,
        [NONE, 0x541c, NOWHERE, 0, 0],
    ),
    knock(
        "line_discipline",
        libc::SYS_ioctl,
        [NONE, 0x5423, NOWHERE, 0, 0],
    ),
    #[cfg(target_arch = "x86_64")]
    knock("ioperm", libc::SYS_ioperm, [NONE, 0, 0, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    knock("modify_ldt", libc::SYS_modify_ldt, [1, NOWHERE, 0, 0, 0]),
    // The number of `getpid` in the x32 form.
    #[cfg(target_arch = "x86_64")]
    knock("x32", 0x4000_0000 | libc::SYS_getpid, [0, 0, 0, 0, 0]),
];

impl Knock {
    /// The call's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Makes the call.
    ///
    /// # Errors
    /// The kernel's answer. `EPERM`, `ENOSYS` and `EACCES`: the door is closed. Anything else, and no error: it was let in.
    pub fn make(&self) -> io::Result<()> {
        let [a, b, c, d, e] = self.arguments;
        // SAFETY: calls and arguments are those of the table above alone. No pointer in it can be mapped (it lies in the first
        // page), no descriptor or process has these numbers, and no request is one, so the kernel touches no memory of ours.
        let result = unsafe { libc::syscall(self.number, a, b, c, d, e) };
        crate::checked_long(result).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_knock_has_its_own_name_and_does_nothing() {
        let mut names: Vec<_> = KNOCKS.iter().map(Knock::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KNOCKS.len());
        for knock in KNOCKS {
            let answer = knock.make();
            // What may be asked freely answers with a size or a number; all else is refused for its arguments, one of them (`modify_ldt`)
            // with an error that is cut to 32 bits on its way out of the kernel.
            let harmless = ["syslog", "x32", "modify_ldt"].contains(&knock.name());
            assert!(answer.is_err() || harmless, "{} was done", knock.name());
        }
    }
}
