/* SPDX-License-Identifier: MIT */
/*
 * fail.c - a library to preload: the n-th allocation or system call of a process fails, once.
 *
 *     FAIL_KIND=memory|call  what is counted; kill: calls, and the daemon is killed there, whoever makes it
 *     FAIL_AT=N              the one that fails; 0: none
 *     FAIL_COUNT=FILE        receives, at the end, how many there were and what failed: "1234 mmap"
 *
 * Calls fail as they do on a machine that is out of something: ENOMEM, EMFILE, ENOSPC, EAGAIN, EIO.
 * The next one fails instead where libuv is the caller and calls abort(): its pool of threads, its
 * own epoll set, the eventfd that wakes it.  So reads fail only where they are of files.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT     __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

/* Of a daemon and of the readers of models that it forks: one failure for all of them. */
static struct shared {
    atomic_ulong seen;
    atomic_ulong fail_at;
    const char *_Atomic failed;
} *shared;
static enum { NOTHING, MEMORY, CALL } kind;
static pid_t victim; /* of FAIL_KIND=kill */

__attribute__((constructor)) static void begin(void)
{
    const char *which = getenv("FAIL_KIND"), *at = getenv("FAIL_AT");
    void *p = (void *)syscall(SYS_mmap, NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    shared = p;
    shared->failed = "nothing";
    kind = !which ? NOTHING : strcmp(which, "memory") == 0 ? MEMORY : CALL;
    if (which && strcmp(which, "kill") == 0)
        victim = getpid();
    shared->fail_at = at ? strtoul(at, NULL, 10) : 0;
    unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("FAIL_COUNT");
    char text[64];
    if (!path)
        return;
    int n = snprintf(text, sizeof text, "%lu %s\n", atomic_load(&shared->seen), shared->failed);
    int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!REAL(write)(fd, text, (size_t)n);
        close(fd);
    }
}

static bool from_libuv(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libuv");
}

static bool must_fail_of(const void *caller, int of, const char *what, int error)
{
    if ((int)kind != of || atomic_fetch_add(&shared->seen, 1) + 1 != atomic_load(&shared->fail_at))
        return false;
    if (victim)
        kill(victim, SIGKILL);
    if (from_libuv(caller)) {
        atomic_fetch_add(&shared->fail_at, 1);
        return false;
    }
    shared->failed = what;
    errno = error;
    return true;
}

#define must_fail(...) must_fail_of(__builtin_return_address(0), __VA_ARGS__)

/* ------------------------------------------------------------------ memory */

EXPORT void *malloc(size_t n)
{
    return must_fail(MEMORY, "malloc", ENOMEM) ? NULL : __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return must_fail(MEMORY, "calloc", ENOMEM) ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    return must_fail(MEMORY, "realloc", ENOMEM) ? NULL : __libc_realloc(p, n);
}

EXPORT void *aligned_alloc(size_t alignment, size_t n)
{
    return must_fail(MEMORY, "aligned_alloc", ENOMEM) ? NULL : __libc_memalign(alignment, n);
}

/* ------------------------------------------------------------------ calls */

EXPORT int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return must_fail(CALL, "open", EMFILE) ? -1 : REAL(open)(path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return must_fail(CALL, "openat", EMFILE) ? -1 : REAL(openat)(dir, path, flags, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    return must_fail(CALL, "fopen", EMFILE) ? NULL : REAL(fopen)(path, mode);
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    return is_file(fd) && must_fail(CALL, "read", EIO) ? -1 : REAL(read)(fd, buf, n);
}

EXPORT ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    return must_fail(CALL, "pread", EIO) ? -1 : REAL(pread)(fd, buf, n, at);
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    return must_fail(CALL, "write", ENOSPC) ? -1 : REAL(write)(fd, buf, n);
}

EXPORT void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    return must_fail(CALL, "mmap", ENOMEM) ? MAP_FAILED
                                           : REAL(mmap)(at, n, prot, flags, fd, offset);
}

EXPORT int mprotect(void *at, size_t n, int prot)
{
    return must_fail(CALL, "mprotect", ENOMEM) ? -1 : REAL(mprotect)(at, n, prot);
}

EXPORT int memfd_create(const char *name, unsigned flags)
{
    return must_fail(CALL, "memfd_create", EMFILE) ? -1 : REAL(memfd_create)(name, flags);
}

EXPORT int ftruncate(int fd, off_t n)
{
    return must_fail(CALL, "ftruncate", ENOSPC) ? -1 : REAL(ftruncate)(fd, n);
}

EXPORT int fallocate(int fd, int mode, off_t at, off_t n)
{
    return must_fail(CALL, "fallocate", ENOSPC) ? -1 : REAL(fallocate)(fd, mode, at, n);
}

EXPORT int posix_fallocate(int fd, off_t at, off_t n)
{
    return must_fail(CALL, "posix_fallocate", ENOSPC) ? ENOSPC : REAL(posix_fallocate)(fd, at, n);
}

EXPORT int rename(const char *from, const char *to)
{
    return must_fail(CALL, "rename", ENOSPC) ? -1 : REAL(rename)(from, to);
}

EXPORT int socket(int domain, int type, int protocol)
{
    return must_fail(CALL, "socket", EMFILE) ? -1 : REAL(socket)(domain, type, protocol);
}

EXPORT int bind(int fd, const struct sockaddr *to, socklen_t n)
{
    return must_fail(CALL, "bind", ENOMEM) ? -1 : REAL(bind)(fd, to, n);
}

EXPORT int listen(int fd, int backlog)
{
    return must_fail(CALL, "listen", ENOMEM) ? -1 : REAL(listen)(fd, backlog);
}

EXPORT int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    return must_fail(CALL, "accept4", EMFILE) ? -1 : REAL(accept4)(fd, from, n, flags);
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    return must_fail(CALL, "recv", ENOMEM) ? -1 : REAL(recv)(fd, buf, n, flags);
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    return must_fail(CALL, "send", ENOMEM) ? -1 : REAL(send)(fd, buf, n, flags);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    return must_fail(CALL, "setsockopt", ENOMEM) ? -1 : REAL(setsockopt)(fd, level, name, value, n);
}

EXPORT int epoll_create1(int flags)
{
    return must_fail(CALL, "epoll_create1", EMFILE) ? -1 : REAL(epoll_create1)(flags);
}

EXPORT int epoll_ctl(int set, int op, int fd, struct epoll_event *e)
{
    bool fails = op != EPOLL_CTL_DEL && must_fail(CALL, "epoll_ctl", ENOSPC);
    return fails ? -1 : REAL(epoll_ctl)(set, op, fd, e);
}

EXPORT int eventfd(unsigned value, int flags)
{
    return must_fail(CALL, "eventfd", EMFILE) ? -1 : REAL(eventfd)(value, flags);
}

EXPORT int pipe2(int fd[2], int flags)
{
    return must_fail(CALL, "pipe2", EMFILE) ? -1 : REAL(pipe2)(fd, flags);
}

EXPORT int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return must_fail(CALL, "pthread_create", EAGAIN) ? EAGAIN
                                                     : REAL(pthread_create)(t, attr, fn, arg);
}
