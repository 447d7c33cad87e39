/* SPDX-License-Identifier: MIT */
/*
 * conf-read.c - the two places where an operator writes settings: the command line and the file.
 *
 * The file has one `key = value` a line.  A # at the start of a line or a value or after a blank
 * begins a comment.  There are no quotes and no includes: a value is what stands between the
 * blanks, and a key stands there once.  A line [model NAME] begins a section, to the next or the
 * end: keys of one model more.
 *
 * On the command line, --model given again begins one more, and keys of models that follow are its
 * own.
 */
#include "config.h"
#include "main/conf-key.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"

/* More than any sensible file has; a path to a device or a model given by mistake stops here. */
#define FILE_BYTES_MAX (256 * 1024)

#define BLANKS " \t\r"

/* The whole file, NUL-terminated; NULL with *err set. */
static char *slurp(const char *path, struct trit_error *err)
{
    struct buf text = {0};
    FILE *f = fopen(path, "re");
    if (!f) {
        trit_fail(err, errno == ENOENT ? TRIT_ENOENT : TRIT_EIO, "%s: cannot be opened: %s", path,
                  strerror(errno));
        return NULL;
    }
    char chunk[4096];
    for (size_t n; text.len <= FILE_BYTES_MAX && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_add(&text, chunk, n);
    int failed = ferror(f) ? errno : 0;
    fclose(f);
    buf_addc(&text, '\n'); /* So that there is a buffer, and every line has an end. */
    if (failed)
        trit_fail(err, TRIT_EIO, "%s: cannot be read: %s", path, strerror(failed));
    else if (text.failed)
        trit_fail(err, TRIT_ENOMEM, "%s: no memory to read it", path);
    else if (text.len > FILE_BYTES_MAX)
        trit_fail(err, TRIT_ETOOBIG, "%s: larger than %d bytes, expected a configuration file",
                  path, FILE_BYTES_MAX);
    else if (memchr(text.data, '\0', text.len))
        trit_fail(err, TRIT_EFORMAT, "%s: holds a NUL byte, expected text", path);
    else
        return buf_take(&text, NULL);
    buf_free(&text);
    return NULL;
}

/* Cut the blanks and the comment off; the text is changed in place. */
static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    for (char *p = s; *p; p++) {
        if (*p == '#' && (p == s || strchr(BLANKS, p[-1]))) {
            *p = '\0';
            break;
        }
    }
    size_t len = strlen(s);
    while (len && strchr(BLANKS, s[len - 1]))
        len--;
    s[len] = '\0';
    return s;
}

static int unknown_key(const char *where, const char *name, size_t len, struct trit_error *err)
{
    const char *near = conf_nearest(name, len);
    if (near)
        return trit_fail(err, TRIT_EINVAL, "%s: unknown key \"%.*s\", did you mean \"%s\"?", where,
                         (int)MIN(len, 64), name, near);
    return trit_fail(err, TRIT_EINVAL, "%s: unknown key \"%.*s\", expected one that --help lists",
                     where, (int)MIN(len, 64), name);
}

/* Where the file is being read. */
struct reading {
    struct conf *c, *section; /* section NULL: in front of the first */
    const char *path;
    unsigned line, section_line;
    unsigned first_seen[CONF_KEYS_MAX]; /* in which line of this section */
};

/* A section is over: what must have been in it? */
static int end_section(const struct reading *r, struct trit_error *err)
{
    if (!r->section || r->section->model)
        return 0;
    return trit_fail(err, TRIT_EINVAL, "%.300s:%u: the section has no line \"model = PATH\"",
                     r->path, r->section_line);
}

/* "[model NAME]". */
static int read_section(struct reading *r, const char *where, char *line, struct trit_error *err)
{
    static const char word[] = "[model";
    size_t len = strlen(line), skip = sizeof word - 1;
    if (strncmp(line, word, skip) != 0 || !strchr(BLANKS, line[skip]) || line[len - 1] != ']')
        return trit_fail(err, TRIT_EFORMAT, "%s: found \"%.64s\", expected [model NAME]", where,
                         line);
    line[len - 1] = '\0';
    char *name = trim(line + skip);
    if (!*name)
        return trit_fail(err, TRIT_EFORMAT, "%s: found no name, expected [model NAME]", where);
    int rc = end_section(r, err);
    if (rc)
        return rc;
    r->section_line = r->line;
    memset(r->first_seen, 0, sizeof r->first_seen);
    r->section = conf_add_model(r->c, name, where, err);
    return r->section ? 0 : -err->code;
}

/* Whether a key may stand in the section that is being read. */
static int check_place(const struct reading *r, const struct conf_key *key, const char *where,
                       struct trit_error *err)
{
    if (key->command_only)
        return trit_fail(err, TRIT_EINVAL, "%s: %s: only the command line can say this", where,
                         key->name);
    if (r->section && strcmp(key->name, "alias") == 0)
        return trit_fail(err, TRIT_EINVAL, "%s: alias: the section has a name, \"%.64s\"", where,
                         r->section->alias);
    if (r->section && !key->of_model)
        return trit_fail(err, TRIT_EINVAL,
                         "%s: %s: is no model's own; it stands in front of the sections", where,
                         key->name);
    return 0;
}

static int read_line(struct reading *r, char *line, struct trit_error *err)
{
    char where[400];
    snprintf(where, sizeof where, "%.300s:%u", r->path, r->line);
    line = trim(line);
    if (!*line)
        return 0;
    if (*line == '[')
        return read_section(r, where, line, err);
    char *equals = strchr(line, '=');
    if (!equals)
        return trit_fail(err, TRIT_EFORMAT, "%s: found \"%.64s\", expected key = value", where,
                         line);
    size_t len = (size_t)(equals - line);
    while (len && strchr(BLANKS, line[len - 1]))
        len--;
    const struct conf_key *key = conf_find(line, len);
    if (!key)
        return unknown_key(where, line, len, err);
    int rc = check_place(r, key, where, err);
    if (rc)
        return rc;
    unsigned *seen = &r->first_seen[key - conf_keys];
    if (*seen)
        return trit_fail(err, TRIT_EINVAL, "%s: %s: stands in line %u already", where, key->name,
                         *seen);
    *seen = r->line;
    size_t used = strlen(where);
    snprintf(where + used, sizeof where - used, ": %s", key->name);
    char *value = trim(equals + 1); /* that begins with a #: a comment, and nothing */
    if (r->section && strcmp(key->name, "model") == 0 && !*value)
        return trit_fail(err, TRIT_EINVAL, "%s: found nothing, expected the path of its file",
                         where);
    return conf_set(r->section ? r->section : r->c, key, value, CONF_FILE, where, err);
}

int conf_read_file(struct conf *c, const char *path, struct trit_error *err)
{
    char *text = slurp(path, err);
    if (!text)
        return -err->code;
    struct reading r = {.c = c, .path = path};
    int rc = 0;
    for (char *line = text, *end; rc == 0 && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        r.line++;
        rc = read_line(&r, line, err);
    }
    if (rc == 0)
        rc = end_section(&r, err);
    mem_free(text);
    return rc;
}

/* What getopt_long returns for a row of the table: beyond every character. */
enum {
    OPT_KEY = 0x1000,
    OPT_NO_KEY = 0x2000,
    OPT_HELP = 'h',
    OPT_VERSION = 'V',
    OPT_CHECK = 'C',
    OPT_LIST = 'L',
};

enum { OPTIONS_MAX = 2 * CONF_KEYS_MAX + 5, NAME_MAX_BYTES = 40 };

/* --KEY for every row, --no-KEY for the switches, and the four that only ask. */
static void list_options(struct option *options, char negated[][NAME_MAX_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < conf_n_keys; i++) {
        bool is_switch = conf_keys[i].type == CONF_SWITCH;
        options[n++] =
            (struct option){conf_keys[i].name, is_switch ? optional_argument : required_argument,
                            NULL, OPT_KEY + (int)i};
        if (is_switch) {
            snprintf(negated[i], NAME_MAX_BYTES, "no-%s", conf_keys[i].name);
            options[n++] = (struct option){negated[i], no_argument, NULL, OPT_NO_KEY + (int)i};
        }
    }
    options[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    options[n++] = (struct option){"version", no_argument, NULL, OPT_VERSION};
    options[n++] = (struct option){"check-config", no_argument, NULL, OPT_CHECK};
    options[n++] = (struct option){"list-keys", no_argument, NULL, OPT_LIST};
    options[n] = (struct option){0};
}

static int bad_option(char **argv, int code, struct trit_error *err)
{
    const char *word = argv[optind - 1];
    if (code == ':')
        return trit_fail(err, TRIT_EINVAL, "%.64s: found nothing, expected a value", word);
    if (word[0] != '-' || word[1] != '-')
        return trit_fail(err, TRIT_EINVAL, "%.64s: unknown option; tritd --help lists them", word);
    size_t len = strcspn(word + 2, "=");
    const char *near = conf_nearest(word + 2, len);
    if (near)
        return trit_fail(err, TRIT_EINVAL, "%.64s: unknown option, did you mean --%s?", word, near);
    return trit_fail(err, TRIT_EINVAL, "%.64s: unknown option; tritd --help lists them", word);
}

/* --shared alone means yes; --shared no and --shared=no mean no. */
static const char *switch_value(int argc, char **argv)
{
    if (optarg)
        return optarg;
    if (optind < argc && argv[optind][0] != '-')
        return argv[optind++];
    return "yes";
}

int conf_read_args(struct conf *c, int argc, char **argv, enum conf_action *action,
                   struct trit_error *err)
{
    struct option options[OPTIONS_MAX];
    char negated[CONF_KEYS_MAX][NAME_MAX_BYTES];
    list_options(options, negated);
    opterr = 0;
    optind = 0; /* GNU: begin anew, this may be the second reading. */
    int code, rc = 0;
    struct conf *model = NULL; /* whose keys these are: NULL, no --model yet */
    while (rc == 0 && (code = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        char where[NAME_MAX_BYTES + 8];
        const struct conf_key *key;
        struct conf *to;
        switch (code) {
        case OPT_HELP:
            *action = CONF_HELP;
            return 0;
        case OPT_VERSION:
            *action = CONF_VERSION;
            return 0;
        case OPT_LIST:
            *action = CONF_LIST;
            return 0;
        case OPT_CHECK:
            *action = CONF_CHECK;
            break;
        case '?':
        case ':':
            return bad_option(argv, code, err);
        default:
            key = &conf_keys[code & (OPT_KEY - 1)];
            snprintf(where, sizeof where, "--%s", key->name);
            if (strcmp(key->name, "model") == 0) {
                model = model ? conf_add_model(c, "", where, err) : c;
                if (!model)
                    return -err->code;
            }
            to = key->of_model && model ? model : c;
            if (code >= OPT_NO_KEY)
                rc = conf_set(to, key, "no", CONF_COMMAND, where, err);
            else if (key->type == CONF_SWITCH)
                rc = conf_set(to, key, switch_value(argc, argv), CONF_COMMAND, where, err);
            else
                rc = conf_set(to, key, optarg, CONF_COMMAND, where, err);
        }
    }
    if (rc == 0 && optind < argc)
        return trit_fail(err, TRIT_EINVAL, "%.64s: found a word by itself, expected --KEY VALUE",
                         argv[optind]);
    return rc;
}
