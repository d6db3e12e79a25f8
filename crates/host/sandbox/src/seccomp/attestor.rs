//! The profiles of the attestor, which reads the executables of other processes, and of its keeper, which starts it anew.

use super::table::calls;
use super::{Argument, Group, Otherwise, Profile, Refusal, Test};

/// Nothing is opened for writing, made or cut short: `O_WRONLY`, `O_RDWR`, `O_CREAT`, `O_TRUNC`. `O_TMPFILE` needs one of the first two.
const READ_ONLY: Refusal = Refusal {
    why: "files are read, never written or made",
    errno: libc::EPERM,
    calls: calls![SYS_openat],
    when: &[
        &[opened_with(1)],
        &[opened_with(2)],
        &[opened_with(0o100)],
        &[opened_with(0o1000)],
    ],
};

/// A flag of `openat`.
const fn opened_with(flag: u32) -> Argument {
    Argument {
        index: 2,
        test: Test::Masked {
            mask: flag,
            value: flag,
        },
    }
}

/// No code but the program's own: `PROT_EXEC`.
const NO_NEW_CODE: Refusal = Refusal {
    why: "no code but the program's own",
    errno: libc::EPERM,
    calls: calls![SYS_mmap SYS_mprotect],
    when: &[&[Argument {
        index: 2,
        test: Test::Masked { mask: 4, value: 4 },
    }]],
};

/// The attestor's profile. Anything else kills it, and its keeper starts another.
pub const ATTESTOR: Profile = Profile {
    name: "attestor",
    otherwise: Otherwise::Kill,
    allowed: &[
        Group {
            why: "look at a process and read its executable (for reading only, below)",
            calls: calls![
                SYS_openat SYS_read SYS_readlinkat SYS_statx SYS_newfstatat SYS_fstat SYS_lseek
                SYS_close
            ],
        },
        Group {
            why: "hear the broker and answer it, on the one socket that it has",
            calls: calls![SYS_recvmsg SYS_sendmsg],
        },
        Group {
            why: "see whether a process has ended",
            calls: calls![SYS_ppoll],
        },
        #[cfg(target_arch = "x86_64")]
        Group {
            why: "the same by the names that only this architecture has",
            calls: calls![SYS_poll SYS_readlink SYS_alarm],
        },
        Group {
            why: "asked for by the standard library when it closes a descriptor (its flags only, below)",
            calls: calls![SYS_fcntl],
        },
        Group {
            why: "be ended by its own alarm when a file system does not answer",
            calls: calls![SYS_setitimer SYS_rt_sigreturn SYS_rt_sigprocmask],
        },
        Group {
            why: "have memory, none of it executable (below)",
            calls: calls![
                SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise
            ],
        },
        Group {
            why: "tell the time, lock within the process, end",
            calls: calls![
                SYS_clock_gettime SYS_futex SYS_sigaltstack SYS_restart_syscall SYS_exit
                SYS_exit_group
            ],
        },
    ],
    refused: &[
        READ_ONLY,
        NO_NEW_CODE,
        Refusal {
            why: "only asking for a descriptor's flags",
            errno: libc::EPERM,
            calls: calls![SYS_fcntl],
            when: &[&[Argument {
                index: 1,
                test: Test::IsNot(1), // F_GETFD
            }]],
        },
    ],
};

/// The keeper's profile: what its attestors do, and starting them. It runs no other program and speaks to nobody.
pub const ATTESTOR_KEEPER: Profile = Profile {
    name: "attestor-keeper",
    otherwise: Otherwise::Kill,
    allowed: &[
        Group {
            why: "what the attestors do, which have its filter too",
            calls: calls![
                SYS_openat SYS_read SYS_readlinkat SYS_statx SYS_newfstatat SYS_fstat SYS_lseek
                SYS_close SYS_recvmsg SYS_sendmsg SYS_ppoll SYS_setitimer SYS_rt_sigreturn
                SYS_rt_sigprocmask SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect
                SYS_madvise SYS_clock_gettime SYS_futex SYS_sigaltstack SYS_restart_syscall
                SYS_exit SYS_exit_group
            ],
        },
        #[cfg(target_arch = "x86_64")]
        Group {
            why: "the same by the names that only this architecture has",
            calls: calls![SYS_poll SYS_readlink SYS_alarm],
        },
        Group {
            why: "start an attestor and wait for its end",
            calls: calls![SYS_clone3 SYS_wait4 SYS_fcntl SYS_nanosleep SYS_clock_nanosleep],
        },
        Group {
            why: "confine what it started: the end with its parent, descriptors, limits, its narrower filter",
            calls: calls![SYS_prctl SYS_getppid SYS_close_range SYS_prlimit64 SYS_seccomp],
        },
    ],
    refused: &[READ_ONLY, NO_NEW_CODE],
};
