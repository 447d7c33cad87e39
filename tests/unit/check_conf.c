/* SPDX-License-Identifier: MIT */
/*
 * check_conf.c - the table of keys: what is read, what is refused and how, which origin wins, and
 * that conf/tritd.conf, as it is installed, tells the truth about every default.
 *
 * Not here: several models (check_conf_models.c).
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "main/conf-key.h"
#include "unit/conf-run.h"

START_TEST(defaults_are_those_of_the_table)
{
    ck_assert_int_eq(LOAD("--model", "m.gguf"), 0);
    ck_assert_int_eq(action, CONF_RUN);
    ck_assert_str_eq(conf.model, "m.gguf");
    ck_assert_str_eq(conf.host, "127.0.0.1");
    ck_assert_uint_eq(conf.port, 8080);
    ck_assert_uint_eq(conf.max_body, 4 << 20);
    ck_assert_double_eq(conf.ping_seconds, 5);
    ck_assert(conf.shared);
    ck_assert(!conf.mlock);
    ck_assert_str_eq(conf.kv_type, "f16");
    for (size_t i = 0; i < conf_n_keys; i++) {
        ck_assert_int_eq(conf.origin[i],
                         strcmp(conf_keys[i].name, "model") == 0 ? CONF_COMMAND : CONF_DEFAULT);
        if (conf_keys[i].command_only || i == 0)
            continue;
        ck_assert_str_eq(conf.text[i], conf_keys[i].text);
    }
    conf_fini(&conf);
}
END_TEST

/* Whether it is installed on this machine or not: the default is an absolute path, and what is said
 * of a file that is not there is said of no other path. */
START_TEST(the_built_in_model_is_the_default)
{
    ck_assert_int_eq(LOAD("--port=1"), 0);
    ck_assert_int_eq(conf.model[0], '/');
    ck_assert_str_eq(conf.model + strlen(conf.model) - strlen(".gguf"), ".gguf");
    if (access(conf.model, F_OK) == 0) {
        ck_assert_int_eq(conf_check_model(&conf, &err), 0);
    } else {
        ck_assert_int_eq(conf_check_model(&conf, &err), -TRIT_ENOENT);
        ck_assert_ptr_nonnull(strstr(err.text, conf.model));
        ck_assert_ptr_nonnull(strstr(err.text, "--model PATH"));
    }
    conf_fini(&conf);
    ck_assert_int_eq(LOAD("--model=/nonexistent/m.gguf"), 0);
    ck_assert_int_eq(conf_check_model(&conf, &err), 0);
    conf_fini(&conf);
}
END_TEST

START_TEST(command_line_wins_over_file_over_default)
{
    char *path = file_of("port = 1111\nhost = ::1\nmodel = file.gguf\n");
    ck_assert_int_eq(LOAD("--port", "2222", "--config", path), 0);
    ck_assert_uint_eq(conf.port, 2222);
    ck_assert_str_eq(conf.host, "::1");
    ck_assert_str_eq(conf.model, "file.gguf");
    ck_assert_uint_eq(conf.max_batch, 32);
    ck_assert_int_eq(conf.origin[conf_find("port", 4) - conf_keys], CONF_COMMAND);
    ck_assert_int_eq(conf.origin[conf_find("host", 4) - conf_keys], CONF_FILE);
    ck_assert_int_eq(conf.origin[conf_find("pin", 3) - conf_keys], CONF_DEFAULT);
    conf_fini(&conf);
    drop_file();
}
END_TEST

START_TEST(file_syntax)
{
    char *path = file_of("# a comment\n"
                         "\n"
                         "  model=a#b.gguf   # the name has a hash in it\r\n"
                         "\talias =  two words \t\n"
                         "port-file =# nothing\n"
                         "port=0");
    ck_assert_int_eq(LOAD("--config", path), 0);
    ck_assert_str_eq(conf.model, "a#b.gguf");
    ck_assert_str_eq(conf.alias, "two words");
    ck_assert_uint_eq(conf.port, 0);
    conf_fini(&conf);
    drop_file();
}
END_TEST

START_TEST(sizes_seconds_and_switches)
{
    ck_assert_int_eq(LOAD("--model=m", "--kv-bytes", "512M", "--max-body=2K", "--ping-seconds",
                          "0.25", "--no-shared", "--mlock", "--pin", "no",
                          "--half-close-aborts=off", "--ctx", "2K"),
                     0);
    ck_assert_uint_eq(conf.kv_bytes, 512ull << 20);
    ck_assert_uint_eq(conf.max_body, 2048);
    ck_assert_double_eq(conf.ping_seconds, 0.25);
    ck_assert(!conf.shared);
    ck_assert(conf.mlock);
    ck_assert(!conf.pin);
    ck_assert(!conf.half_close_aborts);
    ck_assert_uint_eq(conf.ctx, 2048);
    conf_fini(&conf);
}
END_TEST

START_TEST(a_wrong_line_is_named)
{
    assert_refused("\nport = 80a80\n",
                   "2: port: found \"80a80\", expected a whole number from 0 to 65535");
    assert_refused("port = 65536\n",
                   "1: port: found \"65536\", expected a whole number from 0 to 65535");
    assert_refused("port = -1\n", "1: port: found \"-1\", expected a whole number from 0 to 65535");
    assert_refused("port =\n", "1: port: found \"\", expected a whole number from 0 to 65535");
    assert_refused("prot = 80\n", "1: unknown key \"prot\", did you mean \"port\"?");
    assert_refused("colour = red\n", "1: unknown key \"colour\", expected one that --help lists");
    assert_refused("port 80\n", "1: found \"port 80\", expected key = value");
    assert_refused("pin = maybe\n", "1: pin: found \"maybe\", expected yes or no");
    assert_refused("head-type = f1\n", "1: head-type: found \"f1\", expected one of auto|q8|f16");
    assert_refused("head-type = q8|f16\n",
                   "1: head-type: found \"q8|f16\", expected one of auto|q8|f16");
    assert_refused("ping-seconds = inf\n",
                   "1: ping-seconds: found \"inf\", expected seconds from 0.1 to 3600");
    assert_refused("ping-seconds = 1e999\n",
                   "1: ping-seconds: found \"1e999\", expected seconds from 0.1 to 3600");
    assert_refused("ping-seconds = 0x10\n",
                   "1: ping-seconds: found \"0x10\", expected seconds from 0.1 to 3600");
    assert_refused("ping-seconds = 5s\n",
                   "1: ping-seconds: found \"5s\", expected seconds from 0.1 to 3600");
    assert_refused("port = 1\n# x\nport = 2\n", "3: port: stands in line 1 already");
    assert_refused("config = other.conf\n", "1: config: only the command line can say this");
    assert_refused("= 5\n", "1: unknown key \"\", expected one that --help lists");
    assert_refused("kv-bytes = 99999999999999999999\n",
                   "1: kv-bytes: found \"99999999999999999999\", expected a number from 0 to "
                   "1099511627776; K, M, G and T mean powers of 1024");
    /* 2^54 T is 2^94: the shift must be seen to lose bits. */
    assert_refused("kv-bytes = 18014398509481984T\n",
                   "1: kv-bytes: found \"18014398509481984T\", expected a number from 0 to "
                   "1099511627776; K, M, G and T mean powers of 1024");
}
END_TEST

/* Even when the command line has the last word, a wrong line in the file is an error. */
START_TEST(an_unused_value_is_checked_too)
{
    char *path = file_of("port = nonsense\n");
    ck_assert_int_lt(LOAD("--model=m", "--port=1", "--config", path), 0);
    drop_file();
}
END_TEST

START_TEST(bad_command_lines)
{
    static const struct {
        const char *words[4];
        const char *text;
    } cases[] = {
        {{"tritd", "--port"}, "--port: found nothing, expected a value"},
        {{"tritd", "--prot", "1"}, "--prot: unknown option, did you mean --port?"},
        {{"tritd", "--colour=red"}, "--colour=red: unknown option; tritd --help lists them"},
        {{"tritd", "-x"}, "-x: unknown option; tritd --help lists them"},
        {{"tritd", "model.gguf"}, "model.gguf: found a word by itself, expected --KEY VALUE"},
        {{"tritd", "--threads=two"},
         "--threads: found \"two\", expected a whole number from 0 to 1024"},
        {{"tritd", "--config=/nonexistent/t.conf"},
         "/nonexistent/t.conf: cannot be opened: No such file or directory"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_int_lt(load(cases[i].words), 0);
        ck_assert_str_eq(err.text, cases[i].text);
    }
}
END_TEST

START_TEST(rules_between_keys)
{
    static const struct {
        const char *words[6];
        const char *text;
    } cases[] = {
        {{"tritd", "--model="},
         "model: found nothing, expected the path of a GGUF file: --model PATH, or \"model = "
         "PATH\" "
         "in the configuration file"},
        {{"tritd", "--model=m", "--model="},
         "model: found nothing, expected the path of a GGUF file: --model PATH, or \"model = "
         "PATH\" "
         "in the configuration file"},
        {{"tritd", "--step-tokens=8"},
         "step-tokens: found 8, expected at least max-batch, which is 32: every running sequence "
         "gets a token in each step"},
        {{"tritd", "--host=unix:/a/b", "--port-file=p"},
         "port-file: found \"p\", but host is a unix socket, which has no port"},
        {{"tritd", "--socket-mode=rw"},
         "socket-mode: found \"rw\", expected octal digits like 0660"},
        {{"tritd", "--socket-mode=0888"},
         "socket-mode: found \"0888\", expected octal digits like 0660"},
        {{"tritd", "--socket-owner=:"},
         "socket-owner: found \":\", expected USER, USER:GROUP or :GROUP"},
        {{"tritd", "--socket=rel"},
         "socket: found \"rel\", expected a path from / on of at most 107 bytes that is not the "
         "host's"},
        {{"tritd", "--socket=/a", "--host=unix:/a"},
         "socket: found \"/a\", expected a path from / on of at most 107 bytes that is not the "
         "host's"},
        {{"tritd", "--tls-cert=c"},
         "tls-key: found nothing, expected a file, because tls-cert has one"},
        {{"tritd", "--tls-key=k"},
         "tls-cert: found nothing, expected a file, because tls-key has one"},
        {{"tritd", "--cors-origins=https://a.example b"},
         "cors-origins: found \"b\", expected origins like https://a.example:8443, or *"},
        {{"tritd", "--model=a", "--alias=x", "--model=b", "--alias=x"},
         "alias: two models are called \"x\""},
        {{"tritd", "--model=a", "--alias=x,y"},
         "alias: found \"x,y\", expected a name of at most 100 bytes without commas, brackets and "
         "#"},
        {{"tritd", "--model=a", "--model=b", "--alias=\xff"},
         "alias: found \"?\", expected a name of at most 100 bytes without commas, brackets and #"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_msg(load(cases[i].words) == -TRIT_EINVAL, "case %zu: %s", i, err.text);
        ck_assert_str_eq(err.text, cases[i].text);
    }
    ck_assert_int_eq(LOAD("--model=a", "--model=b", "--alias=x", "--model=c", "--alias=x"),
                     -TRIT_EINVAL);
    ck_assert_str_eq(err.text, "alias: two models are called \"x\"");
}
END_TEST

START_TEST(other_machines_need_an_explicit_word)
{
    static const char *const remote[] = {"0.0.0.0", "::", "192.0.2.1", "2001:db8::1",
                                         "::ffff:0.0.0.1"};
    static const char *const local[] = {"127.0.0.1", "127.9.9.9",        "::1",
                                        "localhost", "::ffff:127.0.0.1", "unix:/run/t.sock"};
    static const char *const nonsense[] = {
        "", "example.org", "127.0.0.1:80", "unix:", "unix:rel", "127.0.0.256", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
        char host[64];
        snprintf(host, sizeof host, "--host=%s", remote[i]);
        ck_assert_int_eq(LOAD("--model=m", host), -TRIT_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "allow-remote = yes"));
        ck_assert_int_eq(LOAD("--model=m", host, "--allow-remote"), 0);
        conf_fini(&conf);
        ck_assert_int_eq(LOAD("--model=m", host, "--api-keys=/a"), 0);
        conf_fini(&conf);
    }
    for (size_t i = 0; i < ARRAY_LEN(local); i++) {
        char host[64];
        snprintf(host, sizeof host, "--host=%s", local[i]);
        ck_assert_int_eq(LOAD("--model=m", host), 0);
        conf_fini(&conf);
    }
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
        char host[64];
        snprintf(host, sizeof host, "--host=%s", nonsense[i]);
        ck_assert_int_eq(LOAD("--model=m", host, "--allow-remote"), -TRIT_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "host: found"));
    }
    /* One byte more than a socket address holds. */
    char path[160] = "--host=unix:/";
    memset(path + strlen(path), 'x', 107);
    ck_assert_int_eq(LOAD("--model=m", path), -TRIT_EINVAL);
    path[strlen(path) - 1] = '\0';
    ck_assert_int_eq(LOAD("--model=m", path), 0);
    conf_fini(&conf);
}
END_TEST

START_TEST(questions_instead_of_serving)
{
    ck_assert_int_eq(LOAD("--help"), 0);
    ck_assert_int_eq(action, CONF_HELP);
    conf_fini(&conf);
    ck_assert_int_eq(LOAD("--port=1", "-h"), 0);
    ck_assert_int_eq(action, CONF_HELP);
    conf_fini(&conf);
    ck_assert_int_eq(LOAD("--version"), 0);
    ck_assert_int_eq(action, CONF_VERSION);
    conf_fini(&conf);
    ck_assert_int_eq(LOAD("--check-config", "--model=m"), 0);
    ck_assert_int_eq(action, CONF_CHECK);
    conf_fini(&conf);
    ck_assert_int_lt(LOAD("--check-config", "--model="), 0);
}
END_TEST

/* What --check-config prints is itself a file that means the same. */
START_TEST(printed_configuration_reads_back)
{
    char *path = file_of("model = some.gguf\nctx = 1K\nshared = no\nstall-seconds = 1.5\n");
    ck_assert_int_eq(LOAD("--config", path, "--port=7"), 0);
    struct conf first = conf;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    conf_print(&first, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "# command line"));
    ck_assert_ptr_nonnull(strstr(text, "# default"));
    ck_assert_int_eq(LOAD("--config", file_of(text)), 0);
    for (size_t i = 0; i < conf_n_keys; i++)
        if (!conf_keys[i].command_only)
            ck_assert_str_eq(conf.text[i], first.text[i]);
    free(text);
    conf_fini(&first);
    conf_fini(&conf);
    drop_file();
}
END_TEST

START_TEST(help_names_every_key_and_its_default)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    conf_help(out);
    fclose(out);
    for (size_t i = 0; i < conf_n_keys; i++) {
        char word[80];
        snprintf(word, sizeof word, "\n  --%s %s", conf_keys[i].name, conf_keys[i].placeholder);
        ck_assert_msg(strstr(text, word) != NULL, "--help lacks %s", word);
    }
    /* A path cannot be broken: a line that holds nothing else may be long. */
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strlen(line) <= 100 || !strchr(line + strspn(line, " "), ' '),
                      "a line of --help is too long: %s", line);
    free(text);
}
END_TEST

/* conf/tritd.conf: "#key = default" for every key of a file, and nothing else.  It is in the build
 * directory, where the tests run, because it names installed paths. */
START_TEST(example_file_is_complete_and_true)
{
    static const char path[] = "conf/tritd.conf";
    char line[400];
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    bool seen[CONF_KEYS_MAX] = {false};
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line + 1, " =");
        char *equals = strstr(line, "=");
        /* A setting has no blank after its #, a sentence has one. */
        if (line[0] != '#' || line[1] == ' ' || line[1] == '\n' || !equals) {
            ck_assert_msg(line[0] == '#' || line[0] == '\n', "not commented out: %s", line);
            continue;
        }
        const struct conf_key *key = conf_find(line + 1, len);
        ck_assert_msg(key && !key->command_only, "no such key: %s", line);
        ck_assert_msg(!seen[key - conf_keys], "twice: %s", line);
        seen[key - conf_keys] = true;
        char *value = equals + 1 + strspn(equals + 1, " ");
        value[strcspn(value, "\n")] = '\0';
        ck_assert_msg(strcmp(value, key->text) == 0, "%s: the file says \"%s\", the table \"%s\"",
                      key->name, value, key->text);
    }
    fclose(f);
    for (size_t i = 0; i < conf_n_keys; i++)
        ck_assert_msg(seen[i] || conf_keys[i].command_only, "missing: %s", conf_keys[i].name);
}
END_TEST

static unsigned n_changes, n_reloadable;

static void count_change(const char *key, const char *from, const char *to, bool reloadable,
                         void *arg)
{
    (void)arg;
    ck_assert_ptr_nonnull(key);
    ck_assert_str_ne(from, to);
    n_changes++;
    n_reloadable += reloadable;
}

START_TEST(reload_takes_what_can_change)
{
    ck_assert_int_eq(LOAD("--model=m"), 0);
    struct conf running = conf;
    char *path = file_of("model = other\nlog-level = debug\nping-seconds = 2\nport = 9\n");
    ck_assert_int_eq(LOAD("--config", path), 0);
    n_changes = n_reloadable = 0;
    conf_changes(&running, &conf, count_change, NULL);
    ck_assert_uint_eq(n_changes, 5); /* those four, and the file's own name */
    ck_assert_uint_eq(n_reloadable, 2);
    ck_assert_int_eq(conf_adopt(&running, &conf), 0);
    conf_fini(&conf);
    ck_assert_str_eq(running.log_level, "debug");
    ck_assert_double_eq(running.ping_seconds, 2);
    ck_assert_str_eq(running.model, "m");
    ck_assert_uint_eq(running.port, 8080);
    conf_fini(&running);
    drop_file();
}
END_TEST

/* Every allocation fails once, in turn: an error each time, never a crash or a leak. */
START_TEST(survives_lack_of_memory)
{
    char *path = file_of("model = m\nport = 1\nlog-level = warn\n");
    unsigned n = 0;
    int rc;
    do {
        mem_fail_at(++n);
        rc = LOAD("--config", path, "--host=::1");
        if (rc != 0)
            ck_assert_int_eq(rc, -TRIT_ENOMEM);
        ck_assert_uint_lt(n, 1000);
    } while (!mem_fail_pending() && rc != 0);
    mem_fail_at(0);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_gt(n, conf_n_keys);

    struct conf running = conf;
    ck_assert_int_eq(LOAD("--model=m", "--log-level=error"), 0);
    for (n = 1; mem_fail_at(n), conf_adopt(&running, &conf) != 0; n++)
        ck_assert_str_eq(running.log_level, "warn");
    mem_fail_at(0);
    ck_assert_uint_gt(n, 5);
    ck_assert_str_eq(running.log_level, "error");
    conf_fini(&running);
    conf_fini(&conf);
    drop_file();
}
END_TEST

START_TEST(a_strange_file_is_refused)
{
    char *path = file_of("");
    FILE *f = fopen(path, "w");
    fwrite("port = 1\0\nhost = x\n", 1, 19, f);
    fclose(f);
    char expected[200];
    ck_assert_int_eq(LOAD("--model=m", "--config", path), -TRIT_EFORMAT);
    snprintf(expected, sizeof expected, "%s: holds a NUL byte, expected text", path);
    ck_assert_str_eq(err.text, expected);
    ck_assert_int_eq(truncate(path, 10 << 20), 0);
    ck_assert_int_eq(LOAD("--model=m", "--config", path), -TRIT_ETOOBIG);
    ck_assert_ptr_nonnull(strstr(err.text, "bytes, expected a configuration file"));
    ck_assert_int_eq(LOAD("--model=m", "--config=."), -TRIT_EIO);
    ck_assert_str_eq(err.text, ".: cannot be read: Is a directory");
    drop_file();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conf");
    TCase *t = tcase_create("conf");
    tcase_add_test(t, defaults_are_those_of_the_table);
    tcase_add_test(t, the_built_in_model_is_the_default);
    tcase_add_test(t, command_line_wins_over_file_over_default);
    tcase_add_test(t, file_syntax);
    tcase_add_test(t, sizes_seconds_and_switches);
    tcase_add_test(t, a_wrong_line_is_named);
    tcase_add_test(t, an_unused_value_is_checked_too);
    tcase_add_test(t, bad_command_lines);
    tcase_add_test(t, rules_between_keys);
    tcase_add_test(t, other_machines_need_an_explicit_word);
    tcase_add_test(t, questions_instead_of_serving);
    tcase_add_test(t, printed_configuration_reads_back);
    tcase_add_test(t, help_names_every_key_and_its_default);
    tcase_add_test(t, example_file_is_complete_and_true);
    tcase_add_test(t, reload_takes_what_can_change);
    tcase_add_test(t, survives_lack_of_memory);
    tcase_add_test(t, a_strange_file_is_refused);
    suite_add_tcase(suite, t);
    return unit_run(suite);
}
