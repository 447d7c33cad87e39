/* SPDX-License-Identifier: MIT */
/*
 * check_sandbox.c - what the sandbox forbids is forbidden, what serving needs is not; each in a
 * child, because there is no way out.  Under the sanitizers there is no sandbox.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/slice.h"
#include "main/conf.h"
#include "main/sandbox.h"
#include "unit/unit.h"

static char dir[64];

/* ------------------------------------------------------------------ what is denied */

static long open_secret(void)
{
    return open("/etc/hostname", O_RDONLY | O_CLOEXEC);
}

static long write_elsewhere(void)
{
    return open("/var/tmp/check-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long change_what_may_be_read(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/read/file", dir);
    return open(path, O_WRONLY | O_CLOEXEC);
}

static long talk_elsewhere(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long send_packets(void)
{
    return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long run_a_shell(void)
{
    return execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
}

static long trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long new_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static long mount_something(void)
{
    return mount("none", dir, "tmpfs", 0, NULL);
}

static long load_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long make_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long map_code(void)
{
    const int prot = PROT_READ | PROT_WRITE | PROT_EXEC;
    return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long read_another(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static long ring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long another_user(void)
{
    return setuid(12345);
}

static long hurry_another(void)
{
    return setpriority(PRIO_PROCESS, (id_t)getppid(), 19);
}

static const struct denied {
    const char *name;
    long (*try)(void);
} denied[] = {
    {"open /etc/hostname", open_secret},
    {"write to /var/tmp", write_elsewhere},
    {"write where it reads", change_what_may_be_read},
    {"a TCP socket", talk_elsewhere},
    {"a packet socket", send_packets},
    {"a shell", run_a_shell},
    {"another's niceness", hurry_another},
    {"ptrace", trace},
    {"a namespace", new_namespace},
    {"mount", mount_something},
    {"bpf", load_bpf},
    {"memory to code", make_code},
    {"memory that is code", map_code},
    {"another's memory", read_another},
    {"io_uring", ring},
    {"setuid", another_user},
};

/* ------------------------------------------------------------------ more to a reader of models */

static long open_model(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/read/file", dir);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static long write_weights(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/write/file", dir);
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long look_at_a_file(void)
{
    struct stat st;
    return stat("/etc/hostname", &st);
}

static long talk_here(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long connect_again(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    return connect(STDERR_FILENO, (struct sockaddr *)&to, sizeof to);
}

static long have_a_child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid;
}

static long end_the_daemon(void)
{
    return kill(getppid(), 0);
}

static long signal_the_daemon(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

/* The kernel would send it for us. */
static long signal_by_a_file(void)
{
    return fcntl(STDERR_FILENO, F_SETOWN, getppid());
}

static long be_another(void)
{
    return prctl(PR_SET_DUMPABLE, 1);
}

static long limit_the_daemon(void)
{
    struct rlimit none = {0};
    return syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, &none, NULL);
}

/* The way around "what was written may not be run" that a library's mapping leaves. */
static long run_a_file(void)
{
    int fd = (int)syscall(SYS_memfd_create, "code", 0);
    if (fd < 0 || write(fd, "\xc3", 1) != 1)
        return -1;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? -1 : 0;
}

static const struct denied denied_to_reader[] = {
    {"open the model by name", open_model},
    {"open a segment by name", write_weights},
    {"stat", look_at_a_file},
    {"a UNIX socket", talk_here},
    {"connect", connect_again},
    {"fork", have_a_child},
    {"kill", end_the_daemon},
    {"tgkill", signal_the_daemon},
    {"fcntl", signal_by_a_file},
    {"prctl", be_another},
    {"another's limits", limit_the_daemon},
    {"a file that is code", run_a_file},
};

/* ------------------------------------------------------------------ what goes on */

static void *count(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

/* The line that failed; 0: none. */
static int serve(void)
{
    char path[96], byte = 1;
    pthread_t thread;
    int n = 0;
#define NEED(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            return __LINE__ & 127;                                                                 \
    } while (0)
    NEED(pthread_create(&thread, NULL, count, &n) == 0 && pthread_join(thread, NULL) == 0 && n);
    snprintf(path, sizeof path, "%s/read/file", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    NEED(fd >= 0 && read(fd, &byte, 1) == 1);
    snprintf(path, sizeof path, "%s/write/segment", dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    NEED(fd >= 0 && ftruncate(fd, 4096) == 0 && posix_fallocate(fd, 0, 4096) == 0);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEED(p != MAP_FAILED && mprotect(p, 4096, PROT_READ) == 0 && fchmod(fd, 0400) == 0);
    char to[104];
    snprintf(to, sizeof to, "%s.whole", path);
    NEED(rename(path, to) == 0 && unlink(to) == 0);
    NEED(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING) >= 0);
    NEED(eventfd(0, EFD_CLOEXEC) >= 0);
    int pair[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    NEED(open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0);
    NEED(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    NEED(slice_short() && slice_behind());
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0)
        _exit(7);
    int status;
    NEED(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
    return 0;
}

/* ------------------------------------------------------------------ the child */

enum { OPEN = 100, NO_LANDLOCK = 101, NO_SANDBOX = 102, LOST = 103 };

/* `again`: so many successors of it; there are 16 layers of Landlock. */
static struct sandbox enter(int again)
{
    char model[96], shm[96], program[] = "tritd", option[] = "--model", option_2[] = "--shm-dir";
    char *argv[] = {program, option, model, option_2, shm, NULL};
    struct conf c;
    enum conf_action action;
    struct trit_error err;
    struct sandbox in;
    snprintf(model, sizeof model, "%s/read/file", dir);
    snprintf(shm, sizeof shm, "%s/write", dir);
    if (conf_load(5, argv, &c, &action, &err) != 0)
        _exit(125);
    sandbox_enter(&c, NULL, false, &in);
    const struct sandbox first = in;
    for (int i = 0; i < again; i++)
        sandbox_enter(&c, NULL, true, &in);
    if (in.landlock != first.landlock || in.seccomp != first.seccomp)
        _exit(LOST);
    return in;
}

/* In a child: its exit status. */
static int in_sandbox(int which)
{
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct sandbox in = enter(which < 0 ? 0 : 20);
        if (!in.seccomp)
            _exit(NO_SANDBOX);
        if (which < 0)
            _exit(serve());
        if (!in.landlock && which < 3)
            _exit(NO_LANDLOCK);
        errno = 0;
        long rc = denied[which].try();
        _exit(rc >= 0 ? OPEN : errno);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

START_TEST(test_denied)
{
    int rc = in_sandbox(_i);
    if (rc == NO_SANDBOX || rc == NO_LANDLOCK)
        return;
    ck_assert_msg(rc == EPERM || rc == EACCES, "%s: %d %s", denied[_i].name, rc, strerror(rc));
}
END_TEST

/* Both lists are denied to it.  That enough is left shows where it reads models (check_loader). */
START_TEST(test_denied_to_reader)
{
    size_t n = ARRAY_LEN(denied);
    const struct denied *d =
        (size_t)_i < n ? &denied[_i] : &denied_to_reader[(size_t)_i - n];
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        sandbox_enter_reader();
        if (syscall(SYS_getppid) >= 0) /* Harmless, and not on its list. */
            _exit(NO_SANDBOX);
        errno = 0;
        long rc = d->try();
        _exit(rc >= 0 ? OPEN : errno);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    int rc = WEXITSTATUS(status);
    ck_assert_msg(rc == NO_SANDBOX || rc == EPERM || rc == EACCES, "%s: %d %s", d->name, rc,
                  strerror(rc));
}
END_TEST

START_TEST(test_serves)
{
    int rc = in_sandbox(-1);
    ck_assert_msg(rc == 0 || rc == NO_SANDBOX, "line %d (modulo 128)", rc);
}
END_TEST

static void set_up(void)
{
    char path[96];
    strcpy(dir, "/tmp/check-sandbox.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/read", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/write", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/read/file", dir);
    FILE *f = fopen(path, "we");
    ck_assert(f && fputs("x", f) > 0 && fclose(f) == 0);
}

static void tear_down(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/read/file", dir);
    unlink(path);
    static const char *const names[] = {"read", "write"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        rmdir(path);
    }
    rmdir(dir);
}

int main(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tc = tcase_create("sandbox");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_serves);
    tcase_add_loop_test(tc, test_denied, 0, (int)ARRAY_LEN(denied));
    tcase_add_loop_test(tc, test_denied_to_reader, 0,
                        (int)(ARRAY_LEN(denied) + ARRAY_LEN(denied_to_reader)));
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
