/* SPDX-License-Identifier: MIT */
/*
 * manager.c - plays the service manager in tests: starts the daemon, hears its notifications, keeps
 * descriptors for it, and hands them to the next.
 *
 *     manager NOTIFY_PATH WATCHDOG_USEC ADDRESS:PORT|- PROGRAM ARGUMENTS...
 *
 * With an address it opens a socket there and hands it over as a socket unit would.  Commands come
 * from stdin, a line each; at its end everything is killed.
 *
 *     start                    the daemon, with all that is kept
 *     signal NUMBER            to the main process
 *     restart NUMBER           the same, and start when it has ended
 *     freeze THREAD-NAME, thaw one thread of the main process stands still (ptrace)
 *     drop NAME                a kept descriptor
 *     damage NAME              one bit of a kept memory file: a copy takes its place, sealed alike
 *
 * What happens is told on stdout, a line each, with seconds of the monotonic clock before it:
 *
 *     started PID, main PID, ended PID exit|signal NUMBER, ready PID, frozen TID
 *     notify PID TEXT, refused PID TEXT (of one that is not the main process), LF as " | "
 *     stored NAME, removed NAME COUNT, damaged NAME
 *
 * As systemd does it: only the main process is believed (NotifyAccess=main), which is the one that
 * was started or that a MAINPID= of its predecessor named, and descriptors outlive all of them.
 */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_MAX = 16, NAME_BYTES = 64, ALIVE_MAX = 16 };

static struct {
    int fd;
    char name[NAME_BYTES];
} kept[KEPT_MAX];
static int n_kept;

static const char *notify_path, *watchdog;
static int notify_fd, listen_fd = -1;
static char **program;
static pid_t main_pid, frozen, alive[ALIVE_MAX];
static bool restart;

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
    struct timespec t;
    va_list ap;
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("%lld.%06ld ", (long long)t.tv_sec, t.tv_nsec / 1000);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ------------------------------------------------------------------ the daemon */

static void become_daemon(void)
{
    int fds[KEPT_MAX + 1], n = 0;
    char names[(KEPT_MAX + 1) * NAME_BYTES] = "", number[32];
    if (listen_fd >= 0) {
        fds[n++] = fcntl(listen_fd, F_DUPFD, 64);
        strcat(names, "tritd.socket");
    }
    for (int i = 0; i < n_kept; i++) {
        fds[n++] = fcntl(kept[i].fd, F_DUPFD, 64);
        sprintf(names + strlen(names), "%s%s", *names ? ":" : "", kept[i].name);
    }
    for (int i = 0; i < n; i++) {
        dup2(fds[i], 3 + i);
        close(fds[i]);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sprintf(number, "%d", n);
    if (n)
        setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    sprintf(number, "%ld", (long)getpid());
    setenv("LISTEN_PID", number, 1);
    setenv("NOTIFY_SOCKET", notify_path, 1);
    if (strcmp(watchdog, "0") != 0)
        setenv("WATCHDOG_USEC", watchdog, 1);
    execv(program[0], program);
    die(program[0]);
}

/* One process in the list for another, 0 is none.  false: it is not there. */
static bool replace(pid_t old, pid_t new)
{
    for (int i = 0; i < ALIVE_MAX; i++) {
        if (alive[i] == old) {
            alive[i] = new;
            return true;
        }
    }
    return false;
}

static void start(void)
{
    restart = false;
    main_pid = fork();
    if (main_pid == 0)
        become_daemon();
    replace(0, main_pid);
    say("started %ld", (long)main_pid);
}

static void reap(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
        if (WIFSTOPPED(status)) {
            say("frozen %ld", (long)pid);
            continue;
        }
        if (!replace(pid, 0))
            continue; /* what a daemon left behind that was killed: its loaders, which end with it */
        say("ended %ld %s %d", (long)pid, WIFSIGNALED(status) ? "signal" : "exit",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (pid != main_pid)
            continue;
        main_pid = 0;
        if (restart)
            start();
    }
}

/* ------------------------------------------------------------------ notifications */

static const char *value_of(const char *text, const char *variable)
{
    size_t len = strlen(variable);
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, variable, len) == 0 && line[len] == '=')
            return line + len + 1;
    return NULL;
}

static void keep(const char *text, int fd)
{
    const char *name = value_of(text, "FDNAME");
    if (fd < 0 || n_kept == KEPT_MAX)
        return;
    kept[n_kept].fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    snprintf(kept[n_kept].name, NAME_BYTES, "%.*s", name ? (int)strcspn(name, "\n") : 6,
             name ? name : "stored");
    say("stored %s", kept[n_kept++].name);
}

static void drop(const char *name, size_t len)
{
    int n = 0;
    for (int i = 0; i < n_kept;) {
        if (strlen(kept[i].name) != len || strncmp(kept[i].name, name, len) != 0) {
            i++;
            continue;
        }
        close(kept[i].fd);
        kept[i] = kept[--n_kept];
        n++;
    }
    say("removed %.*s %d", (int)len, name, n);
}

/* The bit is in the middle, where a segment has weights. */
static void damage(const char *name)
{
    for (int i = 0; i < n_kept; i++) {
        if (strcmp(kept[i].name, name) != 0)
            continue;
        off_t size = lseek(kept[i].fd, 0, SEEK_END), from = 0;
        int copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        unsigned char byte;
        if (copy < 0)
            die("memfd_create");
        while (from < size)
            if (sendfile(copy, kept[i].fd, &from, (size_t)(size - from)) <= 0)
                die("sendfile");
        if (pread(copy, &byte, 1, size / 2) != 1)
            die("pread");
        byte ^= 4;
        if (pwrite(copy, &byte, 1, size / 2) != 1 ||
            fcntl(copy, F_ADD_SEALS, fcntl(kept[i].fd, F_GET_SEALS)) != 0)
            die("a damaged copy");
        close(kept[i].fd);
        kept[i].fd = copy;
        say("damaged %s", name);
    }
}

/* false: there is nothing to hear. */
static bool hear(void)
{
    char text[4096], control[256];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(notify_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return false;
    text[n] = '\0';
    pid_t from = 0;
    int fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct ucred who;
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&who, CMSG_DATA(c), sizeof who);
            from = who.pid;
        }
    }
    char line[sizeof text];
    int at = 0;
    for (const char *p = text; *p && at < 4000; p++)
        at += *p == '\n' ? sprintf(line + at, " | ") : sprintf(line + at, "%c", *p);
    line[at] = '\0';
    bool believed = from == main_pid;
    say("%s %ld %s", believed ? "notify" : "refused", (long)from, line);
    if (believed) {
        const char *removed = value_of(text, "FDNAME"), *pid = value_of(text, "MAINPID");
        if (value_of(text, "FDSTOREREMOVE") && removed)
            drop(removed, strcspn(removed, "\n"));
        else if (value_of(text, "FDSTORE"))
            keep(text, fd);
        if (value_of(text, "READY"))
            say("ready %ld", (long)from);
        if (pid) {
            main_pid = (pid_t)strtol(pid, NULL, 10);
            replace(0, main_pid);
            say("main %ld", (long)main_pid);
        }
    }
    if (fd >= 0)
        close(fd);
    return true;
}

/* ------------------------------------------------------------------ commands */

static void freeze(const char *thread)
{
    char path[300], comm[64];
    snprintf(path, sizeof path, "/proc/%ld/task", (long)main_pid);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && !frozen && (d = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/%ld/task/%s/comm", (long)main_pid, d->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(comm, sizeof comm, f) && strcmp(strtok(comm, "\n"), thread) == 0)
            frozen = (pid_t)strtol(d->d_name, NULL, 10);
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    if (!frozen || ptrace(PTRACE_SEIZE, frozen, NULL, NULL) != 0 ||
        ptrace(PTRACE_INTERRUPT, frozen, NULL, NULL) != 0)
        say("unfrozen %s", strerror(errno));
}

static void obey(char *line)
{
    char *word = strtok(line, " \n"), *rest = strtok(NULL, "\n");
    if (!word)
        return;
    if (strcmp(word, "start") == 0) {
        start();
    } else if ((strcmp(word, "signal") == 0 || strcmp(word, "restart") == 0) && rest && main_pid) {
        restart = *word == 'r';
        kill(main_pid, atoi(rest));
    } else if (strcmp(word, "freeze") == 0 && rest) {
        freeze(rest);
    } else if (strcmp(word, "thaw") == 0) {
        if (frozen)
            ptrace(PTRACE_DETACH, frozen, NULL, NULL);
        frozen = 0;
    } else if (strcmp(word, "drop") == 0 && rest) {
        drop(rest, strlen(rest));
    } else if (strcmp(word, "damage") == 0 && rest) {
        damage(rest);
    }
}

static void listen_on(char *address)
{
    char *colon = strrchr(address, ':');
    int one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    *colon = '\0';
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
        bind(listen_fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(listen_fd, 4096) != 0)
        die("listen");
    socklen_t len = sizeof a;
    getsockname(listen_fd, (struct sockaddr *)&a, &len);
    say("listening %d", ntohs(a.sin_port));
}

int main(int argc, char **argv)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (argc < 5 || strlen(argv[1]) >= sizeof a.sun_path) {
        fprintf(stderr, "usage: manager NOTIFY_PATH WATCHDOG_USEC ADDRESS:PORT|- PROGRAM ...\n");
        return 2;
    }
    notify_path = argv[1];
    watchdog = argv[2];
    program = argv + 4;
    strcpy(a.sun_path, notify_path);
    int one = 1;
    notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify_fd < 0 || bind(notify_fd, (struct sockaddr *)&a, sizeof a) != 0)
        die(notify_path);
    setsockopt(notify_fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    if (strcmp(argv[3], "-") != 0)
        listen_on(argv[3]);
    /* The successor that the daemon starts comes to us when the daemon ends, and is killed with us.
     */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    setvbuf(stdin, NULL, _IONBF, 0);

    struct pollfd p[] = {{.fd = notify_fd, .events = POLLIN},
                         {.fd = signals, .events = POLLIN},
                         {.fd = STDIN_FILENO, .events = POLLIN}};
    for (char line[256]; poll(p, 3, -1) >= 0 || errno == EINTR;) {
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof info) > 0)
            ;
        /* What a process has said before it ended comes first. */
        while (hear())
            ;
        reap();
        if (p[2].revents && !fgets(line, sizeof line, stdin))
            break;
        if (p[2].revents)
            obey(line);
    }
    for (int i = 0; i < ALIVE_MAX; i++)
        if (alive[i])
            kill(alive[i], SIGKILL);
    return 0;
}
