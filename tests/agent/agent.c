// The cooperative agent of the tests: small steps in a cell, each told on standard output.
//
//   door METHOD PATH [BODY]   one call at the agent door; @FILE takes the body from a file
//   talk                      calls at the agent door, a line each of METHOD PATH BODY; answers in one line of STATUS TYPE BODY
//   raw MILLISECONDS          standard input to the agent door, so many milliseconds between bytes (0: all at once)
//   hold FILE                 opens, then reads one byte every millisecond until that fails
//   reopen FILE               opens and closes every millisecond until that fails
//   map FILE                  maps, then reads one byte every millisecond until the kernel says SIGBUS
//   pour FILE SIZE            writes SIZE bytes of one letter a call until that fails; says how many bytes the calls said they wrote
//   share FILE                reads through a child, a duplicate, a descriptor that was handed on, and a name in /proc, until all fail
//   private FILE              reads a private mapping page by page, then the first page again and again until SIGBUS
//   stain FILE                writes into a shared mapping every millisecond until SIGBUS
//   buffer FILE               writes a line into a buffer of its own, waits for a line of input, then flushes and closes
//   window                    prints the terminal's size, now and at each SIGWINCH, until a line is typed
//   push TEXT                 TIOCSTI of TEXT into every terminal that it has
//   connect PATH              connects to a Unix socket; @NAME is an abstract one
//   tcp PORT                  connects to 127.0.0.1
//   listen NAME               listens on the abstract socket NAME and on a port of loopback, which it prints, until its input ends
//   flood COUNT               makes so many requests at the agent door, one after the other, and prints each answer's id
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void pause_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void told(const char *text) {
    printf("%s\n", text);
    fflush(stdout);
}

static int fail(const char *what) {
    printf("%s: %s\n", what, strerrorname_np(errno));
    return 1;
}

static int reach(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    if (path[0] == '@') a.sun_path[0] = 0;
    else size += 1;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&a, size) < 0) return -1;
    return s;
}

static int pour(int s) {
    char buffer[65536];
    ssize_t n;
    while ((n = read(s, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, n, stdout);
    fflush(stdout);
    return n < 0 ? fail("read") : 0;
}

static int door(const char *method, const char *path, const char *body) {
    static char from_file[4 << 20];
    size_t length = strlen(body);
    if (body[0] == '@') {
        FILE *f = fopen(body + 1, "r");
        if (!f) return fail("body");
        length = fread(from_file, 1, sizeof from_file, f);
        body = from_file;
    }
    int s = reach("/run/valetkey/agent.sock");
    if (s < 0) return fail("connect");
    dprintf(s, "%s %s HTTP/1.1\r\nhost: valetkey\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n", method, path, length);
    for (size_t at = 0; at < length;) {
        ssize_t n = send(s, body + at, length - at, MSG_NOSIGNAL);
        if (n <= 0) break;  // It has heard enough and answers.
        at += n;
    }
    return pour(s);
}

static int talk(void) {
    static char line[4 << 20], answer[4 << 20];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *path = strchr(line, ' ');
        if (!path) break;
        *path++ = 0;
        char *body = strchr(path, ' ');
        if (body) *body++ = 0;
        else body = "";
        int s = reach("/run/valetkey/agent.sock");
        if (s < 0) return fail("connect");
        dprintf(s, "%s %s HTTP/1.1\r\nhost: valetkey\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n", line, path, strlen(body));
        for (size_t at = 0, length = strlen(body); at < length;) {
            ssize_t n = send(s, body + at, length - at, MSG_NOSIGNAL);
            if (n <= 0) break;
            at += n;
        }
        size_t got = 0;
        ssize_t n;
        while (got < sizeof answer - 1 && (n = read(s, answer + got, sizeof answer - 1 - got)) > 0) got += n;
        answer[got] = 0;
        close(s);
        char *type = strstr(answer, "content-type: "), *end = strstr(answer, "\r\n\r\n");
        if (!end) {
            told("000 none null");
            continue;
        }
        printf("%.3s %.*s %s\n", answer + 9, type ? (int)strcspn(type + 14, "\r") : 0, type ? type + 14 : "", end[4] ? end + 4 : "null");
        fflush(stdout);
    }
    return 0;
}

static int raw(long ms) {
    int s = reach("/run/valetkey/agent.sock");
    if (s < 0) return fail("connect");
    int c;
    while ((c = getchar()) != EOF) {
        char byte = c;
        if (send(s, &byte, 1, MSG_NOSIGNAL) < 0) break;
        if (ms) pause_ms(ms);
    }
    struct timeval limit = {30, 0};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return pour(s);
}

static int hold(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return fail("open");
    told("held");
    char byte;
    for (;;) {
        if (pread(fd, &byte, 1, 0) < 0) {
            printf("ended %s %lld\n", strerrorname_np(errno), now_us());
            return 0;
        }
        pause_ms(1);
    }
}

static int reopen(const char *path) {
    for (int first = 1;; first = 0) {
        int fd = open(path, O_RDONLY);
        if (fd < 0) {
            if (first) return fail("open");
            printf("ended %s %lld\n", strerrorname_np(errno), now_us());
            return 0;
        }
        close(fd);
        if (first) told("held");
        pause_ms(1);
    }
}

static sigjmp_buf back;
static void on_bus(int number) {
    (void)number;
    siglongjmp(back, 1);
}

static int map(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return fail("open");
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return fail("mmap");
    signal(SIGBUS, on_bus);
    if (sigsetjmp(back, 1)) {
        printf("ended SIGBUS %lld\n", now_us());
        return 0;
    }
    char first = page[0];
    told("held");
    for (;;) {
        if (page[0] != first) {
            printf("ended CHANGED %lld\n", now_us());
            return 0;
        }
        pause_ms(1);
    }
}

static int pour_out(const char *path, size_t size) {
    int fd = open(path, O_WRONLY);
    if (fd < 0) return fail("open");
    char *bytes = malloc(size);
    long long total = 0;
    for (int n = 0;; n++) {
        memset(bytes, 'a' + n % 26, size);
        ssize_t written = write(fd, bytes, size);
        if (written < 0) {
            printf("ended %s %lld %lld\n", strerrorname_np(errno), now_us(), total);
            return 0;
        }
        total += written;
        if (n == 0) told("held");
        if (total > 256 << 20) {
            lseek(fd, 0, SEEK_SET);
            if (ftruncate(fd, 0)) continue;
            total = 0;
        }
    }
}

static int until_refused(const char *what, int fd) {
    char byte, name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    for (;;) {
        int again = strcmp(what, "proc") ? -1 : open(name, O_RDONLY);
        int refused = strcmp(what, "proc") ? pread(fd, &byte, 1, 0) < 0 : again < 0;
        if (refused) {
            printf("ended-%s %s %lld\n", what, strerrorname_np(errno), now_us());
            fflush(stdout);
            return 0;
        }
        if (again >= 0) close(again);
        pause_ms(1);
    }
}

static int share(const char *path) {
    int fd = open(path, O_RDONLY), pair[2];
    if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return fail("open");
    char byte = 0, space[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (fork() == 0) return until_refused("child", fd);
    if (fork() == 0) return until_refused("proc", fd);
    if (fork() == 0) {
        close(fd);
        if (recvmsg(pair[1], &m, 0) != 1) return fail("recvmsg");
        int handed;
        memcpy(&handed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof handed);
        return until_refused("handed", handed);
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(pair[0], &m, 0) != 1) return fail("sendmsg");
    int twin = dup(fd);
    close(fd);
    told("held");
    until_refused("duplicate", twin);
    while (wait(NULL) > 0) {}
    return 0;
}

static int private(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat s;
    if (fd < 0 || fstat(fd, &s)) return fail("open");
    volatile char *page = mmap(NULL, s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (page == MAP_FAILED) return fail("mmap");
    signal(SIGBUS, on_bus);
    static volatile int pages, sum;
    if (sigsetjmp(back, 1)) {
        printf("ended SIGBUS %lld %d\n", now_us(), pages);
        return 0;
    }
    for (; pages * 4096 < s.st_size; pages++) sum += page[pages * 4096];
    told("held");
    for (;; pause_ms(1)) sum += page[0];
}

static int stain(const char *path) {
    int fd = open(path, O_RDWR);
    if (fd < 0) return fail("open");
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return fail("mmap");
    signal(SIGBUS, on_bus);
    if (sigsetjmp(back, 1)) {
        printf("ended SIGBUS %lld\n", now_us());
        return 0;
    }
    page[0] = 'A';
    if (msync((void *)page, 4096, MS_SYNC)) return fail("msync");
    told("held");
    for (;; pause_ms(1)) page[1] = 'B';
}

static int buffer(const char *path) {
    FILE *f = fopen(path, "r+");
    if (!f) return fail("open");
    static char space[1 << 20];
    setvbuf(f, space, _IOFBF, sizeof space);
    fprintf(f, "a line that was written too late\n");
    told("held");
    if (getchar() == EOF) return 1;
    printf("flushed %s\n", fflush(f) ? strerrorname_np(errno) : "well");
    printf("closed %s\n", fclose(f) ? strerrorname_np(errno) : "well");
    return 0;
}

static void show_window(int number) {
    (void)number;
    struct winsize w;
    if (ioctl(0, TIOCGWINSZ, &w) == 0) dprintf(1, "window %d %d\n", w.ws_row, w.ws_col);
}

static int window(void) {
    struct sigaction action = {.sa_handler = show_window, .sa_flags = SA_RESTART};
    sigaction(SIGWINCH, &action, NULL);
    show_window(0);
    return getchar() == EOF;
}

static int push(const char *text) {
    int tty = open("/dev/tty", O_RDWR);
    int had[] = {0, 1, 2, tty};
    for (int i = 0; i < 4; i++) {
        int done = 0;
        for (const char *c = text; *c; c++) done += ioctl(had[i], TIOCSTI, c) == 0;
        printf("pushed %d of %zu: %s\n", done, strlen(text), done ? "ok" : strerrorname_np(errno));
    }
    return 0;
}

static int tcp(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0) return fail("connect");
    told("connected");
    return 0;
}

static int listen_both(const char *name) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path + 1, name, sizeof a.sun_path - 2);
    struct sockaddr_in i = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof i;
    int u = socket(AF_UNIX, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(u, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)) || listen(u, 9)) return fail("unix");
    if (bind(t, (struct sockaddr *)&i, sizeof i) || listen(t, 9) || getsockname(t, (struct sockaddr *)&i, &size)) return fail("tcp");
    printf("listening %d\n", ntohs(i.sin_port));
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}

static int flood(int count) {
    for (int n = 0; n < count; n++) {
        char body[200], answer[4096];
        snprintf(body, sizeof body, "{\"resource\":\"file:/srv/flood/%d\",\"actions\":[\"read\"]}", n);
        int s = reach("/run/valetkey/agent.sock");
        if (s < 0) return fail("connect");
        dprintf(s, "POST /v1/requests HTTP/1.1\r\nhost: v\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s", strlen(body), body);
        size_t got = 0;
        ssize_t r;
        while (got < sizeof answer - 1 && (r = read(s, answer + got, sizeof answer - 1 - got)) > 0) got += r;
        answer[got] = 0;
        close(s);
        char *id = strstr(answer, "\"request_id\":\"");
        if (!id) {
            told("unanswered");
            return 0;
        }
        id += 14;
        id[strcspn(id, "\"")] = 0;
        told(id);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    const char *what = argc > 2 ? argv[2] : "";
    if (!strcmp(verb, "door") && argc > 3) return door(what, argv[3], argc > 4 ? argv[4] : "");
    if (!strcmp(verb, "talk")) return talk();
    if (!strcmp(verb, "raw")) return raw(atol(what));
    if (!strcmp(verb, "hold")) return hold(what);
    if (!strcmp(verb, "reopen")) return reopen(what);
    if (!strcmp(verb, "map")) return map(what);
    if (!strcmp(verb, "pour") && argc > 3) return pour_out(what, atol(argv[3]));
    if (!strcmp(verb, "share")) return share(what);
    if (!strcmp(verb, "private")) return private(what);
    if (!strcmp(verb, "stain")) return stain(what);
    if (!strcmp(verb, "buffer")) return buffer(what);
    if (!strcmp(verb, "window")) return window();
    if (!strcmp(verb, "push")) return push(what);
    if (!strcmp(verb, "listen")) return listen_both(what);
    if (!strcmp(verb, "flood")) return flood(atoi(what));
    if (!strcmp(verb, "tcp")) return tcp(atoi(what));
    if (!strcmp(verb, "connect")) {
        if (reach(what) < 0) return fail("connect");
        told("connected");
        return 0;
    }
    fprintf(stderr, "agent: what?\n");
    return 2;
}
