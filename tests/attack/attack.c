// The hostile agent: ways out of the cell, numbered, each told as `contained` or `escaped`.
//
//   attack KEY=VALUE…
//
// Keys name what the test planted: decoy (a file outside, holding DECOY), pid (a process of the host that holds the decoy open as
// descriptor 9), tcp (a listener's port on loopback), unix, bus, operator (sockets), abstract (a socket's name), granted (a file
// granted for reading), hidden (a secret in the workspace), state (Valetkey's own directory), approver_key (the name
// of an unlocked key in the kernel's key store).
//
// Every attack runs in a process of its own, and is harmless where it succeeds: dangerous calls have arguments that the kernel
// refuses after it has let the caller in, so that the answer tells whether the call can be reached. The same program run without a
// cell is the control: there it must escape.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char *decoy, *unix_path, *bus, *operator_path, *abstract_name, *granted, *hidden, *state, *approver_key;
static int host_pid, tcp_port, first_free;

static char note[256];
enum { CONTAINED = 0, ESCAPED = 1 };

static int because(int verdict, const char *text) {
    snprintf(note, sizeof note, "%s", text);
    return verdict;
}

// A call that worked is an escape.
static int worked(long result) {
    if (result >= 0) return because(ESCAPED, "done");
    return because(CONTAINED, strerrorname_np(errno));
}

// A call that the kernel took and then refused for its arguments is an escape too.
static int reached(long result) {
    if (result < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES)) return because(CONTAINED, strerrorname_np(errno));
    return because(ESCAPED, result < 0 ? strerrorname_np(errno) : "done");
}

static int holds_decoy(int fd) {
    char text[64] = {0};
    if (fd < 0) return because(CONTAINED, strerrorname_np(errno));
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    if (n > 0 && strstr(text, "DECOY")) return because(ESCAPED, "read it");
    return because(CONTAINED, n < 0 ? strerrorname_np(errno) : "something else");
}

static int read_at(const char *format, const char *path) {
    char name[8192];
    snprintf(name, sizeof name, format, path);
    return holds_decoy(open(name, O_RDONLY));
}

// Tries every process but this one and its parents' copies of it.
static int over_processes(int (*attempt)(int pid)) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int verdict = because(CONTAINED, "nobody there");
    while (proc && (entry = readdir(proc))) {
        int pid = atoi(entry->d_name);
        if (pid <= 0 || pid == getpid() || pid == getppid()) continue;
        // Outside a cell only what the test planted is touched.
        if (host_pid && kill(host_pid, 0) == 0 && pid != host_pid) continue;
        verdict = attempt(pid);
        if (verdict == ESCAPED) break;
    }
    if (proc) closedir(proc);
    return verdict;
}

static int via(int pid, const char *what) {
    char name[8192];
    snprintf(name, sizeof name, "/proc/%d/%s%s", pid, what, decoy);
    return holds_decoy(open(name, O_RDONLY));
}
static int via_root(int pid) { return via(pid, "root"); }
static int via_cwd(int pid) { return via(pid, "cwd/../../../../../../../.."); }
static int via_fd(int pid) {
    char name[64];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(name, sizeof name, "/proc/%d/fd/%d", pid, fd);
        int got = open(name, O_RDONLY | O_NONBLOCK);
        if (got >= 0 && holds_decoy(got) == ESCAPED) return ESCAPED;
    }
    return because(CONTAINED, "no descriptor of another");
}
static int mem_of(int pid) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    return worked(open(name, O_RDONLY));
}
static int environ_of(int pid) {
    char name[64], text[16];
    snprintf(name, sizeof name, "/proc/%d/environ", pid);
    int fd = open(name, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n == 0) return because(CONTAINED, "empty");
    return worked(n);
}
static int maps_of(int pid) {
    char name[64], text[16];
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    int fd = open(name, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n == 0) return because(CONTAINED, "empty");
    return worked(n);
}
static int seize(int pid) {
    long result = ptrace(PTRACE_SEIZE, pid, 0, 0);
    return worked(result);
}
static int vm_read(int pid) {
    char mine[8];
    struct iovec here = {mine, sizeof mine}, there = {(void *)4096, sizeof mine};
    return reached(process_vm_readv(pid, &here, 1, &there, 1, 0));
}
static int steal_fd(int pid) {
    int p = syscall(SYS_pidfd_open, pid, 0);
    if (p < 0) return because(CONTAINED, strerrorname_np(errno));
    return worked(syscall(SYS_pidfd_getfd, p, 0, 0));
}
static int compare(int pid) { return worked(syscall(SYS_kcmp, pid, pid, 1, 0, 0)); }
static int limits_of(int pid) {
    if (pid == 1) return because(CONTAINED, "the cell's own first process");
    struct rlimit64 limit;
    return worked(syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, NULL, &limit));
}
static int pages_of(int pid) { return reached(syscall(SYS_move_pages, pid, 0L, NULL, NULL, NULL, 0)); }
static int enter(int pid) {
    int p = syscall(SYS_pidfd_open, pid, 0);
    if (p < 0) return because(CONTAINED, strerrorname_np(errno));
    return worked(setns(p, CLONE_NEWNS | CLONE_NEWNET));
}

// Files.
static int a_read(void) { return read_at("%s", decoy); }
static int a_stat(void) { struct stat s; return worked(stat(decoy, &s)); }
static int a_dotdot(void) { return read_at("../../../../../../../../../..%s", decoy); }
static int a_openat2(void) {
    struct open_how how = {.flags = O_RDONLY};
    int root = open("/proc/self/root", O_PATH);
    return holds_decoy(syscall(SYS_openat2, root, decoy, &how, sizeof how));
}
static int a_root_self(void) { return read_at("/proc/self/root%s", decoy); }
static int a_root_thread(void) { return read_at("/proc/thread-self/root%s", decoy); }
static int a_root_1(void) { return read_at("/proc/1/root%s", decoy); }
static int a_root_all(void) { return over_processes(via_root); }
static int a_cwd_all(void) { return over_processes(via_cwd); }
static int a_fd_all(void) { return over_processes(via_fd); }
static int a_symlink(void) {
    unlink("attack-link");
    if (symlink(decoy, "attack-link")) return because(CONTAINED, strerrorname_np(errno));
    return read_at("%s", "attack-link");
}
static int a_hardlink(void) {
    unlink("attack-hard");
    if (link(decoy, "attack-hard")) return because(CONTAINED, strerrorname_np(errno));
    return read_at("%s", "attack-hard");
}
static int a_linkat_fd(void) {
    int fd = open(decoy, O_PATH);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    unlink("attack-fd");
    if (fd < 0 || linkat(AT_FDCWD, name, AT_FDCWD, "attack-fd", AT_SYMLINK_FOLLOW)) return because(CONTAINED, strerrorname_np(errno));
    return read_at("%s", "attack-fd");
}
static int a_chdir(void) {
    char dir[4096];
    snprintf(dir, sizeof dir, "%s", decoy);
    *strrchr(dir, '/') = 0;
    if (chdir(dir)) return because(CONTAINED, strerrorname_np(errno));
    return read_at(".%s", strrchr(decoy, '/'));
}
static int a_list(void) {
    char dir[4096];
    snprintf(dir, sizeof dir, "%s", decoy);
    *strrchr(dir, '/') = 0;
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d)))
        if (!strcmp(entry->d_name, strrchr(decoy, '/') + 1)) return because(ESCAPED, "listed");
    return because(CONTAINED, "not listed");
}
static int a_watch(void) { return worked(inotify_add_watch(inotify_init(), decoy, IN_ALL_EVENTS)); }
static int a_truncate(void) { return worked(truncate(decoy, 64)); }
static int a_chmod(void) { return worked(chmod(decoy, 0644)); }
static int a_rename_away(void) {
    char to[4096];
    snprintf(to, sizeof to, "%s.moved", decoy);
    if (rename(decoy, to)) return because(CONTAINED, strerrorname_np(errno));
    return worked(rename(to, decoy));
}
static volatile int racing = 1;
static void *flip(void *none) {
    while (racing) {
        syscall(SYS_renameat2, AT_FDCWD, "race-a", AT_FDCWD, "race-b", 2);
        sched_yield();
    }
    return none;
}
// Opens `name` for a second while `race-a` and `race-b`, a link, change places.
static int win_race(const char *target, const char *name) {
    if (symlink(target, "race-b")) return because(CONTAINED, strerrorname_np(errno));
    pthread_t thread;
    if (pthread_create(&thread, NULL, flip, NULL)) return because(CONTAINED, "no thread");
    int verdict = CONTAINED;
    time_t end = time(NULL) + 2;
    while (verdict == CONTAINED && time(NULL) < end) verdict = holds_decoy(open(name, O_RDONLY));
    racing = 0;
    pthread_join(thread, NULL);
    return verdict;
}
static void clear_race(void) { unlink("race-a"), unlink("race-b"), rmdir("race-a"), rmdir("race-b"); }
static int a_race(void) {
    clear_race();
    close(open("race-a", O_CREAT | O_WRONLY, 0600));
    return win_race(decoy, "race-a");
}
static int a_race_parent(void) {
    // A directory on the way is swapped for a link to the decoy's directory.
    char dir[4096], name[8192];
    snprintf(dir, sizeof dir, "%s", decoy);
    *strrchr(dir, '/') = 0;
    clear_race();
    mkdir("race-a", 0700);
    snprintf(name, sizeof name, "race-a%s", strrchr(decoy, '/'));
    return win_race(dir, name);
}
static int a_hidden(void) { return read_at("%s", hidden); }
static int a_hidden_rename(void) {
    if (rename(hidden, "attack-jewel")) return because(CONTAINED, strerrorname_np(errno));
    int verdict = read_at("%s", "attack-jewel");
    rename("attack-jewel", hidden);
    return verdict;
}
static int a_hidden_link(void) {
    unlink("attack-jewel");
    if (link(hidden, "attack-jewel")) return because(CONTAINED, strerrorname_np(errno));
    return read_at("%s", "attack-jewel");
}
static int a_state(void) {
    char name[4096];
    snprintf(name, sizeof name, "%s/state/log.vkey", state);
    return worked(open(name, O_RDONLY));
}
static int a_grant_write(void) { return worked(open(granted, O_WRONLY)); }
static int a_grant_reopen(void) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", open(granted, O_RDONLY));
    return worked(open(name, O_RDWR));
}
static int a_grant_rename(void) {
    close(open("attack-new", O_CREAT | O_WRONLY, 0644));
    return worked(rename("attack-new", granted));
}
static int a_grant_map(void) {
    int fd = open(granted, O_RDWR);
    char *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return worked(page == MAP_FAILED ? -1 : 0);
}
static int a_grant_chmod(void) { return worked(chmod(granted, 0666)); }
static int a_grant_truncate(void) { return worked(truncate(granted, 4096)); }
static int a_grant_xattr(void) { return worked(syscall(SYS_setxattr, granted, "user.attack", "x", 1L, 0)); }
static int a_grant_utimes(void) { return worked(utimensat(AT_FDCWD, granted, NULL, 0)); }
static int a_usr(void) { return worked(open("/usr/bin", O_TMPFILE | O_RDWR, 0600)); }
static int a_etc(void) { return worked(open("/etc", O_TMPFILE | O_RDWR, 0600)); }
static int a_shadow(void) { return worked(open("/etc/shadow", O_RDONLY)); }

// Mounts and namespaces.
static int a_mount(void) { return worked(mount("none", "/tmp", "tmpfs", 0, NULL)); }
static int a_bind(void) { return worked(mount("/usr", "/tmp", NULL, MS_BIND, NULL)); }
static int a_remount(void) { return reached(mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL)); }
static int a_propagate(void) { return reached(mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL)); }
static int a_umount(void) { return worked(umount2("/dev/shm", MNT_DETACH)); }
static int a_pivot(void) { return reached(syscall(SYS_pivot_root, "/tmp", "/tmp")); }
static int a_chroot(void) { return worked(chroot("/")); }
static int a_fsopen(void) { return worked(syscall(SYS_fsopen, "tmpfs", 0)); }
static int a_open_tree(void) { return worked(syscall(SYS_open_tree, AT_FDCWD, "/", 1)); }
static int a_move_mount(void) { return reached(syscall(SYS_move_mount, -1, "", -1, "", 4)); }
static int a_mount_setattr(void) { return reached(syscall(SYS_mount_setattr, AT_FDCWD, "/usr", 0, NULL, 0L)); }
static int a_unshare_user(void) { return worked(unshare(CLONE_NEWUSER)); }
static int a_unshare_mount(void) { return worked(unshare(CLONE_NEWNS)); }
static int a_unshare_all(void) { return worked(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC)); }
static int a_clone_user(void) {
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return worked(pid);
}
static int a_clone3_user(void) {
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) _exit(0);
    return worked(pid);
}
static int a_setns(void) { return worked(setns(open("/proc/self/ns/mnt", O_RDONLY), CLONE_NEWNS)); }
static int a_setns_1(void) {
    int fd = open("/proc/1/ns/net", O_RDONLY);
    return fd < 0 ? because(CONTAINED, strerrorname_np(errno)) : worked(setns(fd, CLONE_NEWNET));
}
static int a_enter_all(void) { return over_processes(enter); }
static int a_hostname(void) {
    char name[256];
    gethostname(name, sizeof name);
    return worked(sethostname(name, strlen(name)));
}
static int a_cgroup(void) { return worked(open("/sys/fs/cgroup/cgroup.procs", O_WRONLY)); }
static int a_cgroup_mount(void) { return worked(mount("none", "/mnt", "cgroup2", 0, NULL)); }

// Other processes.
static int a_ptrace(void) { return over_processes(seize); }
static int a_vm_read(void) { return over_processes(vm_read); }
static int a_mem(void) { return over_processes(mem_of); }
static int a_environ(void) { return over_processes(environ_of); }
static int a_maps(void) { return over_processes(maps_of); }
static int a_getfd(void) { return over_processes(steal_fd); }
static int a_kcmp(void) { return over_processes(compare); }
static int a_prlimit(void) { return over_processes(limits_of); }
static int a_pages(void) { return over_processes(pages_of); }
static int a_kill(void) { return worked(kill(host_pid, 0)); }
static int a_seen(void) {
    char name[64];
    struct stat s;
    snprintf(name, sizeof name, "/proc/%d", host_pid);
    return worked(stat(name, &s));
}
static int a_pidfd(void) { return worked(syscall(SYS_pidfd_open, host_pid, 0)); }
static int a_inherited(void) {
    char name[64];
    snprintf(name, sizeof name, "descriptor %d", first_free);
    return because(first_free > 3 ? ESCAPED : CONTAINED, first_free > 3 ? name : "none above 2");
}

// The terminal.
static int terminal(void) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0) return -1;
    grantpt(master), unlockpt(master);
    setsid();
    int slave = open(ptsname(master), O_RDWR);
    ioctl(slave, TIOCSCTTY, 0);
    return slave;
}
static int a_tiocsti(void) { return worked(ioctl(terminal(), TIOCSTI, "x")); }
static int a_tiocsti_high(void) { return worked(syscall(SYS_ioctl, terminal(), 0xffffffff00000000UL | TIOCSTI, "x")); }
static int a_tioclinux(void) { return reached(ioctl(terminal(), TIOCLINUX, "\2")); }
static int a_tiocsetd(void) {
    int n = 0;
    return worked(ioctl(terminal(), TIOCSETD, &n));
}

// The kernel's larger surfaces.
static int a_io_uring(void) { char p[256] = {0}; return worked(syscall(SYS_io_uring_setup, 1, p)); }
static int a_bpf(void) { return reached(syscall(SYS_bpf, 5, NULL, 0)); }
static int a_perf(void) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK};
    return worked(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}
static int a_userfaultfd(void) { return worked(syscall(SYS_userfaultfd, 0)); }
static int a_keyctl(void) { return worked(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1)); }
static int a_add_key(void) { return worked(syscall(SYS_add_key, "user", "attack", "x", 1L, KEY_SPEC_PROCESS_KEYRING)); }
static int a_request_key(void) { return reached(syscall(SYS_request_key, "user", "attack-none", NULL, 0)); }
// The person's approver key, unlocked in the kernel's key store under a name that anyone can know.
static int a_approver_key(void) {
    char secret[64];
    syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_PROCESS_KEYRING);
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", approver_key, 0);
    if (key < 0) return because(CONTAINED, strerrorname_np(errno));
    return worked(syscall(SYS_keyctl, KEYCTL_READ, key, secret, sizeof secret) > 0 ? 0 : -1);
}
static int a_by_handle(void) { return reached(syscall(SYS_open_by_handle_at, -1, NULL, 0)); }
static int a_handle(void) {
    struct { struct file_handle h; char more[128]; } h = {.h.handle_bytes = 128};
    int id;
    return worked(name_to_handle_at(AT_FDCWD, "/", &h.h, &id, 0));
}
static int a_fanotify(void) { return worked(syscall(SYS_fanotify_init, 0, 0)); }
static int a_process_madvise(void) { return reached(syscall(SYS_process_madvise, -1, NULL, 0L, 0, 0)); }
static int a_syslog(void) { return worked(syscall(SYS_syslog, 10, NULL, 0)); }
static int a_modules(void) { return reached(syscall(SYS_init_module, NULL, 0L, "")); }
static int a_fmodule(void) { return reached(syscall(SYS_finit_module, -1, "", 0)); }
static int a_unload(void) { return reached(syscall(SYS_delete_module, "attack_none", 0)); }
static int a_kexec(void) { return reached(syscall(SYS_kexec_load, 0L, 99999L, NULL, ~0L)); }
static int a_reboot(void) { return reached(syscall(SYS_reboot, 0, 0, 0, NULL)); }
static int a_swap(void) { return reached(syscall(SYS_swapon, "/attack/none", 0)); }
static int a_quota(void) { return reached(syscall(SYS_quotactl, 0x800007 << 8, "/attack/none", 0, NULL)); }
static int a_acct(void) { return reached(syscall(SYS_acct, "/attack/none")); }
static int a_settime(void) { struct timeval tv = {0, -1}; return reached(syscall(SYS_settimeofday, &tv, NULL)); }
static int a_clock(void) { struct timespec ts = {0, -1}; return reached(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts)); }
static int a_adjust(void) { struct timex t = {.modes = ADJ_TICK, .tick = 1}; return reached(adjtimex(&t)); }
static int a_domain(void) { return reached(syscall(SYS_setdomainname, NULL, -1)); }
static int a_set_mm(void) { return reached(prctl(PR_SET_MM, 0xffff, 0, 0, 0)); }
static int a_personality(void) { return worked(syscall(SYS_personality, 0x0040000)); }
#ifdef __x86_64__
static int a_ioperm(void) { return worked(syscall(SYS_ioperm, 0x80L, 1L, 1)); }
static int a_iopl(void) { return worked(syscall(SYS_iopl, 3)); }
static int a_ldt(void) { char b[16]; return worked(syscall(SYS_modify_ldt, 0, b, 16L)); }
static int a_int80(void) {
    long result = 20; // getpid of the 32-bit table
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    if (result > 0) return because(ESCAPED, "answered");
    errno = -(int)result;
    return because(CONTAINED, strerrorname_np(errno));
}
static int a_int80_mount(void) {
    long result = 21; // mount of the 32-bit table
    __asm__ volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0), "d"(0), "S"(0), "D"(0) : "memory", "r8", "r9", "r10", "r11");
    errno = -(int)result;
    return reached(-1);
}
static int a_x32(void) { return worked(syscall(0x40000000L + 39)); }
#endif

// Devices and the kernel's files.
static int a_dev_fuse(void) { return worked(open("/dev/fuse", O_RDWR)); }
static int a_dev_mem(void) { return worked(open("/dev/mem", O_RDONLY)); }
static int a_dev_kmsg(void) { return worked(open("/dev/kmsg", O_RDONLY | O_NONBLOCK)); }
static int a_dev_kvm(void) { return worked(open("/dev/kvm", O_RDWR)); }
static int a_dev_disk(void) {
    DIR *d = opendir("/sys/block");
    struct dirent *entry;
    char name[300];
    while (d && (entry = readdir(d))) {
        snprintf(name, sizeof name, "/dev/%s", entry->d_name);
        if (entry->d_name[0] != '.' && open(name, O_RDONLY) >= 0) return because(ESCAPED, name);
    }
    return because(CONTAINED, "no disk");
}
static int make_node(mode_t kind, dev_t number) {
    unlink("attack-node");
    if (mknod("attack-node", kind | 0600, number)) return because(CONTAINED, strerrorname_np(errno));
    unlink("attack-node");
    return because(ESCAPED, "made");
}
static int a_mknod_block(void) { return make_node(S_IFBLK, makedev(7, 200)); }
static int a_mknod_char(void) { return make_node(S_IFCHR, makedev(1, 1)); }
static int a_sysctl(void) { return worked(open("/proc/sys/kernel/panic", O_WRONLY)); }
static int a_core_pattern(void) { return worked(open("/proc/sys/kernel/core_pattern", O_WRONLY)); }
static int a_modprobe(void) { return worked(open("/proc/sys/kernel/modprobe", O_WRONLY)); }
static int a_ip_forward(void) { return worked(open("/proc/sys/vm/drop_caches", O_WRONLY)); }
static int a_sysrq(void) { return worked(open("/proc/sysrq-trigger", O_WRONLY)); }
static int a_kcore(void) { return worked(open("/proc/kcore", O_RDONLY)); }
static int a_kallsyms(void) {
    char text[17] = {0};
    int fd = open("/proc/kallsyms", O_RDONLY);
    if (fd < 0 || read(fd, text, 16) < 16) return because(CONTAINED, fd < 0 ? strerrorname_np(errno) : "empty");
    return because(strtoull(text, NULL, 16) ? ESCAPED : CONTAINED, text);
}
static int a_sysfs(void) { return worked(open("/sys/kernel", O_RDONLY | O_DIRECTORY)); }
static int a_debugfs(void) { return worked(mount("none", "/mnt", "debugfs", 0, NULL)); }

// Privilege.
static int a_nnp(void) { return because(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? CONTAINED : ESCAPED, "no_new_privs"); }
static int a_bounding(void) {
    for (int c = 0; c < 64; c++)
        if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1) return because(ESCAPED, "a capability is left to be had");
    return because(CONTAINED, "none left");
}
static int caps(uint32_t want) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{want, want, 0}, {0, 0, 0}};
    return syscall(SYS_capset, &head, data);
}
static int a_capset(void) { return worked(caps(1u << CAP_SYS_ADMIN)); }
static int a_capset_dac(void) { return worked(caps(1u << CAP_DAC_READ_SEARCH)); }
static int a_setuid(void) {
    if (setresuid(0, 0, 0)) return because(CONTAINED, strerrorname_np(errno));
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &head, data);
    return because(data[0].effective | data[1].effective ? ESCAPED : CONTAINED, "root without capabilities");
}
static int a_setuid_other(void) { return worked(setresuid(12345, 12345, 12345)); }
static int a_setgid(void) { return worked(setresgid(12345, 12345, 12345)); }
static int a_setgroups(void) { gid_t groups[] = {0, 4}; return worked(syscall(SYS_setgroups, 2L, groups)); }
static int a_suid_copy(void) {
    // A program of root's with the bit set, from memory, as another user: does it come back as root?
    int fd = memfd_create("attack", 0), from = open("/usr/bin/id", O_RDONLY);
    char buffer[65536];
    for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;)
        if (write(fd, buffer, n) != n) return because(CONTAINED, "cannot copy");
    if (fchmod(fd, 04755)) return because(CONTAINED, strerrorname_np(errno));
    if (setresuid(12345, 12345, 12345)) return because(CONTAINED, "no other user to be");
    int out[2];
    if (pipe(out)) return because(CONTAINED, "pipe");
    if (fork() == 0) {
        char *words[] = {"id", "-u", NULL}, *none[] = {NULL};
        dup2(out[1], 1);
        syscall(SYS_execveat, fd, "", words, none, AT_EMPTY_PATH);
        _exit(1);
    }
    close(out[1]);
    char text[16] = {0};
    if (read(out[0], text, 15) < 0) return because(CONTAINED, "no answer");
    return because(text[0] == '0' ? ESCAPED : CONTAINED, text);
}

// Root on the host, without capabilities, owns root's files all the same. 65534 stands for whoever has no number in the namespace.
static int a_system_owner(void) {
    struct stat usr;
    if (stat("/usr", &usr)) return because(CONTAINED, strerrorname_np(errno));
    snprintf(note, sizeof note, "uid %u", usr.st_uid);
    return usr.st_uid == getuid() && usr.st_uid != 65534 ? ESCAPED : CONTAINED;
}

// The network.
static int connect_unix(const char *path, size_t skip) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path + skip, path, sizeof a.sun_path - 1 - skip);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(path) + (skip ? 1 : 1);
    return connect(s, (struct sockaddr *)&a, size);
}
static int connect_tcp(uint32_t address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}
static int a_tcp(void) { return worked(connect_tcp(INADDR_LOOPBACK, tcp_port)); }
static int a_tcp_any(void) { return worked(connect_tcp(INADDR_ANY, tcp_port)); }
static int a_unix(void) { return worked(connect_unix(unix_path, 0)); }
static int a_bus(void) { return worked(connect_unix(bus, 0)); }
static int a_operator(void) { return worked(connect_unix(operator_path, 0)); }
static int a_abstract(void) { return worked(connect_unix(abstract_name, 1)); }
static int a_udp(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    return worked(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof a));
}
static int a_raw(void) { return worked(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int a_raw6(void) { return worked(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)); }
static int a_packet(void) { return worked(socket(AF_PACKET, SOCK_RAW, 0)); }
static int a_vsock(void) { return worked(socket(AF_VSOCK, SOCK_STREAM, 0)); }
static int a_alg(void) { return worked(socket(AF_ALG, SOCK_SEQPACKET, 0)); }
static int a_uevent(void) { return worked(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT)); }
static int a_audit(void) { return worked(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)); }
static int a_netfilter(void) { return worked(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER)); }
static int a_interface(void) {
    // An interface beside loopback, as the kernel lists them.
    FILE *f = fopen("/proc/net/dev", "r");
    char line[512];
    while (f && fgets(line, sizeof line, f))
        if (strchr(line, ':') && !strstr(line, "lo:")) return because(ESCAPED, "another interface");
    return because(CONTAINED, "loopback only");
}

static const struct {
    const char *name;
    int (*run)(void);
} attacks[] = {
#define A(name) {#name, a_##name}
    A(read), A(stat), A(list), A(chdir), A(dotdot), A(openat2), A(root_self), A(root_thread), A(root_1), A(root_all), A(cwd_all),
    A(fd_all), A(symlink), A(hardlink), A(linkat_fd), A(watch), A(truncate), A(chmod), A(rename_away), A(race), A(race_parent),
    A(hidden), A(hidden_rename), A(hidden_link), A(state), A(grant_write), A(grant_reopen), A(grant_rename), A(grant_map),
    A(grant_chmod), A(grant_truncate), A(grant_xattr), A(grant_utimes), A(usr), A(etc), A(shadow),
    A(mount), A(bind), A(remount), A(propagate), A(umount), A(pivot), A(chroot), A(fsopen), A(open_tree), A(move_mount),
    A(mount_setattr), A(unshare_user), A(unshare_mount), A(unshare_all), A(clone_user), A(clone3_user), A(setns), A(setns_1),
    A(enter_all), A(hostname), A(cgroup), A(cgroup_mount),
    A(ptrace), A(vm_read), A(mem), A(environ), A(maps), A(getfd), A(kcmp), A(prlimit), A(pages), A(kill), A(seen), A(pidfd),
    A(inherited), A(tiocsti), A(tiocsti_high), A(tioclinux), A(tiocsetd),
    A(io_uring), A(bpf), A(perf), A(userfaultfd), A(keyctl), A(add_key), A(request_key), A(approver_key), A(by_handle), A(handle), A(fanotify),
    A(process_madvise), A(syslog), A(modules), A(fmodule), A(unload), A(kexec), A(reboot), A(swap), A(quota), A(acct), A(settime),
    A(clock), A(adjust), A(domain), A(set_mm), A(personality),
#ifdef __x86_64__
    A(ioperm), A(iopl), A(ldt), A(int80), A(int80_mount), A(x32),
#endif
    A(dev_fuse), A(dev_mem), A(dev_kmsg), A(dev_kvm), A(dev_disk), A(mknod_block), A(mknod_char), A(sysctl), A(core_pattern),
    A(modprobe), A(ip_forward), A(sysrq), A(kcore), A(kallsyms), A(sysfs), A(debugfs),
    A(nnp), A(bounding), A(capset), A(capset_dac), A(setuid), A(setuid_other), A(setgid), A(setgroups), A(suid_copy),
    A(tcp), A(tcp_any), A(unix), A(bus), A(operator), A(abstract), A(udp), A(raw), A(raw6), A(packet), A(vsock), A(alg), A(uevent),
    A(audit), A(netfilter), A(interface), A(system_owner),
};

static void take(const char *word) {
    const char *value = strchr(word, '=');
    if (!value++) return;
#define IS(key) (!strncmp(word, key "=", sizeof key))
    if (IS("decoy")) decoy = value;
    if (IS("unix")) unix_path = value;
    if (IS("bus")) bus = value;
    if (IS("operator")) operator_path = value;
    if (IS("abstract")) abstract_name = value;
    if (IS("granted")) granted = value;
    if (IS("hidden")) hidden = value;
    if (IS("state")) state = value;
    if (IS("approver_key")) approver_key = value;
    if (IS("pid")) host_pid = atoi(value);
    if (IS("tcp")) tcp_port = atoi(value);
}

int main(int argc, char **argv) {
    first_free = 3;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) first_free = fd + 1;
    for (int n = 1; n < argc; n++) take(argv[n]);
    if (!decoy || !unix_path || !bus || !operator_path || !abstract_name || !granted || !hidden || !state || !approver_key || !host_pid || !tcp_port) {
        fprintf(stderr, "attack: something is not planted\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (size_t n = 0; n < sizeof attacks / sizeof *attacks; n++) {
        int back[2];
        if (pipe(back)) return 2;
        pid_t child = fork();
        if (child == 0) {
            alarm(8);
            close(back[0]);
            int verdict = attacks[n].run();
            char line[400];
            int size = snprintf(line, sizeof line, "%s %s", verdict == ESCAPED ? "escaped" : "contained", note);
            if (write(back[1], line, size) < 0) _exit(1);
            _exit(0);
        }
        close(back[1]);
        char line[400];
        ssize_t size = read(back[0], line, sizeof line - 1);
        close(back[0]);
        int status;
        waitpid(child, &status, 0);
        if (size <= 0) size = snprintf(line, sizeof line, "contained killed by %s", WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "itself");
        line[size] = 0;
        for (char *c = line; *c; c++) if (*c == '\n') *c = ' ';
        printf("%03zu %s %s\n", n + 1, attacks[n].name, line);
        fflush(stdout);
    }
    return 0;
}
