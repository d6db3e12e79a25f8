/* A service manager in small: it does with sockets what systemd does, and speaks to a socket as any user.
 *
 * activate serve [TIMES] [NAME=KIND:PATH]... -- PROGRAM ARGUMENTS
 *   binds the sockets, hands them to the program from descriptor 3 on when somebody comes to one, and starts it again when it has ended.
 *   KIND is stream (listening), deaf (bound, not listening) or datagram. The sockets stay open all the time.
 * activate call SOCKET
 *   sends standard input and prints what comes back until the other side closes. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include <fcntl.h>

enum { SOCKETS_MAX = 8 };

static void fail(const char *what) {
    perror(what);
    exit(9);
}

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail(path);
    strcpy(address.sun_path, path);
    return address;
}

static int made(const char *kind, const char *path) {
    int datagram = !strncmp(kind, "datagram", 8);
    int made = socket(AF_UNIX, (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = address_of(path);
    unlink(path);
    if (made < 0 || bind(made, (struct sockaddr *)&address, sizeof address)) fail(path);
    if (!strncmp(kind, "stream", 6) && listen(made, 128)) fail("listen");
    return made;
}

static void become(char **program, const int *sockets, int count, const char *names) {
    char text[32];
    /* Above the places where they go, so that none is written over before it is moved. */
    int high[SOCKETS_MAX];
    for (int i = 0; i < count; i++) high[i] = fcntl(sockets[i], F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < count; i++) {
        if (dup2(high[i], 3 + i) < 0) fail("dup2");
    }
    snprintf(text, sizeof text, "%d", count);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof text, "%d", (int)getpid());
    /* The test of a stranger's words says itself whose they are. */
    setenv("LISTEN_PID", getenv("FOREIGN_PID") ? getenv("FOREIGN_PID") : text, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    execv(program[0], program);
    fail(program[0]);
}

static int serve(int argc, char **argv) {
    int sockets[SOCKETS_MAX], count = 0, at = 0;
    char names[256] = "";
    int times = atoi(argv[at++]);
    for (; at < argc && strcmp(argv[at], "--") && count < SOCKETS_MAX; at++) {
        char *kind = strchr(argv[at], '='), *path = kind ? strchr(kind, ':') : NULL;
        if (!path) fail(argv[at]);
        *kind++ = 0;
        *path++ = 0;
        sockets[count++] = made(kind, path);
        if (names[0]) strcat(names, ":");
        strncat(names, argv[at], 30);
    }
    if (at + 1 >= argc) fail("no program");
    printf("listening\n");
    fflush(stdout);
    int status = 0;
    for (; times > 0; times--) {
        struct pollfd waited[SOCKETS_MAX];
        for (int i = 0; i < count; i++) waited[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
        /* What does not listen is never come to: the program is started at once. */
        if (!getenv("AT_ONCE")) poll(waited, count, -1);
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child == 0) {
            /* It goes when the test goes. */
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            become(argv + at + 1, sockets, count, names);
        }
        if (waitpid(child, &status, 0) < 0) fail("waitpid");
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int call(const char *path) {
    int peer = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = address_of(path);
    if (connect(peer, (struct sockaddr *)&address, sizeof address)) fail("connect");
    char bytes[65536];
    ssize_t got;
    while ((got = read(0, bytes, sizeof bytes)) > 0) {
        if (write(peer, bytes, got) != got) fail("write");
    }
    while ((got = read(peer, bytes, sizeof bytes)) > 0) fwrite(bytes, 1, got, stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 3 && !strcmp(argv[1], "serve")) return serve(argc - 2, argv + 2);
    if (argc > 2 && !strcmp(argv[1], "call")) return call(argv[2]);
    fprintf(stderr, "usage: activate serve|call\n");
    return 2;
}
