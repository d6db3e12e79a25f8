//! The profile of an agent: what ordinary programs (shells, compilers, interpreters, browsers without
//! their own sandbox) use, and nothing that reaches the kernel's administration or another process.

use super::table::calls;
use super::{Argument, Call, Group, Otherwise, Profile, Refusal, Test};

/// The agent's profile.
///
/// What it does not name fails with `ENOSYS`, the answer of a kernel that does not have the call;
/// programs that probe for something new then use what they used before.
pub const AGENT: Profile = Profile {
    name: "agent",
    otherwise: Otherwise::Errno(libc::ENOSYS),
    allowed: ALLOWED,
    refused: REFUSED,
};

/// Installed beneath [`AGENT`] where commands are narrowed.
pub const WITHOUT_FILES_IN_MEMORY: Profile = Profile {
    name: "agent without files in memory",
    otherwise: Otherwise::Errno(libc::ENOSYS),
    allowed: ALLOWED,
    refused: &[Refusal {
        why: "a file that no mount and no path stands in front of could be executed, or mapped as code",
        errno: libc::ENOSYS,
        calls: calls![SYS_memfd_create SYS_memfd_secret],
        when: &[],
    }],
};

const ALLOWED: &[Group] = &[
    Group {
        why: "read and write what is open",
        calls: calls![
            SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev
            SYS_preadv2 SYS_pwritev2 SYS_lseek SYS_close SYS_close_range SYS_dup SYS_dup3 SYS_fcntl
            SYS_ioctl SYS_flock SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range
            SYS_ftruncate SYS_fallocate SYS_fadvise64 SYS_readahead SYS_sendfile SYS_copy_file_range
            SYS_splice SYS_tee SYS_vmsplice
        ],
    },
    Group {
        why: "name files: the mounts, the view and Landlock decide about each name",
        calls: calls![
            SYS_openat SYS_openat2 SYS_newfstatat SYS_fstat SYS_statx SYS_statfs SYS_fstatfs
            SYS_faccessat SYS_faccessat2 SYS_readlinkat SYS_getdents64 SYS_getcwd SYS_chdir
            SYS_fchdir SYS_mkdirat SYS_mknodat SYS_unlinkat SYS_symlinkat SYS_linkat SYS_renameat2
            SYS_truncate SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_utimensat SYS_umask
            SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_getxattr SYS_lgetxattr SYS_fgetxattr
            SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_removexattr SYS_lremovexattr
            SYS_fremovexattr SYS_inotify_init1 SYS_inotify_add_watch SYS_inotify_rm_watch
        ],
    },
    Group {
        why: "have memory",
        calls: calls![
            SYS_brk SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_msync SYS_mincore
            SYS_mlock SYS_mlock2 SYS_munlock SYS_mlockall SYS_munlockall SYS_membarrier
            SYS_memfd_create SYS_memfd_secret SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect
            SYS_get_mempolicy SYS_set_mempolicy SYS_mbind SYS_mseal
        ],
    },
    Group {
        why: "start processes and threads, and wait for them",
        calls: calls![
            SYS_clone SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_wait4 SYS_waitid
            SYS_set_tid_address SYS_set_robust_list SYS_get_robust_list SYS_rseq SYS_futex
            SYS_futex_waitv SYS_pidfd_open SYS_pidfd_send_signal SYS_unshare
        ],
    },
    Group {
        why: "send and take signals: the pid namespace and Landlock's scope keep them inside",
        calls: calls![
            SYS_kill SYS_tkill SYS_tgkill SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigpending
            SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_sigqueueinfo
            SYS_rt_tgsigqueueinfo SYS_sigaltstack SYS_signalfd4 SYS_restart_syscall
        ],
    },
    Group {
        why: "know oneself and the machine",
        calls: calls![
            SYS_getpid SYS_getppid SYS_gettid SYS_getpgid SYS_getsid SYS_getuid SYS_geteuid
            SYS_getgid SYS_getegid SYS_getresuid SYS_getresgid SYS_getgroups SYS_getrusage SYS_times
            SYS_uname SYS_sysinfo SYS_getcpu SYS_getrandom SYS_capget SYS_getrlimit SYS_prlimit64
            SYS_getpriority SYS_ioprio_get
        ],
    },
    Group {
        why: "change oneself: without capabilities these only ever give something up",
        calls: calls![
            SYS_setpgid SYS_setsid SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid
            SYS_setresgid SYS_setfsuid SYS_setfsgid SYS_setgroups SYS_capset SYS_prctl
            SYS_personality SYS_setrlimit SYS_setpriority SYS_ioprio_set SYS_seccomp
            SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
        ],
    },
    Group {
        why: "tell and wait for time",
        calls: calls![
            SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_gettimeofday SYS_nanosleep
            SYS_getitimer SYS_setitimer SYS_timer_create SYS_timer_settime SYS_timer_gettime
            SYS_timer_getoverrun SYS_timer_delete SYS_timerfd_create SYS_timerfd_settime
            SYS_timerfd_gettime
        ],
    },
    Group {
        why: "be scheduled",
        calls: calls![
            SYS_sched_yield SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_getparam
            SYS_sched_setparam SYS_sched_getscheduler SYS_sched_setscheduler SYS_sched_getattr
            SYS_sched_setattr SYS_sched_get_priority_max SYS_sched_get_priority_min
            SYS_sched_rr_get_interval
        ],
    },
    Group {
        why: "wait for several things",
        calls: calls![
            SYS_ppoll SYS_pselect6 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2
            SYS_eventfd2 SYS_pipe2 SYS_io_setup SYS_io_destroy SYS_io_submit SYS_io_cancel
            SYS_io_getevents
        ],
    },
    Group {
        why: "talk over sockets: the network namespace has loopback only",
        calls: calls![
            SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect
            SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt SYS_shutdown SYS_sendto
            SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg
        ],
    },
    Group {
        why: "talk over System V and POSIX queues: the ipc namespace is the cell's own",
        calls: calls![
            SYS_shmget SYS_shmat SYS_shmdt SYS_shmctl SYS_semget SYS_semop SYS_semtimedop SYS_semctl
            SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink SYS_mq_timedsend
            SYS_mq_timedreceive SYS_mq_notify SYS_mq_getsetattr
        ],
    },
    Group {
        why: "newer forms of what is allowed above",
        calls: &[
            Call::newer("cachestat", 451),
            Call::newer("fchmodat2", 452),
            Call::newer("futex_wake", 454),
            Call::newer("futex_wait", 455),
            Call::newer("futex_requeue", 456),
            Call::newer("setxattrat", 463),
            Call::newer("getxattrat", 464),
            Call::newer("listxattrat", 465),
            Call::newer("removexattrat", 466),
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        why: "older forms of what is allowed above, which only this architecture has",
        calls: calls![
            SYS_open SYS_creat SYS_stat SYS_lstat SYS_access SYS_readlink SYS_getdents SYS_mkdir
            SYS_rmdir SYS_mknod SYS_link SYS_unlink SYS_symlink SYS_rename SYS_renameat SYS_chmod
            SYS_chown SYS_lchown SYS_utime SYS_utimes SYS_futimesat SYS_dup2 SYS_pipe SYS_poll
            SYS_select SYS_epoll_create SYS_epoll_wait SYS_eventfd SYS_signalfd SYS_inotify_init
            SYS_fork SYS_vfork SYS_getpgrp SYS_pause SYS_alarm SYS_time SYS_arch_prctl
        ],
    },
    #[cfg(target_arch = "aarch64")]
    Group {
        why: "older forms of what is allowed above, which only this architecture has",
        calls: calls![SYS_renameat],
    },
];

const REFUSED: &[Refusal] = &[
    Refusal {
        why: "reach into another process",
        errno: libc::EPERM,
        calls: calls![
            SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_kcmp
            SYS_pidfd_getfd SYS_move_pages SYS_migrate_pages
        ],
        when: &[],
    },
    Refusal {
        why: "change what is mounted where",
        errno: libc::EPERM,
        calls: calls![
            SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_open_tree SYS_move_mount SYS_fsopen
            SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr SYS_swapon SYS_swapoff
            SYS_quotactl SYS_quotactl_fd SYS_open_by_handle_at SYS_name_to_handle_at
            SYS_fanotify_init SYS_fanotify_mark
        ],
        when: &[],
    },
    Refusal {
        why: "enter a namespace that exists",
        errno: libc::EPERM,
        calls: calls![SYS_setns],
        when: &[],
    },
    Refusal {
        why: "create a namespace",
        errno: libc::EPERM,
        calls: calls![SYS_unshare],
        when: &[
            &[flag(0, libc::CLONE_NEWTIME)],
            &[flag(0, libc::CLONE_NEWNS)],
            &[flag(0, libc::CLONE_NEWCGROUP)],
            &[flag(0, libc::CLONE_NEWUTS)],
            &[flag(0, libc::CLONE_NEWIPC)],
            &[flag(0, libc::CLONE_NEWUSER)],
            &[flag(0, libc::CLONE_NEWPID)],
            &[flag(0, libc::CLONE_NEWNET)],
        ],
    },
    Refusal {
        // The bit of CLONE_NEWTIME belongs to the exit signal here.
        why: "create a namespace with a process",
        errno: libc::EPERM,
        calls: calls![SYS_clone],
        when: &[
            &[flag(0, libc::CLONE_NEWNS)],
            &[flag(0, libc::CLONE_NEWCGROUP)],
            &[flag(0, libc::CLONE_NEWUTS)],
            &[flag(0, libc::CLONE_NEWIPC)],
            &[flag(0, libc::CLONE_NEWUSER)],
            &[flag(0, libc::CLONE_NEWPID)],
            &[flag(0, libc::CLONE_NEWNET)],
        ],
    },
    Refusal {
        why: "its flags lie in memory where a filter cannot look; programs fall back to `clone`",
        errno: libc::ENOSYS,
        calls: calls![SYS_clone3],
        when: &[],
    },
    Refusal {
        why: "a second way to every file operation, past this filter",
        errno: libc::ENOSYS,
        calls: calls![SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register],
        when: &[],
    },
    Refusal {
        why: "load programs into the kernel, or watch it",
        errno: libc::EPERM,
        calls: calls![
            SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_syslog SYS_init_module
            SYS_finit_module SYS_delete_module SYS_kexec_load SYS_lookup_dcookie
        ],
        when: &[],
    },
    Refusal {
        why: "the kernel's key store is not divided by namespaces as files are",
        errno: libc::EPERM,
        calls: calls![SYS_keyctl SYS_add_key SYS_request_key],
        when: &[],
    },
    Refusal {
        why: "administer the machine",
        errno: libc::EPERM,
        calls: calls![
            SYS_reboot SYS_acct SYS_vhangup SYS_sethostname SYS_setdomainname SYS_settimeofday
            SYS_clock_settime SYS_adjtimex SYS_clock_adjtime
        ],
        when: &[],
    },
    #[cfg(target_arch = "x86_64")]
    Refusal {
        why: "touch the processor's ports and descriptor tables",
        errno: libc::EPERM,
        calls: calls![SYS_iopl SYS_ioperm SYS_modify_ldt SYS_kexec_file_load],
        when: &[],
    },
    Refusal {
        // The kernel looks at the low 32 bits only, so the high ones must not hide the request.
        why: "type into a terminal, or change its line discipline",
        errno: libc::EPERM,
        calls: calls![SYS_ioctl],
        when: &[
            &[is(1, 0x5412)], // TIOCSTI
            &[is(1, 0x541c)], // TIOCLINUX
            &[is(1, 0x5423)], // TIOCSETD
        ],
    },
    Refusal {
        // As Docker does: plain Linux, BSD-like, and asking (0xffffffff).
        why: "odd execution domains switch protections off",
        errno: libc::EPERM,
        calls: calls![SYS_personality],
        when: &[&[
            is_not(0, 0x0),
            is_not(0, 0x8),
            is_not(0, 0x2_0000),
            is_not(0, 0x2_0008),
            is_not(0, 0xffff_ffff),
        ]],
    },
    Refusal {
        why: "rewrite what the kernel tells about this process",
        errno: libc::EPERM,
        calls: calls![SYS_prctl],
        when: &[&[is(0, 35)]], // PR_SET_MM
    },
    Refusal {
        why: "socket families that nobody here needs have been the way into many kernels",
        errno: libc::EAFNOSUPPORT,
        calls: calls![SYS_socket],
        when: &[&[
            is_not(0, AF_UNIX),
            is_not(0, AF_INET),
            is_not(0, AF_INET6),
            is_not(0, AF_NETLINK),
        ]],
    },
    Refusal {
        why: "a pair is only ever of the local kind",
        errno: libc::EAFNOSUPPORT,
        calls: calls![SYS_socketpair],
        when: &[&[is_not(0, AF_UNIX)]],
    },
    Refusal {
        why: "of netlink, only the list of interfaces and routes",
        errno: libc::EPROTONOSUPPORT,
        calls: calls![SYS_socket],
        when: &[&[is(0, AF_NETLINK), is_not(2, 0)]], // NETLINK_ROUTE
    },
    Refusal {
        // The type's low four bits; the rest are SOCK_CLOEXEC and SOCK_NONBLOCK.
        why: "raw packets",
        errno: libc::EPERM,
        calls: calls![SYS_socket],
        when: &[
            &[is(0, AF_INET), kind(SOCK_RAW)],
            &[is(0, AF_INET6), kind(SOCK_RAW)],
            &[kind(SOCK_PACKET)],
        ],
    },
];

const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const SOCK_RAW: u32 = 3;
const SOCK_PACKET: u32 = 10;

const fn is(index: u8, value: u32) -> Argument {
    Argument {
        index,
        test: Test::Is(value),
    }
}

const fn is_not(index: u8, value: u32) -> Argument {
    Argument {
        index,
        test: Test::IsNot(value),
    }
}

const fn flag(index: u8, bit: i32) -> Argument {
    let bit = bit.cast_unsigned();
    Argument {
        index,
        test: Test::Masked {
            mask: bit,
            value: bit,
        },
    }
}

const fn kind(value: u32) -> Argument {
    Argument {
        index: 1,
        test: Test::Masked { mask: 0xf, value },
    }
}
