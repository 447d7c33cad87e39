/* SPDX-License-Identifier: MIT */
/*
 * keys.c - reading, looking up and making API keys.
 */
#include "config.h"
#include "server/keys.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <nettle/memops.h>
#include <nettle/sha2.h>

#include "base/base.h"
#include "base/hex.h"
#include "base/mem.h"
#include "server/credential.h"
#include "server/names.h"

#define BLANKS      " \t\r"
#define HASH_PREFIX "sha256:"

enum { LINE_BYTES = 512 };

static const char *const priorities[SEQ_PRIORITIES] = {
    [SEQ_HIGH] = "high", [SEQ_NORMAL] = "normal", [SEQ_LOW] = "low"};

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(const char *s)
{
    size_t len = strlen(s);
    if (len >= ADMIT_NAME || !is_plain(s[0]))
        return false;
    for (; *s; s++)
        if (!is_plain(*s) && !strchr("_.-", *s))
            return false;
    return true;
}

static void hash_of(const char *text, size_t len, uint8_t hash[KEYS_HASH_BYTES])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, len, (const uint8_t *)text);
    sha256_digest(&ctx, KEYS_HASH_BYTES, hash);
}

/* ------------------------------------------------------------------ one line */

static bool read_hash(const char *s, uint8_t hash[KEYS_HASH_BYTES])
{
    size_t skip = strlen(HASH_PREFIX), n = 2 * (size_t)KEYS_HASH_BYTES;
    /* As sha256sum writes them, so that a hash is written in one way only. */
    if (strncmp(s, HASH_PREFIX, skip) != 0 || strspn(s + skip, "0123456789abcdef") != n ||
        s[skip + n])
        return false;
    for (size_t i = 0; i < KEYS_HASH_BYTES; i++)
        hash[i] = (uint8_t)(hex_digit(s[skip + 2 * i]) << 4 | hex_digit(s[skip + 2 * i + 1]));
    return true;
}

/* 1 to 4294967295: a limit of 0 would be a key that opens nothing. */
static bool read_count(const char *s, uint32_t *n)
{
    uint64_t v = 0;
    for (; *s >= '0' && *s <= '9' && v <= UINT32_MAX; s++)
        v = v * 10 + (uint64_t)(*s - '0');
    *n = (uint32_t)v;
    return *s == '\0' && v >= 1 && v <= UINT32_MAX;
}

static bool read_priority(const char *s, enum seq_priority *p)
{
    for (unsigned i = 0; i < SEQ_PRIORITIES; i++)
        if (strcmp(s, priorities[i]) == 0) {
            *p = (enum seq_priority)i;
            return true;
        }
    return false;
}

/* Names as a model may have them: no blanks, no commas but between them. */
static bool read_models(const char *s, char models[ADMIT_MODELS])
{
    size_t len = strlen(s);
    if (len == 0 || len >= ADMIT_MODELS || s[0] == ',' || s[len - 1] == ',' || strstr(s, ",,"))
        return false;
    memcpy(models, s, len + 1);
    return true;
}

/* The options of a line; of those that count something, `count` is where. */
static const struct option {
    const char *name, *expected;
    size_t count;
} options[] = {
    {"priority", "high, normal or low", SIZE_MAX},
    {"concurrency", "a whole number from 1 to 4294967295",
     offsetof(struct admit_grant, concurrency)},
    {"requests-per-minute", "a whole number from 1 to 4294967295",
     offsetof(struct admit_grant, requests)},
    {"tokens-per-minute", "a whole number from 1 to 4294967295",
     offsetof(struct admit_grant, tokens)},
    {"tenant", "a name: letters, digits and \"_.-\", at most 32", SIZE_MAX},
    {"models", "names of models with commas between, at most 255 bytes", SIZE_MAX},
    {"admin", "yes or no", SIZE_MAX},
};
enum { PRIORITY = 0, TENANT = 4, MODELS = 5, ADMIN = 6 };

static bool read_value(size_t i, const char *value, struct admit_grant *g)
{
    if (options[i].count != SIZE_MAX)
        return read_count(value, (uint32_t *)(void *)((char *)g + options[i].count));
    if (i == PRIORITY)
        return read_priority(value, &g->highest);
    if (i == MODELS)
        return read_models(value, g->models);
    if (i == ADMIN) {
        g->admin = strcmp(value, "yes") == 0;
        return g->admin || strcmp(value, "no") == 0;
    }
    bool good = is_name(value);
    if (good)
        memcpy(g->tenant, value, strlen(value) + 1);
    return good;
}

static int read_option(const char *where, char *word, struct admit_grant *g, unsigned *seen,
                       struct trit_error *err)
{
    char *equals = strchr(word, '=');
    size_t i = 0;
    if (equals)
        *equals = '\0';
    while (equals && i < ARRAY_LEN(options) && strcmp(word, options[i].name) != 0)
        i++;
    if (!equals || i == ARRAY_LEN(options))
        return trit_fail(err, TRIT_EINVAL,
                         "%s: found \"%.32s\", expected priority=, concurrency=, "
                         "requests-per-minute=, tokens-per-minute=, tenant=, models= or admin=",
                         where, word);
    if (*seen & 1u << i)
        return trit_fail(err, TRIT_EINVAL, "%s: %s: stands there twice", where, options[i].name);
    *seen |= 1u << i;
    if (!read_value(i, equals + 1, g))
        return trit_fail(err, TRIT_EINVAL, "%s: %s: found \"%.32s\", expected %s", where,
                         options[i].name, equals + 1, options[i].expected);
    return 0;
}

/* What a line may not repeat is a key.  A hash is no secret, but no text of the file is quoted that
 * stands where one belongs: it may be the key itself, put there by mistake. */
static int read_key(const char *where, char *line, struct key *key, struct trit_error *err)
{
    char *rest = NULL;
    unsigned seen = 0;
    *key = (struct key){.grant.highest = SEQ_NORMAL};
    const char *name = strtok_r(line, BLANKS, &rest);
    if (!is_name(name))
        return trit_fail(err, TRIT_EFORMAT,
                         "%s: expected a name first: letters, digits and \"_.-\", at most %d",
                         where, ADMIT_NAME - 1);
    memcpy(key->grant.name, name, strlen(name) + 1);
    const char *hash = strtok_r(NULL, BLANKS, &rest);
    if (!hash || !read_hash(hash, key->hash))
        return trit_fail(err, TRIT_EFORMAT,
                         "%s: %s: expected " HASH_PREFIX "HEX, the hash of a key in 64 small "
                         "hexadecimal digits; \"trit keys new %s\" makes such a line",
                         where, name, name);
    for (char *word; (word = strtok_r(NULL, BLANKS, &rest));) {
        int rc = read_option(where, word, &key->grant, &seen, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------ the file */

static bool same_options(const struct admit_grant *a, const struct admit_grant *b)
{
    return a->highest == b->highest && a->concurrency == b->concurrency &&
           a->requests == b->requests && a->tokens == b->tokens &&
           strcmp(a->tenant, b->tenant) == 0 && strcmp(a->models, b->models) == 0 &&
           a->admin == b->admin;
}

static int add_key(struct keys *k, const char *where, const struct key *key, struct trit_error *err)
{
    for (size_t i = 0; i < k->n; i++) {
        if (memcmp(k->key[i].hash, key->hash, KEYS_HASH_BYTES) == 0)
            return trit_fail(err, TRIT_EINVAL, "%s: %s: the same key as %s has above", where,
                             key->grant.name, k->key[i].grant.name);
        if (strcmp(k->key[i].grant.name, key->grant.name) == 0 &&
            !same_options(&k->key[i].grant, &key->grant))
            return trit_fail(err, TRIT_EINVAL,
                             "%s: %s: stands above with other options; two keys of one name have "
                             "the same",
                             where, key->grant.name);
    }
    if (k->n == KEYS_MAX)
        return trit_fail(err, TRIT_ETOOBIG, "%s: more than %d keys", where, KEYS_MAX);
    struct key *grown = mem_resize(k->key, k->n + 1, sizeof *grown);
    if (!grown)
        return trit_fail(err, TRIT_ENOMEM, "%s: no memory for the keys", where);
    k->key = grown;
    k->key[k->n++] = *key;
    return 0;
}

/* Cut the end of the line and the comment off. */
static char *trim(char *line)
{
    line += strspn(line, BLANKS);
    for (char *p = line; *p; p++)
        if (*p == '\n' || (*p == '#' && (p == line || strchr(BLANKS, p[-1])))) {
            *p = '\0';
            break;
        }
    return line;
}

static int read_lines(FILE *f, const char *path, struct keys *k, struct trit_error *err)
{
    char line[LINE_BYTES], where[400];
    int rc = 0;
    for (unsigned number = 1; rc == 0 && fgets(line, sizeof line, f); number++) {
        struct key key;
        size_t len = strlen(line);
        snprintf(where, sizeof where, "%.300s:%u", path, number);
        /* Too long, or cut short by a NUL: in either case something would be overlooked. */
        if ((len == 0 || line[len - 1] != '\n') && !feof(f))
            return trit_fail(err, TRIT_EFORMAT, "%s: expected text of at most %d bytes", where,
                             LINE_BYTES - 2);
        char *text = trim(line);
        if (text[strspn(text, BLANKS)] == '\0')
            continue;
        rc = read_key(where, text, &key, err);
        if (rc == 0)
            rc = add_key(k, where, &key, err);
    }
    if (rc == 0 && ferror(f))
        return trit_fail(err, TRIT_EIO, "%s: cannot be read: %s", path, strerror(errno));
    if (rc == 0 && k->n == 0)
        return trit_fail(err, TRIT_EINVAL,
                         "%s: there is no key in it, so nobody could come in; \"trit keys new "
                         "NAME\" makes one",
                         path);
    return rc;
}

static int check_mode(FILE *f, const char *path, struct trit_error *err)
{
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
        return trit_fail(err, TRIT_EINVAL, "%s: not a regular file", path);
    if (st.st_mode & S_IRWXO)
        return trit_fail(err, TRIT_EINVAL,
                         "%s: every user of this machine may open it (mode %04o); expected a file "
                         "for owner and group only: chmod o= %s",
                         path, (unsigned)st.st_mode & 07777, path);
    return 0;
}

int keys_load(const char *path, struct keys *k, struct trit_error *err)
{
    char found[CREDENTIAL_PATH];
    *k = (struct keys){0};
    int rc = credential_find(path, found, err);
    if (rc)
        return rc;
    FILE *f = fopen(found, "re");
    if (!f)
        return trit_fail(err, errno == ENOENT ? TRIT_ENOENT : TRIT_EIO,
                         "%.300s: cannot be opened: %s", found, strerror(errno));
    rc = check_mode(f, found, err);
    if (rc == 0)
        rc = read_lines(f, found, k, err);
    fclose(f);
    if (rc)
        keys_free(k);
    return rc;
}

void keys_free(struct keys *k)
{
    mem_free(k->key);
    *k = (struct keys){0};
}

/* ------------------------------------------------------------------ looking up and making */

const struct key *keys_find(const struct keys *k, const char *text, size_t len)
{
    uint8_t hash[KEYS_HASH_BYTES];
    size_t found = 0; /* the index + 1, put together without a branch on what is secret */
    hash_of(text, len, hash);
    for (size_t i = 0; i < k->n; i++)
        found |= (i + 1) & (0 - (size_t)memeql_sec(hash, k->key[i].hash, sizeof hash));
    return found ? &k->key[found - 1] : NULL;
}

int keys_make(const char *name, char key[KEYS_TEXT], char line[KEYS_LINE], struct trit_error *err)
{
    uint8_t random[32];
    uint8_t hash[KEYS_HASH_BYTES];
    if (!is_name(name))
        return trit_fail(err, TRIT_EINVAL,
                         "found \"%.64s\", expected a name of letters, digits and \"_.-\", at most "
                         "%d, that begins with a letter or digit",
                         name, ADMIT_NAME - 1);
    names_random_bytes(random, sizeof random);
    memcpy(key, "trit-", 5);
    hex_put(key + 5, random, sizeof random);
    hash_of(key, strlen(key), hash);
    int len = snprintf(line, KEYS_LINE, "%s " HASH_PREFIX, name);
    hex_put(line + len, hash, sizeof hash);
    return 0;
}
