/* SPDX-License-Identifier: MIT */
/*
 * check_notify.c - what a service manager would receive, and what strange environments do.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "main/notify.h"
#include "unit.h"

static struct notify notify;

/* A manager's socket under an abstract name, and NOTIFY_SOCKET naming it. */
static int manager(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "tritd-check-%ld", (long)getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    a.sun_path[0] = '@';
    setenv("NOTIFY_SOCKET", a.sun_path, 1);
    return fd;
}

/* The next datagram, "" when there is none. */
static const char *receive(int fd)
{
    static char text[1024];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

START_TEST(messages_arrive_as_they_are)
{
    int fd = manager();
    notify_open(&notify);
    ck_assert_int_ge(notify.fd, 0);
    notify_send(&notify, "READY=1");
    ck_assert_str_eq(receive(fd), "READY=1");
    notify_send(&notify, "EXTEND_TIMEOUT_USEC=%d", 30000000);
    ck_assert_str_eq(receive(fd), "EXTEND_TIMEOUT_USEC=30000000");
    notify_reloading(&notify);
    unsigned long long usec = 0;
    ck_assert_int_eq(sscanf(receive(fd), "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
    ck_assert_uint_gt(usec, 0);
    notify_close(&notify);
    close(fd);
}
END_TEST

START_TEST(status_is_sent_when_it_changes)
{
    int fd = manager();
    notify_open(&notify);
    notify_status(&notify, "%d running", 1);
    ck_assert_str_eq(receive(fd), "STATUS=1 running");
    notify_status(&notify, "%d running", 1);
    ck_assert_str_eq(receive(fd), "");
    notify_status(&notify, "%d running", 2);
    ck_assert_str_eq(receive(fd), "STATUS=2 running");
    /* A line break would begin another variable. */
    notify_status(&notify, "a\nREADY=1");
    ck_assert_str_eq(receive(fd), "STATUS=a READY=1");
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    notify_status(&notify, "%s", longer);
    ck_assert_uint_eq(strlen(receive(fd)), strlen("STATUS=") + sizeof notify.status - 1);
    notify_close(&notify);
    close(fd);
}
END_TEST

START_TEST(a_socket_with_a_path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/check_notify.XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(a.sun_path, sizeof a.sun_path, "%s/s", dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    setenv("NOTIFY_SOCKET", a.sun_path, 1);
    notify_open(&notify);
    notify_send(&notify, "STOPPING=1");
    ck_assert_str_eq(receive(fd), "STOPPING=1");
    close(fd);
    unlink(a.sun_path);
    rmdir(dir);
    /* The manager is gone: nothing happens, in particular no SIGPIPE. */
    notify_send(&notify, "WATCHDOG=1");
    notify_close(&notify);
}
END_TEST

START_TEST(silence_without_a_manager)
{
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "1000000", 1);
    notify_open(&notify);
    ck_assert_int_eq(notify.fd, -1);
    ck_assert_double_eq(notify.watchdog_seconds, 0);
    notify_send(&notify, "READY=1");
    notify_status(&notify, "nobody hears this");
    notify_reloading(&notify);
    notify_close(&notify);

    static const char *const bad[] = {"", "relative", "@", "/", "vsock:2:1234"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        notify_open(&notify);
        ck_assert_msg(notify.fd == -1, "accepted NOTIFY_SOCKET=%s", bad[i]);
    }
    char longer[300] = "/";
    memset(longer + 1, 'x', sizeof longer - 2);
    longer[sizeof longer - 1] = '\0';
    setenv("NOTIFY_SOCKET", longer, 1);
    notify_open(&notify);
    ck_assert_int_eq(notify.fd, -1);
}
END_TEST

START_TEST(watchdog_belongs_to_one_process)
{
    static const struct {
        const char *usec;
        long pid; /* 0: none given, -1: ours */
        double seconds;
    } cases[] = {
        {"10000000", 0, 10}, {"500000", -1, 0.5}, {"10000000", 1, 0}, {"0", 0, 0},
        {"10s", 0, 0},       {"", 0, 0},          {"-5", 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = manager();
        char pid[32];
        setenv("WATCHDOG_USEC", cases[i].usec, 1);
        snprintf(pid, sizeof pid, "%ld", cases[i].pid < 0 ? (long)getpid() : cases[i].pid);
        if (cases[i].pid)
            setenv("WATCHDOG_PID", pid, 1);
        notify_open(&notify);
        ck_assert_double_eq(notify.watchdog_seconds, cases[i].seconds);
        /* A child must not believe that it is watched. */
        ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
        ck_assert_ptr_null(getenv("WATCHDOG_PID"));
        ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
        notify_close(&notify);
        close(fd);
    }
}
END_TEST

START_TEST(descriptors_are_given_and_taken_back)
{
    int fd = manager(), given = open("/dev/null", O_RDONLY | O_CLOEXEC), got = -1;
    char text[256], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    struct stat a, b;
    notify_open(&notify);
    ck_assert(notify_store(&notify, "tritd-kv", given));
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_str_eq(text, "FDSTORE=1\nFDNAME=tritd-kv\nFDPOLL=0");
    ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&m));
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
    ck_assert(fstat(given, &a) == 0 && fstat(got, &b) == 0);
    ck_assert(a.st_rdev == b.st_rdev && a.st_ino == b.st_ino);
    close(got);
    ck_assert(notify_unstore(&notify, "tritd-kv"));
    ck_assert_str_eq(receive(fd), "FDSTOREREMOVE=1\nFDNAME=tritd-kv");
    /* Who is not the main process says nothing, and says it all once it is. */
    notify_status(&notify, "one");
    ck_assert_str_eq(receive(fd), "STATUS=one");
    notify_mute(&notify, true);
    ck_assert(!notify_store(&notify, "tritd-kv", given));
    notify_send(&notify, "READY=1");
    ck_assert_str_eq(receive(fd), "");
    notify_mute(&notify, false);
    notify_status(&notify, "one");
    ck_assert_str_eq(receive(fd), "STATUS=one");
    notify_close(&notify);
    close(given);
    close(fd);
}
END_TEST

START_TEST(the_journal_is_known_by_its_inode)
{
    struct stat st;
    char text[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    unsetenv("JOURNAL_STREAM");
    ck_assert(!notify_stderr_is_journal());
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", text, 1);
    ck_assert(notify_stderr_is_journal());
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + 1);
    setenv("JOURNAL_STREAM", text, 1);
    ck_assert(!notify_stderr_is_journal());
    setenv("JOURNAL_STREAM", "nonsense", 1);
    ck_assert(!notify_stderr_is_journal());
}
END_TEST

int main(void)
{
    Suite *s = suite_create("notify");
    TCase *c = tcase_create("notify");
    tcase_add_test(c, messages_arrive_as_they_are);
    tcase_add_test(c, status_is_sent_when_it_changes);
    tcase_add_test(c, a_socket_with_a_path);
    tcase_add_test(c, silence_without_a_manager);
    tcase_add_test(c, watchdog_belongs_to_one_process);
    tcase_add_test(c, descriptors_are_given_and_taken_back);
    tcase_add_test(c, the_journal_is_known_by_its_inode);
    suite_add_tcase(s, c);
    return unit_run(s);
}
