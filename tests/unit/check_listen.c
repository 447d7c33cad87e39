/* SPDX-License-Identifier: MIT */
/*
 * check_listen.c - opening, taking over and giving back the listening socket.
 */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "main/handed.h"
#include "main/listen.h"
#include "unit.h"

static struct listener listener;
static struct trit_error err;

/* With one socket, which is all that most of these need. */
static int open_one(const char *host, uint16_t port, bool allow_remote, struct listener *l,
                    struct trit_error *e)
{
    struct listeners all;
    struct listen_wish w = {.host = host,
                            .port = port,
                            .socket = "",
                            .mode = 0660,
                            .owner = "",
                            .allow_remote = allow_remote};
    struct handed handed;
    handed_open(&handed, false);
    int rc = listen_open(&w, &handed, NULL, &all, e);
    *l = rc == 0 ? all.at[0] : (struct listener){.fd = -1};
    return rc;
}

static void close_one(struct listener *l)
{
    struct listeners all = {.at = {*l}, .n = 1};
    listen_close(&all);
    l->fd = -1;
}

static bool connects(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return ok;
}

START_TEST(ephemeral_port_is_told)
{
    ck_assert_int_eq(open_one("localhost", 0, false, &listener, &err), 0);
    ck_assert_uint_gt(listener.port, 0);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", listener.port);
    ck_assert_str_eq(listener.url, url);
    ck_assert(!listener.activated);
    ck_assert(connects(listener.port));
    ck_assert_int_ne(fcntl(listener.fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC, 0);
    close_one(&listener);
    ck_assert(!connects((uint16_t)atoi(strrchr(url, ':') + 1)));
}
END_TEST

START_TEST(port_in_use_says_what_to_do)
{
    struct listener second;
    ck_assert_int_eq(open_one("127.0.0.1", 0, false, &listener, &err), 0);
    ck_assert_int_eq(open_one("127.0.0.1", listener.port, false, &second, &err), -TRIT_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "in use"));
    ck_assert_ptr_nonnull(strstr(err.text, "--port N"));
    ck_assert_int_eq(second.fd, -1);
    uint16_t port = listener.port;
    close_one(&listener);
    /* And at once again, although connections of before may linger. */
    ck_assert_int_eq(open_one("127.0.0.1", port, false, &listener, &err), 0);
    close_one(&listener);
    ck_assert_int_eq(open_one("192.0.2.1", 0, true, &listener, &err), -TRIT_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "not an address of this machine"));
}
END_TEST

START_TEST(unix_socket_lives_and_dies_with_its_owner)
{
    char dir[] = "/tmp/check_listen.XXXXXX", host[128], path[100];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tritd.sock", dir);
    snprintf(host, sizeof host, "unix:%s", path);
    ck_assert_int_eq(open_one(host, 8080, false, &listener, &err), 0);
    ck_assert_str_eq(listener.url, host);
    ck_assert_uint_eq(listener.port, 0);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);

    /* A second daemon must not steal it while somebody listens. */
    struct listener second;
    ck_assert_int_eq(open_one(host, 0, false, &second, &err), -TRIT_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "another process listens"));
    ck_assert_int_eq(access(path, F_OK), 0);

    /* kill -9 leaves the file behind; the next start replaces it. */
    close(listener.fd);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(open_one(host, 0, false, &second, &err), 0);
    listener.fd = dup(second.fd); /* The dead one must not remove what is no longer its own. */
    close_one(&listener);
    ck_assert_int_eq(access(path, F_OK), 0);
    close_one(&second);
    ck_assert_int_ne(access(path, F_OK), 0);

    /* What is no socket is not touched. */
    FILE *f = fopen(path, "w");
    fclose(f);
    ck_assert_int_eq(open_one(host, 0, false, &listener, &err), -TRIT_EIO);
    ck_assert_int_eq(access(path, F_OK), 0);
    unlink(path);
    rmdir(dir);
}
END_TEST

/*
 * Put `fd` where systemd puts its socket, say so, and open.  Descriptor 3 is Check's own pipe to
 * its runner, so nothing is asserted until it is back in place.
 */
struct activation {
    int rc, status_flags, fd_flags;
    bool connected, said;
};

static struct activation activate(int fd, const char *n_fds, long pid, bool allow_remote)
{
    struct activation r = {0};
    char text[32];
    snprintf(text, sizeof text, "%ld", pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", n_fds, 1);
    int saved = fcntl(3, F_DUPFD_CLOEXEC, 100);
    dup2(fd, 3);
    r.rc = open_one("127.0.0.1", 0, allow_remote, &listener, &err);
    if (r.rc == 0) {
        r.connected = connects(listener.port);
        r.status_flags = fcntl(listener.fd, F_GETFL);
        r.fd_flags = fcntl(listener.fd, F_GETFD);
        close_one(&listener);
    }
    r.said = getenv("LISTEN_FDS") != NULL;
    close(3);
    if (saved >= 0) {
        dup2(saved, 3);
        close(saved);
    }
    return r;
}

static int bound(uint32_t address, int type, bool is_listening)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, type, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    if (is_listening)
        ck_assert_int_eq(listen(fd, 5), 0);
    return fd;
}

START_TEST(activation_takes_one_listening_stream_socket)
{
    static const struct {
        uint32_t address;
        int type;
        bool listening, allow_remote;
        const char *n_fds;
        const char *error; /* NULL: taken */
    } cases[] = {
        {INADDR_LOOPBACK, SOCK_STREAM, true, false, "1", NULL},
        {INADDR_ANY, SOCK_STREAM, true, true, "1", NULL},
        {INADDR_ANY, SOCK_STREAM, true, false, "1", "allow-remote"},
        {INADDR_LOOPBACK, SOCK_STREAM, false, false, "1", "not listening"},
        {INADDR_LOOPBACK, SOCK_DGRAM, false, false, "1", "no stream socket"},
        {INADDR_LOOPBACK, SOCK_STREAM, true, false, "5", "found 5 sockets"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = bound(cases[i].address, cases[i].type, cases[i].listening);
        struct activation r = activate(fd, cases[i].n_fds, (long)getpid(), cases[i].allow_remote);
        close(fd);
        ck_assert(!r.said);
        if (cases[i].error) {
            ck_assert_int_lt(r.rc, 0);
            ck_assert_msg(strstr(err.text, cases[i].error) != NULL, "case %zu: %s", i, err.text);
            continue;
        }
        ck_assert_msg(r.rc == 0, "case %zu: %s", i, err.text);
        ck_assert(listener.activated);
        ck_assert(r.connected);
        ck_assert_int_ne(r.status_flags & O_NONBLOCK, 0);
        ck_assert_int_ne(r.fd_flags & FD_CLOEXEC, 0);
    }
}
END_TEST

START_TEST(activation_of_somebody_else_is_not_ours)
{
    int fd = bound(INADDR_LOOPBACK, SOCK_STREAM, true);
    struct activation r = activate(fd, "1", (long)getpid() + 1, false);
    close(fd);
    ck_assert_int_eq(r.rc, 0);
    ck_assert(!listener.activated);
    ck_assert(r.connected);
}
END_TEST

/* What a process before us has opened is taken if it is what is wished, and else closed. */
START_TEST(kept_sockets_are_taken_if_they_fit)
{
    struct listeners all;
    struct listen_wish w = {.host = "127.0.0.1", .socket = "", .mode = 0660, .owner = ""};
    struct handed h = {.n = 2};
    h.at[0].fd = bound(INADDR_LOOPBACK, SOCK_STREAM, true);
    strcpy(h.at[0].name, HANDED_LISTEN "0");
    h.at[1].fd = bound(INADDR_LOOPBACK, SOCK_STREAM, true);
    strcpy(h.at[1].name, HANDED_LISTEN "1");
    int kept = h.at[0].fd;
    ck_assert_msg(listen_open(&w, &h, NULL, &all, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(all.n, 1);
    ck_assert_int_eq(all.at[0].fd, kept);
    ck_assert(all.at[0].kept && !all.at[0].activated);
    ck_assert_uint_eq(h.n, 0); /* the second is not wished for */
    ck_assert(connects(all.at[0].port));
    uint16_t port = all.at[0].port;
    listen_close(&all);

    static const struct {
        uint32_t address;
        bool any_port, kept;
    } cases[] = {{INADDR_LOOPBACK, false, false}, {INADDR_LOOPBACK + 1, true, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        w.port = cases[i].any_port ? 0 : port;
        h.n = 1;
        h.at[0].fd = bound(cases[i].address, SOCK_STREAM, true);
        strcpy(h.at[0].name, HANDED_LISTEN "0");
        ck_assert_msg(listen_open(&w, &h, NULL, &all, &err) == 0, "case %zu: %s", i, err.text);
        ck_assert(all.at[0].kept == cases[i].kept);
        ck_assert_uint_eq(h.n, 0);
        ck_assert(connects(all.at[0].port));
        listen_close(&all);
    }
}
END_TEST

/* Its file is that of who has opened it, until it is left to us. */
START_TEST(file_of_a_kept_socket_is_owned_by_one)
{
    char dir[] = "/tmp/check_listen.XXXXXX", host[128], *path = host + 5;
    struct listeners first, second;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(host, sizeof host, "unix:%s/s", dir);
    struct listen_wish w = {.host = host, .socket = "", .mode = 0600, .owner = ""};
    struct handed h = {.n = 0};
    ck_assert_msg(listen_open(&w, &h, NULL, &first, &err) == 0, "%s", err.text);
    for (int round = 0; round < 2; round++) {
        h.n = 1;
        h.at[0].fd = dup(first.at[0].fd);
        strcpy(h.at[0].name, HANDED_LISTEN "0");
        ck_assert_msg(listen_open(&w, &h, NULL, &second, &err) == 0, "%s", err.text);
        ck_assert(second.at[0].kept);
        if (round == 1) {
            listen_leave(&first);
            listen_close(&first);
            listen_own(&second);
        }
        ck_assert_int_eq(access(path, F_OK), 0);
        listen_close(&second);
        ck_assert_int_eq(access(path, F_OK), round == 0 ? 0 : -1);
    }
    rmdir(dir);
}
END_TEST

START_TEST(agents_socket_is_taken_if_it_fits)
{
    struct listener l;
    struct handed h = {.n = 1};
    h.at[0].fd = bound(INADDR_LOOPBACK, SOCK_STREAM, true);
    strcpy(h.at[0].name, HANDED_AGENT);
    int kept = h.at[0].fd;
    ck_assert_msg(listen_open_agent("unix:/s", 0, false, &h, &l, &err) == 0, "%s", err.text);
    ck_assert_int_eq(l.fd, kept);
    ck_assert_uint_eq(h.n, 0);
    uint16_t port = l.port;
    ck_assert(connects(port));
    /* Another one is left; and a port in use is told by the name of its key. */
    struct listener second;
    h.n = 1;
    h.at[0].fd = bound(INADDR_LOOPBACK, SOCK_STREAM, true);
    ck_assert_int_eq(listen_open_agent("127.0.0.1", port, false, &h, &second, &err), -TRIT_EIO);
    ck_assert_int_eq(second.fd, -1);
    ck_assert_uint_eq(h.n, 1);
    ck_assert_int_eq(strncmp(err.text, "agent-port: ", 12), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "--agent-port N chooses another"));
    listen_close_one(&l);
    handed_close(&h);
}
END_TEST

START_TEST(names_tell_what_was_handed)
{
    struct handed h;
    char pid[32];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "4", 1);
    setenv("LISTEN_FDNAMES", "tritd.socket:tritd-kv::tritd-weights", 1);
    handed_open(&h, false);
    ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
    ck_assert_uint_eq(h.n, 4);
    ck_assert_uint_eq(handed_sockets(&h), 2); /* a socket unit's name may be anything */
    ck_assert_int_eq(handed_take(&h, HANDED_WEIGHTS), 6);
    ck_assert_int_eq(handed_take(&h, HANDED_WEIGHTS), -1);
    ck_assert_int_eq(handed_look(&h, HANDED_KV), 4);
    ck_assert_int_eq(handed_take_socket(&h), 3);
    ck_assert_int_eq(handed_take_socket(&h), 5);
    ck_assert_int_eq(handed_take_socket(&h), -1);
    ck_assert_uint_eq(h.n, 1);
    static const char *const bad[] = {"", "-1", "x", "3x", "65", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", bad[i], 1);
        handed_open(&h, false);
        ck_assert_uint_eq(h.n, 0);
    }
    /* A successor is started under the number of who starts it. */
    snprintf(pid, sizeof pid, "%ld", (long)getppid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    handed_open(&h, true);
    ck_assert_uint_eq(h.n, 1);
}
END_TEST

START_TEST(all_of_a_kind_are_dropped)
{
    static const char *const names[] = {HANDED_KV, HANDED_WEIGHTS "-1f", HANDED_KV "-1f", "other",
                                        HANDED_KV "x"};
    struct handed h = {.n = ARRAY_LEN(names)};
    for (size_t i = 0; i < h.n; i++) {
        h.at[i].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        snprintf(h.at[i].name, sizeof h.at[i].name, "%s", names[i]);
    }
    handed_drop_kind(&h, HANDED_KV, NULL);
    ck_assert_uint_eq(h.n, 3);
    for (size_t i = 0; i < h.n; i++)
        ck_assert_str_eq(h.at[i].name, names[i ? i + 2 : 1]);
    handed_drop_models(&h, NULL);
    ck_assert_uint_eq(h.n, 2);
    handed_close(&h);
}
END_TEST

START_TEST(port_file_holds_the_port)
{
    char path[] = "/tmp/check_listen.XXXXXX", text[32] = "";
    close(mkstemp(path));
    ck_assert_int_eq(open_one("::1", 0, false, &listener, &err), 0);
    ck_assert_int_eq(listen_write_port(&listener, path, &err), 0);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
    fclose(f);
    unlink(path);
    char expected[32];
    snprintf(expected, sizeof expected, "%u\n", listener.port);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(listen_write_port(&listener, "/nonexistent/p", &err), -TRIT_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "port-file: /nonexistent/p"));
    close_one(&listener);
}
END_TEST

START_TEST(unix_socket_beside_the_host)
{
    char dir[] = "/tmp/check_listen.XXXXXX", path[100], owner[64];
    struct listeners all;
    struct stat st;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(owner, sizeof owner, "%u:%u", (unsigned)getuid(), (unsigned)getgid());
    struct listen_wish w = {
        .host = "127.0.0.1", .socket = path, .mode = 0600, .owner = owner, .tls = true};
    struct handed none = {.n = 0};
    ck_assert_msg(listen_open(&w, &none, NULL, &all, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(all.n, 2);
    ck_assert(!all.at[0].local && all.at[1].local);
    ck_assert_int_eq(strncmp(all.at[0].url, "https://127.0.0.1:", 18), 0);
    ck_assert_int_eq(strncmp(all.at[1].url, "unix:/", 6), 0);
    ck_assert(connects(all.at[0].port));
    ck_assert(!listen_is_remote(&all));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    listen_close(&all);
    ck_assert_int_ne(access(path, F_OK), 0);

    /* What cannot be had leaves nothing behind. */
    w.owner = "no-such-user";
    ck_assert_int_lt(listen_open(&w, &none, NULL, &all, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "no user no-such-user"));
    w.owner = ":no-such-group";
    ck_assert_int_lt(listen_open(&w, &none, NULL, &all, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "no group no-such-group"));
    /* Numbers are not cut to what fits; the last one is how chown(2) is told of nobody. */
    static const char *const numbers[] = {"4294967295", "4294967296", "99999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        w.owner = numbers[i];
        ck_assert_int_lt(listen_open(&w, &none, NULL, &all, &err), 0);
        ck_assert_ptr_nonnull(strstr(err.text, "socket-owner: there is no user"));
        ck_assert_ptr_nonnull(strstr(err.text, numbers[i]));
    }
    ck_assert_int_ne(access(path, F_OK), 0);
    rmdir(dir);
}
END_TEST

START_TEST(modes_and_owners)
{
    mode_t mode;
    ck_assert(listen_read_mode("0660", &mode) && mode == 0660);
    ck_assert(listen_read_mode("777", &mode) && mode == 0777);
    ck_assert(!listen_read_mode("1777", &mode) && !listen_read_mode("66", &mode));
    ck_assert(!listen_read_mode("", &mode) && !listen_read_mode("0668", &mode));
    ck_assert(listen_is_owner("") && listen_is_owner("a") && listen_is_owner("a:b"));
    ck_assert(listen_is_owner(":b") && !listen_is_owner("a:") && !listen_is_owner("a:b:c"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listen");
    TCase *c = tcase_create("listen");
    tcase_add_test(c, ephemeral_port_is_told);
    tcase_add_test(c, port_in_use_says_what_to_do);
    tcase_add_test(c, unix_socket_lives_and_dies_with_its_owner);
    tcase_add_test(c, activation_takes_one_listening_stream_socket);
    tcase_add_test(c, activation_of_somebody_else_is_not_ours);
    tcase_add_test(c, kept_sockets_are_taken_if_they_fit);
    tcase_add_test(c, file_of_a_kept_socket_is_owned_by_one);
    tcase_add_test(c, agents_socket_is_taken_if_it_fits);
    tcase_add_test(c, names_tell_what_was_handed);
    tcase_add_test(c, all_of_a_kind_are_dropped);
    tcase_add_test(c, port_file_holds_the_port);
    tcase_add_test(c, unix_socket_beside_the_host);
    tcase_add_test(c, modes_and_owners);
    suite_add_tcase(s, c);
    return unit_run(s);
}
