/* SPDX-License-Identifier: MIT */
/*
 * check_log.c - lines nobody can forge, readers that sleep, full disks, floods, the journal.
 *
 * Each test runs in a process of its own (Check forks), with a pipe or a file as its stderr.
 */
#include "config.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/log.h"
#include "unit/unit.h"

#define HOSTILE                                                                                    \
    "a\r\nb\x1b[31m\xc2\x9b"                                                                       \
    "c\xff\"\\ \xc3\xa9"

/* stderr becomes a file in memory; its descriptor. */
static int to_memory(void)
{
    int fd = memfd_create("log", 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    return fd;
}

static char text[4 << 20];

static const char *written(int fd)
{
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    return text;
}

static unsigned count(const char *s, const char *what)
{
    unsigned n = 0;
    for (; (s = strstr(s, what)); s += strlen(what))
        n++;
    return n;
}

static void log_hostile(void)
{
    struct log_field f[] = {LOG_TEXT("id", "req-1"),      LOG_TEXT("name", HOSTILE),
                            LOG_COUNT("tokens", 7),       LOG_NUMBER("ms", 1.25, 1),
                            LOG_NUMBER("joules", NAN, 3), LOG_TEXT("trace", NULL),
                            LOG_TEXT("empty", "")};
    log_fields(LOG_INFO, NULL, "request", f, ARRAY_LEN(f));
}

START_TEST(a_line_of_text)
{
    int fd = to_memory();
    log_open(LOG_INFO, 1);
    log_hostile();
    log_debug("not this one");
    ck_assert_str_eq(written(fd),
                     "<6>request id=req-1 name=\"a??b?[31m?c?\\\"\\\\ \xc3\xa9\" tokens=7 "
                     "ms=1.2 empty=\"\"\n");
}
END_TEST

START_TEST(a_line_cannot_be_forged)
{
    int fd = to_memory();
    log_open(LOG_INFO, 0);
    log_info("one %s", HOSTILE);
    const char *line = written(fd);
    ck_assert_uint_eq(count(line, "\n"), 1);
    ck_assert_ptr_null(strchr(line, '\r'));
    ck_assert_ptr_null(strchr(line, '\x1b'));
    ck_assert_ptr_null(strstr(line, "\xc2\x9b"));
}
END_TEST

START_TEST(a_json_object)
{
    int fd = to_memory();
    log_open(LOG_INFO, 0);
    log_set_json(true);
    log_hostile();
    cJSON *o = cJSON_Parse(written(fd));
    ck_assert_ptr_nonnull(o);
    ck_assert_str_eq(cJSON_GetObjectItem(o, "event")->valuestring, "request");
    ck_assert_str_eq(cJSON_GetObjectItem(o, "level")->valuestring, "info");
    ck_assert_str_eq(cJSON_GetObjectItem(o, "name")->valuestring, "a??b?[31m?c?\"\\ \xc3\xa9");
    ck_assert_int_eq(cJSON_GetObjectItem(o, "tokens")->valueint, 7);
    ck_assert(cJSON_IsNumber(cJSON_GetObjectItem(o, "ms")));
    ck_assert_ptr_null(cJSON_GetObjectItem(o, "joules"));
    ck_assert_uint_eq(strlen(cJSON_GetObjectItem(o, "time")->valuestring),
                      strlen("2026-01-01T00:00:00.000Z"));
    cJSON_Delete(o);
}
END_TEST

/* Values far longer than an entry: what is left is an object still, on one line. */
START_TEST(a_json_object_that_is_too_long)
{
    static char big[5000];
    int fd = to_memory();
    log_open(LOG_INFO, 0);
    log_set_json(true);
    for (size_t len = 1000; len < sizeof big; len += 7) {
        memset(big, '"', len);
        big[len] = '\0';
        struct log_field f[] = {LOG_TEXT("a", big), LOG_TEXT("b", big), LOG_COUNT("c", len)};
        ck_assert_int_eq(ftruncate(fd, 0), 0);
        lseek(fd, 0, SEEK_SET);
        log_fields(LOG_INFO, NULL, "request", f, ARRAY_LEN(f));
        const char *end;
        cJSON *o = cJSON_ParseWithOpts(written(fd), &end, 0);
        ck_assert_msg(o != NULL, "len %zu", len);
        ck_assert_str_eq(end, "\n");
        cJSON_Delete(o);
    }
}
END_TEST

START_TEST(a_flood_of_one_cause)
{
    enum { N = 500 };
    int fd = to_memory();
    struct log_losses lost;
    log_open(LOG_INFO, 1);
    ck_assert(log_start());
    struct log_field f = LOG_COUNT("n", 1);
    for (int i = 0; i < N; i++)
        log_fields(LOG_INFO, "chat 400", "request", &f, 1);
    for (int i = 0; i < 50; i++)
        log_fields(LOG_INFO, NULL, "good", &f, 1);
    log_stop(5);
    log_get_losses(&lost);
    const char *all = written(fd), *told = all;
    unsigned lines = count(all, "<6>request n="), suppressed = 0;
    ck_assert_uint_ge(lines, LOG_PER_SECOND);
    ck_assert_uint_lt(lines, N);
    for (unsigned n; (told = strstr(told, "log-suppressed cause=\"chat 400\" lines=")); told++) {
        ck_assert_int_eq(sscanf(told, "log-suppressed cause=\"chat 400\" lines=%u", &n), 1);
        suppressed += n;
    }
    ck_assert_uint_eq(lines + suppressed, N);
    ck_assert_uint_eq(lost.limited, suppressed);
    ck_assert_uint_eq(count(all, "<6>good "), 50);
}
END_TEST

/* Nobody reads: nobody waits, and in the end it is known how many lines are missing. */
START_TEST(a_reader_that_sleeps)
{
    enum { N = 20000 };
    int ends[2];
    struct log_losses lost;
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    log_open(LOG_INFO, 1);
    ck_assert(log_start());
    for (unsigned i = 0; i < N; i++)
        log_info("line number=%u and some more, so that it fills the buffer soon", i);
    log_error("an error finds room=yes");
    log_get_losses(&lost);
    ck_assert_uint_gt(lost.blocked, 0);

    /* The reader wakes up. */
    size_t len = 0;
    const char *told;
    unsigned missing;
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    /* The error is the last line; what is lost may be told before it or behind it. */
    while (!(told = strstr(text, "log-lost lines=")) || !strchr(told, '\n') ||
           !strstr(text, "room=yes\n")) {
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        ssize_t n = read(ends[0], text + len, sizeof text - 1 - len);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
        text[len] = '\0';
    }
    ck_assert_int_eq(sscanf(told, "log-lost lines=%u", &missing), 1);
    ck_assert_uint_eq(missing, lost.blocked);
    ck_assert_uint_eq(count(text, "<6>line number=") + missing, N);
    ck_assert_uint_eq(count(text, "<3>an error finds room=yes\n"), 1);
}
END_TEST

START_TEST(the_end_does_not_wait_for_a_sleeper)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    log_open(LOG_INFO, 1);
    ck_assert(log_start());
    for (unsigned i = 0; i < 5000; i++)
        log_info("line number=%u and some more, so that it fills the buffer soon", i);
    log_stop(0.1); /* Check's own limit ends a test that hangs. */
}
END_TEST

START_TEST(a_full_disk)
{
    struct log_losses lost;
    int fd = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    log_open(LOG_INFO, 0);
    log_info("before");
    ck_assert(log_start());
    for (int i = 0; i < 9; i++)
        log_info("after");
    log_stop(5);
    log_get_losses(&lost);
    ck_assert_uint_eq(lost.failed, 10);
    ck_assert_uint_eq(lost.blocked, 0);
}
END_TEST

static void *talk(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("thread=%s i=%03d end", (const char *)arg, i);
    return NULL;
}

START_TEST(many_threads)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t thread[4];
    int fd = to_memory();
    log_open(LOG_INFO, 1);
    ck_assert(log_start());
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, talk, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    log_stop(5);
    unsigned lines = 0;
    for (char *save, *line = strtok_r((char *)(uintptr_t)written(fd), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save), lines++) {
        ck_assert_uint_eq(strlen(line), strlen("<6>thread=a i=000 end"));
        ck_assert_int_eq(memcmp(line, "<6>thread=", 10), 0);
    }
    ck_assert_uint_eq(lines, 800);
}
END_TEST

START_TEST(the_journal)
{
    int err = to_memory();
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/check_log.XXXXXX", entry[8192];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    log_open(LOG_INFO, 1);
    ck_assert(!log_to_journal("/nonexistent/socket"));
    ck_assert(log_to_journal(a.sun_path));
    log_hostile();
    ssize_t n = recv(fd, entry, sizeof entry - 1, MSG_DONTWAIT);
    ck_assert_int_gt(n, 0);
    entry[n] = '\0';
    ck_assert_str_eq(
        entry, "MESSAGE=request id=req-1 name=\"a??b?[31m?c?\\\"\\\\ \xc3\xa9\" tokens=7 ms=1.2 "
               "empty=\"\"\n"
               "PRIORITY=6\nSYSLOG_IDENTIFIER=tritd\nTRITD_EVENT=request\n"
               "TRITD_ID=req-1\nTRITD_NAME=a??b?[31m?c?\"\\ \xc3\xa9\nTRITD_TOKENS=7\n"
               "TRITD_MS=1.2\nTRITD_EMPTY=\n");
    ck_assert_str_eq(written(err), "");
    log_warn("second line=here");
    n = recv(fd, entry, sizeof entry - 1, MSG_DONTWAIT);
    ck_assert_int_gt(n, 0);
    entry[n] = '\0';
    ck_assert_str_eq(entry, "MESSAGE=second line=here\nPRIORITY=4\nSYSLOG_IDENTIFIER=tritd\n"
                            "TRITD_EVENT=second\n");
    /* The journal has gone: what it would have got goes to stderr. */
    close(fd);
    unlink(a.sun_path);
    rmdir(dir);
    log_warn("third line=here");
    ck_assert_str_eq(written(err), "<4>third line=here\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_line_of_text);
    tcase_add_test(tc, a_line_cannot_be_forged);
    tcase_add_test(tc, a_json_object);
    tcase_add_test(tc, a_json_object_that_is_too_long);
    tcase_add_test(tc, a_flood_of_one_cause);
    tcase_add_test(tc, a_reader_that_sleeps);
    tcase_add_test(tc, the_end_does_not_wait_for_a_sleeper);
    tcase_add_test(tc, a_full_disk);
    tcase_add_test(tc, many_threads);
    tcase_add_test(tc, the_journal);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
