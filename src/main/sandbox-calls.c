/* SPDX-License-Identifier: MIT */
/*
 * sandbox-calls.c - the system calls of a serving process, and those of a reader of models, as
 * programs for the kernel's filter.
 *
 * The program is a list: "is it this one?  allowed", and at its end "EPERM".  The kernel remembers
 * which calls it always allows (since 5.11), so the length of the list costs nothing.  Classic BPF
 * as in linux/filter.h; struct seccomp_data holds the number, the architecture and the arguments.
 */
#include "config.h"
#include "main/sandbox-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"

#if defined __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0
#endif

/* Always allowed.  Those that only one architecture has are at the end. */
static const int allowed[] = {
    /* files that Landlock lets us open, and those that are open */
    SYS_openat,
    SYS_read,
    SYS_pread64,
    SYS_readv,
    SYS_write,
    SYS_pwrite64,
    SYS_writev,
    SYS_lseek,
    SYS_close,
    SYS_close_range,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_fsync,
    SYS_fdatasync,
    SYS_flock,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_unlinkat,
    SYS_memfd_create,
    SYS_fcntl,
    SYS_ioctl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_umask,
    /* memory; what may not be executed is below */
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_membarrier,
    /* threads, signals, time */
    SYS_futex,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_set_tid_address,
    SYS_gettid,
    SYS_getpid,
    SYS_getppid,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_getcpu,
    SYS_getpriority,
    SYS_tgkill,
    SYS_kill,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_nanosleep,
    SYS_clock_nanosleep,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_times,
    SYS_setitimer,
    /* the loop and its sockets; those that are made are below */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_ppoll,
    SYS_pselect6,
    SYS_eventfd2,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_accept,
    SYS_accept4,
    SYS_bind,
    SYS_listen,
    SYS_connect,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_shutdown,
    /* who and where we are, and what we may use */
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_uname,
    SYS_sysinfo,
    SYS_getrandom,
    SYS_getrusage,
    SYS_prlimit64,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_prctl,
    SYS_setsid,
    SYS_setpgid,
    SYS_wait4,
    SYS_waitid,
    /* a successor looks whether it is in one; readers go into their own */
    SYS_landlock_create_ruleset,
    SYS_landlock_add_rule,
    SYS_landlock_restrict_self,
    SYS_seccomp,
#ifdef __x86_64__
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_rename,
    SYS_unlink,
    SYS_chmod,
    SYS_chown,
    SYS_dup2,
    SYS_pipe,
    SYS_poll,
    SYS_select,
    SYS_epoll_wait,
    SYS_epoll_create,
    SYS_eventfd,
    SYS_time,
    SYS_fork,
    SYS_vfork,
    SYS_arch_prctl,
#endif
};

/* Of a reader of models: what is open, memory, threads. */
static const int of_reader[] = {
    SYS_read,
    SYS_pread64,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_memfd_create,
    SYS_ftruncate,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_membarrier,
    SYS_futex,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_gettid,
    SYS_getpid,
    SYS_exit,
    SYS_exit_group,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getcpu,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_getrandom,
};

enum {
    CHECKS = 56, /* instructions of what is looked at closely */
    INSTRUCTIONS = 8 + 2 * ARRAY_LEN(allowed) + CHECKS,
};

#define LOAD(what)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define GIVE(what)  BPF_STMT(BPF_RET | BPF_K, (what))
#define FAIL(error) GIVE(SECCOMP_RET_ERRNO | (error))
#define ALLOW       GIVE(SECCOMP_RET_ALLOW)
/* Go on behind so many instructions: where it is so, where it is not. */
#define IF_EQUAL(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))
#define IF_ANY(k, yes, no)   BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), (yes), (no))
#define IF_LEAST(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (k), (yes), (no))
#define AND(k)               BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (k))

static void put(struct sock_fprog *p, const struct sock_filter *what, size_t n)
{
    trit_assert(p->len + n <= INSTRUCTIONS);
    for (size_t i = 0; i < n; i++)
        p->filter[p->len++] = what[i];
}
#define PUT(p, ...)                                                                                \
    do {                                                                                           \
        const struct sock_filter lines[] = {__VA_ARGS__};                                          \
        put((p), lines, ARRAY_LEN(lines));                                                         \
    } while (0)

/* Arguments are 64 bits wide; what is looked at stands in the lower half, which comes first where
 * the machine is little-endian, as both of ours are. */
static void put_checks(struct sock_fprog *p, bool may_execute)
{
    const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    /* Its flags are in memory, which a filter cannot read; the C library then uses clone. */
    PUT(p, IF_EQUAL(SYS_clone3, 0, 1), FAIL(ENOSYS));
    PUT(p, IF_EQUAL(SYS_clone, 0, 4), LOAD(args[0]), IF_ANY(namespaces, 0, 1), FAIL(EPERM), ALLOW);
    PUT(p, IF_EQUAL(SYS_socket, 0, 4), LOAD(args[0]), IF_EQUAL(AF_UNIX, 0, 1), ALLOW, FAIL(EPERM));
    PUT(p, IF_EQUAL(SYS_socketpair, 0, 4), LOAD(args[0]), IF_EQUAL(AF_UNIX, 0, 1), ALLOW,
        FAIL(EPERM));
    /* A library may be mapped; what was written may not be run. */
    PUT(p, IF_EQUAL(SYS_mmap, 0, 5), LOAD(args[2]), AND(PROT_WRITE | PROT_EXEC),
        IF_EQUAL(PROT_WRITE | PROT_EXEC, 0, 1), FAIL(EPERM), ALLOW);
    PUT(p, IF_EQUAL(SYS_mprotect, 0, 4), LOAD(args[2]), IF_ANY(PROT_EXEC, 0, 1), FAIL(EPERM),
        ALLOW);
    /* The calling thread's own turn (base/slice.h). */
    PUT(p, IF_EQUAL(SYS_sched_setattr, 0, 4), LOAD(args[0]), IF_EQUAL(0, 0, 1), ALLOW, FAIL(EPERM));
    PUT(p, IF_EQUAL(SYS_setpriority, 0, 4), LOAD(args[1]), IF_EQUAL(0, 0, 1), ALLOW, FAIL(EPERM));
    if (may_execute)
        PUT(p, IF_EQUAL(SYS_execve, 0, 1), ALLOW);
}

/* A thread, but no process; a signal to ourselves, which is what abort() sends; a thread's name. */
static void put_reader_checks(struct sock_fprog *p)
{
    PUT(p, IF_EQUAL(SYS_clone3, 0, 1), FAIL(ENOSYS));
    PUT(p, IF_EQUAL(SYS_clone, 0, 4), LOAD(args[0]), IF_ANY(CLONE_THREAD, 0, 1), ALLOW,
        FAIL(EPERM));
    PUT(p, IF_EQUAL(SYS_tgkill, 0, 4), LOAD(args[0]), IF_EQUAL((uint32_t)getpid(), 0, 1), ALLOW,
        FAIL(EPERM));
    PUT(p, IF_EQUAL(SYS_prctl, 0, 4), LOAD(args[0]), IF_EQUAL(PR_SET_NAME, 0, 1), ALLOW,
        FAIL(EPERM));
    /* To seal, and to look.  The rest would have the kernel send any signal to whom it likes
     * (F_SETOWN, F_SETSIG), and change what the daemon has open too. */
    PUT(p, IF_EQUAL(SYS_fcntl, 0, 7), LOAD(args[1]), IF_EQUAL(F_ADD_SEALS, 4, 0),
        IF_EQUAL(F_GET_SEALS, 3, 0), IF_EQUAL(F_GETFD, 2, 0), IF_EQUAL(F_GETFL, 1, 0), FAIL(EPERM),
        ALLOW);
    /* Its own limits, which go down only. */
    PUT(p, IF_EQUAL(SYS_prlimit64, 0, 4), LOAD(args[0]), IF_EQUAL(0, 0, 1), ALLOW, FAIL(EPERM));
    /* It has its libraries. */
    PUT(p, IF_EQUAL(SYS_mmap, 0, 4), LOAD(args[2]), IF_ANY(PROT_EXEC, 0, 1), FAIL(EPERM), ALLOW);
    PUT(p, IF_EQUAL(SYS_mprotect, 0, 4), LOAD(args[2]), IF_ANY(PROT_EXEC, 0, 1), FAIL(EPERM),
        ALLOW);
}

static void begin(struct sock_fprog *p)
{
    PUT(p, LOAD(arch), IF_EQUAL(OUR_ARCH, 1, 0), GIVE(SECCOMP_RET_KILL_PROCESS), LOAD(nr));
#ifdef __x86_64__
    /* The calls of x32 have the same architecture and numbers of their own. */
    PUT(p, IF_LEAST(0x40000000, 0, 1), FAIL(EPERM));
#endif
}

static bool end(struct sock_fprog *p, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        PUT(p, IF_EQUAL((uint32_t)calls[i], 0, 1), ALLOW);
    PUT(p, FAIL(EPERM));
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, p) == 0;
}

bool sandbox_filter(bool may_execute)
{
    struct sock_filter code[INSTRUCTIONS];
    struct sock_fprog p = {0, code};
    if (OUR_ARCH == 0)
        return false;
    begin(&p);
    put_checks(&p, may_execute);
    return end(&p, allowed, ARRAY_LEN(allowed));
}

bool sandbox_filter_reader(void)
{
    struct sock_filter code[INSTRUCTIONS];
    struct sock_fprog p = {0, code};
    if (OUR_ARCH == 0)
        return false;
    begin(&p);
    put_reader_checks(&p);
    return end(&p, of_reader, ARRAY_LEN(of_reader));
}
