//! The profile of a cell's first process once the command runs: it waits, and passes messages on.

use super::table::calls;
use super::{Group, Otherwise, Profile};

/// The first process's profile. Anything else ends it, and with it the cell.
pub const INIT: Profile = Profile {
    name: "init",
    otherwise: Otherwise::Kill,
    allowed: &[
        Group {
            why: "wait for the guard and for children",
            calls: calls![
                SYS_ppoll SYS_read SYS_recvmsg SYS_sendmsg SYS_wait4 SYS_waitid
                SYS_restart_syscall
            ],
        },
        #[cfg(target_arch = "x86_64")]
        Group {
            why: "the older form of ppoll",
            calls: calls![SYS_poll],
        },
        Group {
            why: "pass a signal on",
            calls: calls![SYS_kill SYS_getpid],
        },
        Group {
            why: "let go of descriptors",
            calls: calls![SYS_close SYS_fcntl],
        },
        Group {
            why: "have memory (the allocator)",
            calls: calls![SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_madvise],
        },
        Group {
            why: "end",
            calls: calls![
                SYS_exit SYS_exit_group SYS_rt_sigprocmask SYS_rt_sigaction SYS_rt_sigreturn
                SYS_gettid SYS_tgkill SYS_write SYS_futex SYS_sigaltstack
            ],
        },
    ],
    refused: &[],
};
