// The agent outside of any cell: `outside SOCKET [FD]` reads lines and answers each in one line of STATUS TYPE BODY.
//
//   METHOD PATH [BODY]   one call at the agent door, on a connection of its own; the first on FD where one is given
//   exec PROGRAM         connects, then becomes PROGRAM, which makes its first call on that connection
//   memory               the same, and becomes a copy of itself that lies in memory alone
//   hide                 is not dumpable from now on
//   orphan METHOD PATH   connects, and ends; a child that has the connection makes the call afterwards
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *place;

static int reach(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path, place, sizeof a.sun_path - 1);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    return s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a) == 0 ? s : -1;
}

static void call(int s, const char *method, const char *path, const char *body) {
    static char answer[1 << 20];
    size_t got = 0;
    ssize_t n;
    dprintf(s, "%s %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s", method, path, strlen(body), body);
    while (got < sizeof answer - 1 && (n = read(s, answer + got, sizeof answer - 1 - got)) > 0) got += n;
    answer[got] = 0;
    close(s);
    char *type = strstr(answer, "content-type: "), *end = strstr(answer, "\r\n\r\n");
    if (!end) printf("000 none null\n");
    else printf("%.3s %.*s %s\n", answer + 9, type ? (int)strcspn(type + 14, "\r") : 0, type ? type + 14 : "", end + 4);
    fflush(stdout);
}

static void become(const char *program) {
    char number[16];
    snprintf(number, sizeof number, "%d", reach());
    execl(program, program, place, number, NULL);
    printf("000 none \"exec\"\n");
    fflush(stdout);
}

static void become_memory(void) {
    int in = open("/proc/self/exe", O_RDONLY), out = memfd_create("agent", 0);
    struct stat s;
    fstat(in, &s);
    char *bytes = mmap(NULL, s.st_size, PROT_READ, MAP_PRIVATE, in, 0);
    if (write(out, bytes, s.st_size) != s.st_size) exit(1);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", out);
    become(path);
}

int main(int argc, char **argv) {
    static char line[1 << 20];
    if (argc < 2) return 2;
    place = argv[1];
    int given = argc > 2 ? atoi(argv[2]) : -1;
    setvbuf(stdin, NULL, _IONBF, 0);  // What comes after `exec` is the next program's.
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *path = strchr(line, ' ');
        if (path) *path++ = 0;
        char *body = path ? strchr(path, ' ') : NULL;
        if (body) *body++ = 0;
        if (!strcmp(line, "exec")) become(path);
        else if (!strcmp(line, "memory")) become_memory();
        else if (!strcmp(line, "hide")) prctl(PR_SET_DUMPABLE, 0);
        else if (!strcmp(line, "orphan")) {
            int s = reach();
            pid_t parent = getpid();
            if (fork()) _exit(0);
            while (getppid() == parent) usleep(1000);
            call(s, path, body, "");
            return 0;
        } else {
            call(given >= 0 ? given : reach(), line, path, body ? body : "");
            given = -1;
        }
    }
    return 0;
}
