/* SPDX-License-Identifier: MIT */
/*
 * reading.c - how a file whose weights can be read in several ways is to be read, in words.
 *
 * Not here: whether that was right (reading-check.c).
 */
#include "config.h"
#include "model/reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "model/files.h"
#include "model/gguf.h"
#include "model/hf.h"
#include "model/plausible.h"

#define BLANKS       " \t"
#define EXPECTED     "BM,BK,BMM, ROWSxCOLS=BM,BK,BMM or the path of a kernel_config.ini"
#define CONFIG_BYTES (64 * 1024) /* of a kernel_config.ini: that of four shapes has 300 */

bool reading_order(struct reading *r, const char *text)
{
    const char *name;
    uint32_t type;
    for (unsigned i = 0; (name = plausible_order_name(i, &type)) != NULL; i++)
        if (strcmp(name, text) == 0) {
            r->i2s = type;
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ tiles as a list */

/* A number at *at, which is moved behind it; no sign, no blanks. */
static bool take_number(const char **at, uint64_t most, uint64_t *n)
{
    *n = 0;
    const char *from = *at;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        *n = *n * 10 + (uint64_t)(**at - '0');
        if (*n > most)
            return false;
    }
    return *at > from;
}

static bool take_char(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

/* One of the list at *at, which is moved behind it. */
static bool take_tiles(const char **at, struct quant_tiles *t)
{
    const char *equals = *at + strcspn(*at, "=" BLANKS);
    uint64_t bm, bk, band;
    *t = (struct quant_tiles){0};
    if (*equals == '=' &&
        !(take_number(at, UINT32_MAX, &t->rows) && t->rows && take_char(at, 'x') &&
          take_number(at, UINT32_MAX, &t->cols) && t->cols && take_char(at, '=')))
        return false;
    if (!(take_number(at, UINT32_MAX, &bm) && take_char(at, ',') &&
          take_number(at, UINT32_MAX, &bk) && take_char(at, ',') &&
          take_number(at, UINT32_MAX, &band)))
        return false;
    t->bm = (uint32_t)bm;
    t->bk = (uint32_t)bk;
    t->band = (uint32_t)band;
    return **at == '\0' || strchr(BLANKS, **at);
}

bool reading_is_tiles(const char *text)
{
    struct quant_tiles t;
    size_t n = 0;
    for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS), n++)
        if (n == READING_TILES || !take_tiles(&text, &t))
            return false;
    return n > 0;
}

static int add_tiles(struct reading *r, const struct quant_tiles *t, const char *text,
                     struct trit_error *err)
{
    if (r->n_tiles == READING_TILES)
        return trit_fail(err, TRIT_EINVAL, "tiles: found more than %d in \"%.80s\"", READING_TILES,
                         text);
    r->tiles[r->n_tiles++] = *t;
    return 0;
}

/* ------------------------------------------------------------------ tiles as a file */

/* A section is over: all of its five numbers are there, or none. */
static int end_section(struct reading *r, const struct quant_tiles *t, unsigned *seen,
                       const char *path, unsigned line, struct trit_error *err)
{
    if (!*seen)
        return 0;
    if (*seen != 31)
        return trit_fail(err, TRIT_EFORMAT,
                         "%.200s: the section before line %u lacks one of m, k, bm, bk, bmm", path,
                         line);
    *seen = 0;
    return add_tiles(r, t, path, err);
}

/* Sections, each with m, k, bm, bk and bmm. */
static int read_config(struct reading *r, FILE *f, const char *path, struct trit_error *err)
{
    static const char *const keys[] = {"m", "k", "bm", "bk", "bmm"};
    struct quant_tiles t = {0};
    char line[200], key[40], digits[10];
    unsigned number = 0, seen = 0;
    int rc = 0;
    while (rc == 0 && fgets(line, sizeof line, f)) {
        int end = 0;
        const char *at = line + strspn(line, " \t\r\n");
        number++;
        if (!strchr(line, '\n') && !feof(f)) /* What follows would count as a line of its own. */
            return trit_fail(err, TRIT_EFORMAT,
                             "%.200s: line %u: expected a text of less than %zu bytes", path,
                             number, sizeof line - 1);
        if (*at == '[')
            rc = end_section(r, &t, &seen, path, number, err);
        if (*at == '[' || *at == '\0' || *at == '#' || *at == ';')
            continue;
        if (sscanf(at, "%39[a-zA-Z_] = %9[0-9] %n", key, digits, &end) != 2 || at[end] != '\0')
            return trit_fail(err, TRIT_EFORMAT,
                             "%.200s: line %u: expected NAME = NUMBER, of nine digits at most",
                             path, number);
        unsigned value = (unsigned)strtoul(digits, NULL, 10);
        for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
            if (strcmp(keys[i], key) == 0) {
                seen |= 1u << i;
                t.rows = i == 0 ? value : t.rows;
                t.cols = i == 1 ? value : t.cols;
                t.bm = i == 2 ? value : t.bm;
                t.bk = i == 3 ? value : t.bk;
                t.band = i == 4 ? value : t.band;
            }
    }
    return rc ? rc : end_section(r, &t, &seen, path, number, err);
}

static int read_file(struct reading *r, const char *path, struct trit_error *err)
{
    struct trit_error why;
    uint64_t bytes;
    size_t before = r->n_tiles;
    int fd, rc = files_open(path, &fd, &bytes, &why);
    FILE *f = rc ? NULL : fdopen(fd, "r");
    if (!f) {
        if (fd >= 0)
            close(fd);
        return trit_fail(err, TRIT_EINVAL, "tiles: found \"%.80s\", expected " EXPECTED " (%.200s)",
                         path, rc ? why.text : strerror(errno));
    }
    if (bytes > CONFIG_BYTES)
        rc = trit_fail(err, TRIT_EFORMAT,
                       "%.200s: larger than %d bytes, expected a kernel_config.ini", path,
                       CONFIG_BYTES);
    else
        rc = read_config(r, f, path, err);
    fclose(f);
    if (rc == 0 && r->n_tiles == before)
        rc = trit_fail(err, TRIT_EFORMAT, "%.200s: there is no section with m, k, bm, bk and bmm",
                       path);
    return rc;
}

int reading_tiles(struct reading *r, const char *text, struct trit_error *err)
{
    struct quant_tiles t;
    int rc = 0;
    if (!reading_is_tiles(text))
        return read_file(r, text, err);
    for (const char *at = text + strspn(text, BLANKS); rc == 0 && *at; at += strspn(at, BLANKS)) {
        trit_assert(take_tiles(&at, &t));
        rc = add_tiles(r, &t, text, err);
    }
    return rc;
}

/* ------------------------------------------------------------------ reading so */

int reading_apply(const struct reading *r, struct gguf *g, struct trit_error *err)
{
    const struct gguf_reading how = {.i2s = r->i2s, .tiles = r->tiles, .n_tiles = r->n_tiles};
    return gguf_read_as(g, &how, err);
}

int reading_open(const struct reading *r, const char *path, struct gguf **g,
                 char note[READING_NOTE], struct trit_error *err)
{
    note[0] = '\0';
    int rc = hf_open_any(path, g, err);
    if (rc == 0)
        rc = reading_apply(r, *g, err);
    if (rc == 0)
        rc = reading_check(r, *g, PLAUSIBLE_LAYERS, note, err);
    if (rc)
        gguf_close(g);
    return rc;
}
