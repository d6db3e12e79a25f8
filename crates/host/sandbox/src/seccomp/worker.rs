//! The profile of a disposable worker that reads a document of unknown origin: it computes on the
//! descriptors that it was given.

use super::table::calls;
use super::{Argument, Group, Otherwise, Profile, Refusal, Test};

/// The worker's profile. Anything else kills it.
pub const WORKER: Profile = Profile {
    name: "worker",
    otherwise: Otherwise::Kill,
    allowed: &[
        Group {
            why: "read and write what was handed over",
            calls: calls![
                SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_lseek
                SYS_fstat SYS_ftruncate SYS_fsync SYS_fdatasync SYS_close
            ],
        },
        Group {
            why: "have memory, none of it executable (below)",
            calls: calls![
                SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise
            ],
        },
        Group {
            why: "lock within the process",
            calls: calls![SYS_futex SYS_sched_yield],
        },
        Group {
            why: "seed hash tables, tell the time",
            calls: calls![SYS_getrandom SYS_clock_gettime],
        },
        Group {
            why: "end, or be ended by a signal",
            calls: calls![
                SYS_exit SYS_exit_group SYS_rt_sigreturn SYS_rt_sigprocmask SYS_sigaltstack
            ],
        },
        Group {
            why: "asked for by the standard library when it reads a file; answered with an error",
            calls: calls![SYS_statx SYS_newfstatat SYS_fcntl],
        },
    ],
    refused: &[
        Refusal {
            why: "these name files, and Landlock does not stop a name from being looked at",
            errno: libc::ENOSYS,
            calls: calls![SYS_statx SYS_newfstatat],
            when: &[],
        },
        Refusal {
            why: "only asking for a descriptor's flags",
            errno: libc::EPERM,
            calls: calls![SYS_fcntl],
            when: &[&[Argument {
                index: 1,
                test: Test::IsNot(1), // F_GETFD
            }]],
        },
        Refusal {
            why: "no code but the program's own",
            errno: libc::EPERM,
            calls: calls![SYS_mmap SYS_mprotect],
            when: &[&[Argument {
                index: 2,
                test: Test::Masked { mask: 4, value: 4 }, // PROT_EXEC
            }]],
        },
    ],
};
