//! The profile of the broker: a daemon that keeps files in its own directories and speaks over Unix sockets, and does nothing else.

use super::table::calls;
use super::{Argument, Group, Otherwise, Profile, Refusal, Test};

/// `AF_UNIX`.
const UNIX: u32 = 1;
/// `CLONE_THREAD`: a new thread of this process, not a new process.
const CLONE_THREAD: u32 = 0x0001_0000;
/// `PROT_EXEC`.
const PROT_EXEC: u32 = 4;

/// The broker's profile. Anything else fails with `EPERM`.
pub const SERVICE: Profile = Profile {
    name: "service",
    otherwise: Otherwise::Errno(libc::EPERM),
    allowed: &[
        Group {
            why: "keep its own files (Landlock says where)",
            calls: calls![
                SYS_openat SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64
                SYS_preadv SYS_pwritev SYS_lseek SYS_close SYS_close_range SYS_fstat SYS_newfstatat
                SYS_statx SYS_getdents64 SYS_fsync SYS_fdatasync SYS_ftruncate SYS_fallocate
                SYS_flock SYS_fchmod SYS_fchmodat SYS_mkdirat SYS_renameat SYS_renameat2
                SYS_unlinkat SYS_readlinkat SYS_faccessat SYS_faccessat2 SYS_fstatfs SYS_statfs
                SYS_umask SYS_getcwd
            ],
        },
        #[cfg(target_arch = "x86_64")]
        Group {
            why: "the same by the names that only this architecture has",
            calls: calls![
                SYS_open SYS_stat SYS_lstat SYS_mkdir SYS_rename SYS_unlink SYS_rmdir
                SYS_readlink SYS_access SYS_chmod SYS_poll SYS_epoll_wait SYS_pipe SYS_dup2
            ],
        },
        Group {
            why: "serve its doors (Unix sockets only, below)",
            calls: calls![
                SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept4 SYS_getsockopt
                SYS_setsockopt SYS_getsockname SYS_getpeername SYS_recvfrom SYS_recvmsg SYS_sendto
                SYS_sendmsg SYS_shutdown
            ],
        },
        Group {
            why: "wait for peers, files, time and signals",
            calls: calls![
                SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_ppoll
                SYS_eventfd2 SYS_pipe2 SYS_fcntl SYS_ioctl SYS_dup SYS_dup3 SYS_clock_gettime
                SYS_clock_nanosleep SYS_nanosleep SYS_restart_syscall SYS_rt_sigaction
                SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack
            ],
        },
        Group {
            why: "have memory, none of it executable (below)",
            calls: calls![
                SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_membarrier
            ],
        },
        Group {
            why: "have threads (no processes, below)",
            calls: calls![
                SYS_clone SYS_clone3 SYS_futex SYS_set_robust_list SYS_rseq SYS_sched_yield
                SYS_sched_getaffinity SYS_prctl SYS_gettid SYS_tgkill SYS_exit SYS_exit_group
            ],
        },
        Group {
            why: "know itself",
            calls: calls![
                SYS_getpid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getgroups
                SYS_setsid SYS_getrandom SYS_uname SYS_sysinfo SYS_prlimit64
            ],
        },
    ],
    refused: &[
        Refusal {
            why: "no network: Unix sockets only",
            errno: libc::EAFNOSUPPORT,
            calls: calls![SYS_socket SYS_socketpair],
            when: &[&[Argument {
                index: 0,
                test: Test::IsNot(UNIX),
            }]],
        },
        Refusal {
            why: "its flags are in memory, where a filter cannot look: the C library takes clone instead",
            errno: libc::ENOSYS,
            calls: calls![SYS_clone3],
            when: &[],
        },
        Refusal {
            why: "threads, no processes",
            errno: libc::EPERM,
            calls: calls![SYS_clone],
            when: &[&[Argument {
                index: 0,
                test: Test::Masked {
                    mask: CLONE_THREAD,
                    value: 0,
                },
            }]],
        },
        Refusal {
            why: "no code but the program's own",
            errno: libc::EPERM,
            calls: calls![SYS_mmap SYS_mprotect],
            when: &[&[Argument {
                index: 2,
                test: Test::Masked {
                    mask: PROT_EXEC,
                    value: PROT_EXEC,
                },
            }]],
        },
        Refusal {
            why: "limits are looked at, not changed",
            errno: libc::EPERM,
            calls: calls![SYS_prlimit64],
            // The pointer to the new limit: its low half is 0 only when there is none.
            when: &[&[Argument {
                index: 2,
                test: Test::IsNot(0),
            }]],
        },
        Refusal {
            why: "only switching to and from non-blocking (FIONBIO) is needed",
            errno: libc::EPERM,
            calls: calls![SYS_ioctl],
            when: &[&[Argument {
                index: 1,
                test: Test::IsNot(0x5421),
            }]],
        },
    ],
};
