// A hostile peer of a door: from one process or many it connects, drips, floods, stalls and passes descriptors until its standard input ends.
//
//   hostile SOCKET ATTACK PROCESSES CONNECTIONS
//
// Two are no loads: `say` sends its standard input as it is, `pid-reuse` wants the session of a dead process. The others say `ready` once every process has begun with full force. What the broker answers is of no
// interest here: the test looks at how others fare meanwhile.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_un door;
static const char *attack;
static int connections;

static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

// A connection, or -1 while the door takes none.
static int connect_door(int flags) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) return -1;
    if (connect(fd, (struct sockaddr *)&door, sizeof door) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int put(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) return -1;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

// Whether the other end is gone, taking out of the way what it said.
static int is_closed(int fd) {
    char bytes[4096];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got > 0) continue;
        return got == 0 || errno != EAGAIN;
    }
}

// Holds many connections, each opened again when it was closed; `begin` is what is sent at first and `drip` what follows, a byte at a time.
static void hold(const char *begin, size_t begin_length, const char *drip, long every_ms, void (*begun)(void)) {
    int *fds = malloc(sizeof(int) * (size_t)connections);
    size_t at = 0, length = drip ? strlen(drip) : 0;
    for (int i = 0; i < connections; i++) fds[i] = -1;
    for (int round = 0;; round++) {
        for (int i = 0; i < connections; i++) {
            if (fds[i] >= 0 && is_closed(fds[i])) {
                close(fds[i]);
                fds[i] = -1;
            }
            if (fds[i] < 0) {
                // A backlog that is full is tried again in the next round.
                fds[i] = connect_door(SOCK_NONBLOCK);
                if (fds[i] >= 0 && begin_length) (void)!send(fds[i], begin, begin_length, MSG_NOSIGNAL | MSG_DONTWAIT);
            } else if (length) {
                (void)!send(fds[i], drip + at % length, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
            }
        }
        at++;
        if (round == 0) begun();
        pause_ms(every_ms);
    }
}

static void idle(void (*begun)(void)) { hold("", 0, NULL, 50, begun); }

static void slow_heads(void (*begun)(void)) {
    const char *begin = "GET /v1/x HTTP/1.1\r\nhost: a\r\nx: ";
    hold(begin, strlen(begin), "abcdefgh", 50, begun);
}

// Nearly whole bodies of nearly the longest length, whose end drips in.
static void slow_bodies(void (*begun)(void)) {
    const char *head = "POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n";
    size_t length = strlen(head) + 1000000;
    char *bytes = malloc(length);
    memset(bytes, ' ', length);
    memcpy(bytes, head, strlen(head));
    int *fds = malloc(sizeof(int) * (size_t)connections);
    size_t *sent = malloc(sizeof(size_t) * (size_t)connections);
    for (int i = 0; i < connections; i++) fds[i] = -1;
    for (int round = 0;; round++) {
        for (int i = 0; i < connections; i++) {
            if (fds[i] >= 0 && is_closed(fds[i])) {
                close(fds[i]);
                fds[i] = -1;
            }
            if (fds[i] < 0) {
                fds[i] = connect_door(SOCK_NONBLOCK);
                sent[i] = 0;
            }
            while (fds[i] >= 0 && sent[i] < length) {
                ssize_t more = send(fds[i], bytes + sent[i], length - sent[i], MSG_NOSIGNAL | MSG_DONTWAIT);
                if (more <= 0) break;
                sent[i] += (size_t)more;
            }
            if (fds[i] >= 0 && sent[i] == length) (void)!send(fds[i], " ", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        if (round == 3) begun();
        pause_ms(5);
    }
}

static char *many_requests(size_t *length, const char *one) {
    size_t count = 512;
    *length = strlen(one) * count;
    char *bytes = malloc(*length + 1);
    bytes[0] = 0;
    for (size_t i = 0; i < count; i++) memcpy(bytes + i * strlen(one), one, strlen(one));
    return bytes;
}

// Pipelined requests, as many as the socket takes, whose answers are read or not.
static void flood(int reads, const char *one, void (*begun)(void)) {
    size_t length;
    char *bytes = many_requests(&length, one);
    int *fds = malloc(sizeof(int) * (size_t)connections);
    size_t *at = calloc((size_t)connections, sizeof(size_t));
    for (int i = 0; i < connections; i++) fds[i] = -1;
    for (int round = 0;; round++) {
        int any = 0;
        for (int i = 0; i < connections; i++) {
            if (fds[i] < 0) {
                fds[i] = connect_door(SOCK_NONBLOCK);
                at[i] = 0;
                if (fds[i] < 0) continue;
            }
            if (reads && is_closed(fds[i])) {
                close(fds[i]);
                fds[i] = -1;
                continue;
            }
            ssize_t sent = send(fds[i], bytes + at[i], length - at[i], MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent > 0) {
                at[i] = (at[i] + (size_t)sent) % length;
                any = 1;
            } else if (sent < 0 && errno != EAGAIN) {
                close(fds[i]);
                fds[i] = -1;
            }
        }
        if (round == 3) begun();
        if (!any) pause_ms(1);
    }
}

static void pipelined(void (*begun)(void)) { flood(1, "GET /v1/x HTTP/1.1\r\nhost: a\r\n\r\n", begun); }
static void never_reading(void (*begun)(void)) { flood(0, "GET /v1/x HTTP/1.1\r\nhost: a\r\n\r\n", begun); }
static void garbage(void (*begun)(void)) { flood(1, "\x16\x03\x01\xff\x00 PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", begun); }
static void bad_json(void (*begun)(void)) {
    static char one[9000];
    int head = sprintf(one, "POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-length: 8192\r\n\r\n");
    memset(one + head, '[', 8192);
    flood(1, one, begun);
}

// Connects and leaves, as fast as it can; every other time in the middle of a request.
static void storm(void (*begun)(void)) {
    for (unsigned round = 0;; round++) {
        int fd = connect_door(0);
        if (fd >= 0) {
            if (round & 1) (void)put(fd, "GET /v1/x HTTP/1.1\r\nho", 22);
            close(fd);
        }
        if (round == 100) begun();
    }
}

// Says that no more will come, and waits for an answer that is never asked for.
static void half_closed(void (*begun)(void)) {
    int *fds = malloc(sizeof(int) * (size_t)connections);
    for (int i = 0; i < connections; i++) fds[i] = -1;
    for (int round = 0;; round++) {
        for (int i = 0; i < connections; i++) {
            if (fds[i] >= 0) close(fds[i]);
            fds[i] = connect_door(SOCK_NONBLOCK);
            if (fds[i] < 0) continue;
            (void)put(fds[i], "GET /v1/x HTTP/1.1\r\nhost: a\r\n", (size_t)(round % 31));
            shutdown(fds[i], SHUT_WR);
        }
        if (round == 2) begun();
        pause_ms(5);
    }
}

// Passes descriptors with every piece of a request, over and over.
static void descriptors(void (*begun)(void)) {
    enum { EACH = 64 };
    int passed[EACH];
    for (int i = 0; i < EACH; i++) passed[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const char *one = "GET /v1/x HTTP/1.1\r\nhost: a\r\n\r\n";
    union {
        char bytes[CMSG_SPACE(sizeof passed)];
        struct cmsghdr align;
    } control;
    int *fds = malloc(sizeof(int) * (size_t)connections);
    for (int i = 0; i < connections; i++) fds[i] = -1;
    for (int round = 0;; round++) {
        for (int i = 0; i < connections; i++) {
            if (fds[i] >= 0 && is_closed(fds[i])) {
                close(fds[i]);
                fds[i] = -1;
            }
            if (fds[i] < 0) fds[i] = connect_door(SOCK_NONBLOCK);
            if (fds[i] < 0) continue;
            struct iovec bytes = {(void *)one, strlen(one)};
            struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof passed);
            memcpy(CMSG_DATA(header), passed, sizeof passed);
            (void)!sendmsg(fds[i], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        if (round == 10) begun();
        pause_ms(1);
    }
}

// One exchange; the answer is kept in `answer`, as much of it as there is room for.
static int exchange(int fd, const char *path, const char *body, char *answer, size_t room) {
    char request[4096];
    int length = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n%s", path, strlen(body), body);
    if (put(fd, request, (size_t)length) != 0) return -1;
    size_t had = 0;
    while (had < room - 1) {
        ssize_t got = recv(fd, answer + had, room - 1 - had, 0);
        if (got <= 0) return -1;
        had += (size_t)got;
        answer[had] = 0;
        char *end = strstr(answer, "\r\n\r\n"), *size = strcasestr(answer, "content-length:");
        if (end && size && had >= (size_t)(end + 4 - answer) + strtoul(size + 15, NULL, 10)) return 0;
    }
    return -1;
}

// A guard like any other, but for its haste: it asks for what policy refuses, each time anew.
static void *asker(void *begun) {
    char *answer = malloc(1 << 20), body[1024], session[64];
    for (;;) {
        int fd = connect_door(0);
        const char *open = "{\"agent\":\"hostile\",\"agent_digest\":null,\"purpose\":null,\"workspace\":null,\"grants\":[],\"policy\":null}";
        char *id = NULL;
        if (fd >= 0 && exchange(fd, "/v1/sessions", open, answer, 1 << 20) == 0) id = strstr(answer, "ses-");
        if (!id) {
            close(fd);
            pause_ms(20);
            continue;
        }
        snprintf(session, sizeof session, "%.*s", (int)strcspn(id, "\""), id);
        snprintf(body, sizeof body, "{\"session\":\"%s\",\"resource\":\"file:/etc/shadow\",\"actions\":[\"read\"],\"may_ask\":false}", session);
        for (int n = 0; exchange(fd, "/v1/requests", body, answer, 1 << 20) == 0; n++)
            if (n == 1) ((void (*)(void))begun)();
        close(fd);
    }
    return NULL;
}

static void asking(void (*begun)(void)) {
    for (int i = 1; i < connections; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, asker, (void *)begun);
    }
    asker((void *)begun);
}

// Sends what comes on standard input as it is, the last of it with `connection: close`, and prints what is answered: another process's words.
static int say(void) {
    static char bytes[1 << 16];
    ssize_t got;
    int fd = connect_door(0);
    if (fd < 0) return 1;
    while ((got = read(0, bytes, sizeof bytes)) > 0)
        if (put(fd, bytes, (size_t)got) != 0) return 1;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        if (write(1, bytes, (size_t)got) != got) return 1;
    return 0;
}

static const char *status_of(int fd, const char *session) {
    static char answer[1 << 16], path[128];
    snprintf(path, sizeof path, "/v1/sessions/%s/close", session);
    if (exchange(fd, path, "{\"exit_status\":0}", answer, sizeof answer) != 0) return "closed";
    answer[12] = 0;
    return answer + 9;
}

// In a process namespace of its own: a guard opens a session and dies, its connection is kept by a child of it, and another process gets
// its number. Neither has the session.
static int pid_reuse(void) {
    int told_session[2], order[2];
    char session[31] = {0}, byte = 0;
    if (pipe(told_session) != 0 || pipe(order) != 0) return 1;
    pid_t guard = fork();
    if (guard == 0) {
        static char answer[1 << 16];
        const char *open = "{\"agent\":\"first\",\"agent_digest\":null,\"purpose\":null,\"workspace\":null,\"grants\":[],\"policy\":null}";
        int fd = connect_door(0);
        if (exchange(fd, "/v1/sessions", open, answer, sizeof answer) != 0) _exit(1);
        char *id = strstr(answer, "ses-");
        if (!id) _exit(1);
        pid_t heir = fork();
        if (heir == 0) {
            // Until its parent is gone and its number is used again.
            if (read(order[0], &byte, 1) != 1) _exit(1);
            printf("heir %s\n", status_of(fd, session[0] ? session : strtok(id, "\"")));
            fflush(stdout);
            _exit(0);
        }
        if (write(told_session[1], id, 30) != 30) _exit(1);
        _exit(0);
    }
    if (read(told_session[0], session, 30) != 30 || waitpid(guard, NULL, 0) != guard) return 1;
    for (int attempt = 0; attempt < 100; attempt++) {
        FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
        if (!last) return 1;
        fprintf(last, "%d", guard - 1);
        fclose(last);
        pid_t again = fork();
        if (again == 0) {
            if (getpid() != guard) _exit(1);
            printf("same %s\n", status_of(connect_door(0), session));
            fflush(stdout);
            _exit(0);
        }
        int status = 1;
        waitpid(again, &status, 0);
        if (status == 0) break;
    }
    (void)!write(order[1], &byte, 1);
    // The heir is nobody's child here; its line comes before the end of standard output.
    pause_ms(500);
    return 0;
}

static int told = -1;
static void tell(void) {
    int fd = __atomic_exchange_n(&told, -1, __ATOMIC_ACQ_REL);
    if (fd >= 0) {
        (void)!write(fd, ".", 1);
        close(fd);
    }
}

static void begin(void) {
    static const struct {
        const char *name;
        void (*run)(void (*)(void));
    } attacks[] = {
        {"idle", idle}, {"slow-heads", slow_heads}, {"slow-bodies", slow_bodies}, {"pipelined", pipelined}, {"never-reading", never_reading},
        {"garbage", garbage}, {"bad-json", bad_json}, {"storm", storm}, {"half-closed", half_closed}, {"descriptors", descriptors}, {"asking", asking},
    };
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
        if (strcmp(attacks[i].name, attack) == 0) attacks[i].run(tell);
    fprintf(stderr, "no attack is called %s\n", attack);
    _exit(2);
}

int main(int count, char **words) {
    if (count != 5) return 2;
    attack = words[2];
    int processes = atoi(words[3]);
    connections = atoi(words[4]);
    door.sun_family = AF_UNIX;
    snprintf(door.sun_path, sizeof door.sun_path, "%s", words[1]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(attack, "say") == 0) return say();
    if (strcmp(attack, "pid-reuse") == 0) return pid_reuse();
    int ready[2];
    if (pipe(ready) != 0) return 1;
    for (int i = 0; i < processes; i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(ready[0]);
            told = ready[1];
            begin();
        }
    }
    close(ready[1]);
    char byte;
    for (int i = 0; i < processes; i++)
        if (read(ready[0], &byte, 1) != 1) return 1;
    puts("ready");
    fflush(stdout);
    // Until the test has seen enough; the others die with this one.
    while (read(0, &byte, 1) > 0) {
    }
    return 0;
}
