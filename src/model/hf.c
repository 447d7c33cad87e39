/* SPDX-License-Identifier: MIT */
/*
 * hf.c - the folder: its files, its shards, and members of JSON for those who read them.
 */
#include "config.h"
#include "model/hf-parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/files.h"
#include "model/quant.h"
#include "model/safetensors.h"

enum {
    CONFIG_MAX = 4 << 20,     /* bytes of a small file; a list of added tokens may be in it */
    TOKENIZER_MAX = 64 << 20, /* published ones have up to 35 MB */
    INDEX_MAX = 16 << 20,
    VALUES_MAX = 8 << 20, /* of JSON in one file */
    SHARDS_MAX = 1024,
};

/* ------------------------------------------------------------------ members */

int hf_refuse(const struct hf *h, const struct hf_text *t, int code, const char *member,
              struct jsontext found, const char *expected)
{
    size_t shown = MIN(found.len, (size_t)60);
    while (shown < found.len && shown > 0 && ((unsigned char)found.at[shown] & 0xc0) == 0x80)
        shown--;
    return gguf_fail_at(t->path, h->err, code, "%s is %.*s%s, expected %s", member, (int)shown,
                        found.at, shown < found.len ? "..." : "", expected);
}

int hf_value(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
             enum jsontext_kind kind, bool required, bool *found, struct jsontext *out)
{
    struct jsontext v;
    int rc = jsontext_member(object, name, &v);
    *found = rc == 0 && jsontext_kind(v) != JSONTEXT_NULL;
    if (rc == -TRIT_EFORMAT)
        return gguf_fail_at(t->path, h->err, TRIT_EFORMAT, "%s stands twice", name);
    if (!*found)
        return required ? gguf_fail_at(t->path, h->err, TRIT_EFORMAT, "%s is missing", name) : 0;
    if (jsontext_kind(v) != kind)
        return hf_refuse(h, t, TRIT_EFORMAT, name, v, jsontext_kind_name(kind));
    *out = v;
    return 0;
}

int hf_uint(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
            bool required, bool *found, uint64_t *out)
{
    struct jsontext v = {0};
    int rc = hf_value(h, t, object, name, JSONTEXT_NUMBER, required, found, &v);
    if (rc == 0 && *found && !jsontext_uint(v, out))
        rc = hf_refuse(h, t, TRIT_EFORMAT, name, v, "a whole number");
    return rc;
}

int hf_float(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
             bool required, bool *found, double *out)
{
    struct jsontext v = {0};
    int rc = hf_value(h, t, object, name, JSONTEXT_NUMBER, required, found, &v);
    if (rc == 0 && *found)
        *out = jsontext_number(v);
    return rc;
}

int hf_bool(const struct hf *h, const struct hf_text *t, struct jsontext object, const char *name,
            bool *found, bool *out)
{
    struct jsontext v = {0};
    int rc = hf_value(h, t, object, name, JSONTEXT_BOOL, false, found, &v);
    if (rc == 0 && *found)
        *out = jsontext_true(v);
    return rc;
}

/* ------------------------------------------------------------------ files */

static char *path_of(const struct hf *h, const char *name)
{
    struct buf b = {0};
    buf_addf(&b, "%s/%s", h->folder, name);
    return buf_take(&b, NULL);
}

/* Open a file of the folder; the view keeps it open, so that its identity can be taken later.
 * *path is the view's. */
static int open_part(struct hf *h, const char *name, const char **path, int *fd, uint64_t *bytes)
{
    char *full = path_of(h, name);
    if (!full)
        return gguf_fail(h->g, h->err, TRIT_ENOMEM, "out of memory");
    *fd = -1;
    int rc = files_open(full, fd, bytes, h->err);
    if (rc == 0 && !gguf_make_file(h->g, full, *fd, *bytes))
        rc = gguf_fail(h->g, h->err, TRIT_ENOMEM, "out of memory");
    if (rc && *fd >= 0)
        close(*fd);
    mem_free(full);
    if (rc == 0)
        gguf_file_at(h->g, gguf_n_files(h->g) - 1, path);
    return rc;
}

static bool has_file(const struct hf *h, const char *name)
{
    return files_has(h->folder, name);
}

/* A whole file; absent is no error where it is optional. */
static int read_text(struct hf *h, const char *name, size_t max, bool required, struct hf_text *t)
{
    const char *path;
    uint64_t bytes = 0;
    if (!required && !has_file(h, name))
        return 0;
    int fd, rc = open_part(h, name, &path, &fd, &bytes);
    if (rc)
        return rc;
    if (bytes > max)
        return gguf_fail_at(path, h->err, TRIT_EFORMAT, "%" PRIu64 " bytes, expected at most %zu",
                            bytes, max);
    t->path = mem_strdup(path);
    t->text = mem_zalloc(bytes + 1, 1);
    t->len = bytes;
    if (!t->path || !t->text)
        return gguf_fail_at(path, h->err, TRIT_ENOMEM, "no memory for the file");
    if (gguf_pread(fd, 0, t->text, bytes) != 0)
        return gguf_fail_at(path, h->err, TRIT_EIO, "cannot read: %s",
                            errno ? strerror(errno) : "the file became shorter");
    return 0;
}

static int read_json(struct hf *h, const char *name, size_t max, bool required, struct hf_text *t)
{
    struct trit_error why = {0};
    int rc = read_text(h, name, max, required, t);
    if (rc || !t->path)
        return rc;
    if (jsontext_check(t->text, t->len, VALUES_MAX, &why) != 0)
        return gguf_fail_at(t->path, h->err, TRIT_EFORMAT, "%s", why.text);
    t->doc = jsontext_document(t->text, t->len);
    if (jsontext_kind(t->doc) != JSONTEXT_OBJECT)
        return gguf_fail_at(t->path, h->err, TRIT_EFORMAT, "found %s, expected an object",
                            jsontext_kind_name(jsontext_kind(t->doc)));
    return 0;
}

static void free_text(struct hf_text *t)
{
    mem_free(t->path);
    mem_free(t->text);
    *t = (struct hf_text){.path = NULL};
}

/* ------------------------------------------------------------------ tensors */

/* Of the types that tritd reads; U8 holds packed linears, I8 those of OneBit. */
static const struct quant_info *quant_of(const struct hf *h, const char *dtype, enum hf_role role)
{
    bool onebit = h->facts.method == METHOD_ONEBIT;
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {{"F32", QUANT_F32}, {"F16", QUANT_F16}, {"BF16", QUANT_BF16}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, dtype) == 0)
            return quant_find(types[i].type);
    if (role != HF_LINEAR || strcmp(dtype, onebit ? "I8" : "U8") != 0)
        return NULL;
    return quant_find(onebit ? QUANT_SIGNS : QUANT_HF_U8);
}

static const char CONV1D[] = ".ssm_conv1d.weight";

static int add_tensor(struct hf *h, const struct safetensors_entry *e, const char *path, int fd)
{
    char name[GGUF_NAME_MAX + 1];
    enum hf_role role = hf_name(e->name, &h->facts, name);
    if (role == HF_IGNORED)
        return 0;
    if (role != HF_UNKNOWN && h->facts.tied && strcmp(name, "output.weight") == 0)
        return 0;
    if (role == HF_UNKNOWN) /* Whoever plans the weights refuses what has no place. */
        strcpy(name, e->name);
    const struct quant_info *q = quant_of(h, e->dtype, role);
    if (!q)
        return gguf_fail_at(path, h->err, TRIT_EUNSUPP,
                            "tensor %s is %s, expected F32, F16 or BF16%s", e->name, e->dtype,
                            role != HF_LINEAR ? ""
                            : h->facts.method == METHOD_ONEBIT
                                ? ", or I8 with packed signs"
                                : ", or U8 with packed ternary values");
    struct gguf_tensor t = {.name = name,
                            .quant = q,
                            .type = q->type,
                            .n_dims = MAX(e->n_dims, 1u),
                            .ne = {1, 1, 1, 1},
                            .offset = e->start,
                            .bytes = e->bytes};
    for (uint32_t i = 0; i < e->n_dims; i++)
        t.ne[i] = e->shape[e->n_dims - 1 - i];
    /* Channels of their own: the dimension of those that one reads is 1. */
    size_t len = strlen(name), end = strlen(CONV1D);
    if (len > end && strcmp(name + len - end, CONV1D) == 0 && e->n_dims == 3 && t.ne[1] == 1) {
        t.ne[1] = t.ne[2];
        t.ne[2] = 1;
        t.n_dims = 2;
    }
    /* The rows in the file are a quarter of the weights'. */
    if (q->type == QUANT_HF_U8 &&
        (e->n_dims != 2 || __builtin_mul_overflow(t.ne[1], (uint64_t)4, &t.ne[1])))
        return gguf_fail_at(path, h->err, TRIT_EFORMAT, "tensor %s has %u dimensions, expected 2",
                            e->name, e->n_dims);
    if (q->type == QUANT_SIGNS &&
        (e->n_dims != 2 || __builtin_mul_overflow(t.ne[0], (uint64_t)8, &t.ne[0])))
        return gguf_fail_at(path, h->err, TRIT_EFORMAT, "tensor %s has %u dimensions, expected 2",
                            e->name, e->n_dims);
    gguf_make_tensor(h->g, &t, e->name, fd, e->start);
    return 0;
}

/* ------------------------------------------------------------------ shards */

/* Which tensor lies in which file, as the index has it. */
struct place {
    const char *name, *file;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order ? order : strcmp(x->name, y->name);
}

/* places: those of one file, in order.  The file has these tensors and no others. */
static int check_shard(struct hf *h, const char *path, const struct place *places, size_t n_places,
                       const struct safetensors_entry *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct place want = {list[i].name, places->file};
        if (!bsearch(&want, places, n_places, sizeof *places, by_place))
            return gguf_fail_at(path, h->err, TRIT_EFORMAT,
                                "tensor %s is not one that the index has in this file",
                                list[i].name);
    }
    if (n != n_places)
        return gguf_fail_at(path, h->err, TRIT_EFORMAT, "%zu tensors, expected %zu by the index", n,
                            n_places);
    return 0;
}

/* One file of tensors; places NULL: there is no index. */
static int add_safetensors(struct hf *h, const char *file, const struct place *places,
                           size_t n_places)
{
    const char *path;
    uint64_t bytes = 0;
    struct safetensors_entry *list = NULL;
    size_t n = 0;
    int fd, rc = open_part(h, file, &path, &fd, &bytes);
    if (rc == 0)
        rc = safetensors_read(fd, path, bytes, &list, &n, h->err);
    if (rc == 0 && places)
        rc = check_shard(h, path, places, n_places, list, n);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_tensor(h, &list[i], path, fd);
    mem_free(list);
    return rc;
}

/* The index names files of this folder and nothing else. */
static bool is_shard_name(const char *s)
{
    size_t len = strlen(s);
    return len > 12 && len < 256 && *s != '.' && !strchr(s, '/') &&
           strcmp(s + len - 12, ".safetensors") == 0;
}

/* Read weight_map: *texts holds the strings that *places points into. */
static int read_places(struct hf *h, const struct hf_text *index, struct buf *texts,
                       struct place **places, size_t *n)
{
    bool found;
    struct jsontext map = {"{}", 2}, key, value;
    int rc = hf_value(h, index, index->doc, "weight_map", JSONTEXT_OBJECT, true, &found, &map);
    if (rc)
        return rc;
    for (struct jsontext_walk w = jsontext_begin(map); jsontext_next(&w, &key, &value); ++*n) {
        if (jsontext_kind(value) != JSONTEXT_STRING || *n == SAFETENSORS_MAX)
            return hf_refuse(h, index, TRIT_EFORMAT, "weight_map", value,
                             *n == SAFETENSORS_MAX ? "65536 tensors at most" : "names of files");
        jsontext_string(key, texts);
        buf_addc(texts, '\0');
        jsontext_string(value, texts);
        buf_addc(texts, '\0');
    }
    *places = mem_zalloc(*n, sizeof **places);
    if (texts->failed || !*places)
        return gguf_fail_at(index->path, h->err, TRIT_ENOMEM, "out of memory");
    const char *s = texts->data;
    for (size_t i = 0; i < *n; i++) {
        struct place *p = &(*places)[i];
        p->name = s;
        p->file = s += strlen(s) + 1;
        s += strlen(s) + 1;
        if (!is_shard_name(p->file))
            return gguf_fail_at(index->path, h->err, TRIT_EFORMAT,
                                "weight_map has tensor %.127s in \"%.80s\", expected the name of a "
                                ".safetensors file beside it",
                                p->name, p->file);
    }
    if (*n == 0)
        return gguf_fail_at(index->path, h->err, TRIT_EFORMAT, "weight_map is empty");
    qsort(*places, *n, sizeof **places, by_place);
    size_t shards = 1;
    for (size_t i = 1; i < *n; i++)
        shards += strcmp((*places)[i - 1].file, (*places)[i].file) != 0;
    return shards <= SHARDS_MAX ? 0
                                : gguf_fail_at(index->path, h->err, TRIT_EFORMAT,
                                               "%zu files, expected at most %d", shards,
                                               SHARDS_MAX);
}

static int add_shards(struct hf *h, const struct hf_text *index)
{
    struct buf texts = {0};
    struct place *places = NULL;
    size_t n = 0;
    int rc = read_places(h, index, &texts, &places, &n);
    for (size_t i = 0, end; i < n && rc == 0; i = end) {
        for (end = i; end < n && strcmp(places[end].file, places[i].file) == 0;)
            end++;
        rc = add_safetensors(h, places[i].file, &places[i], end - i);
    }
    mem_free(places);
    buf_free(&texts);
    return rc;
}

static int add_tensors(struct hf *h)
{
    static const char INDEX[] = "model.safetensors.index.json", SINGLE[] = "model.safetensors";
    if (has_file(h, INDEX)) {
        struct hf_text index = {.path = NULL};
        int rc = read_json(h, INDEX, INDEX_MAX, true, &index);
        rc = rc ? rc : add_shards(h, &index);
        free_text(&index);
        return rc;
    }
    if (!has_file(h, SINGLE))
        return gguf_fail(h->g, h->err, TRIT_ENOENT, "found neither %s nor %s%s", SINGLE, INDEX,
                         files_has_suffix(h->folder, ".bin")
                             ? "; files of PyTorch have to be converted first"
                             : "");
    return add_safetensors(h, SINGLE, NULL, 0);
}

/* ------------------------------------------------------------------ the folder */

/* The folder's name, or in the cache of the hub ("models--owner--name/snapshots/digest") the
 * model's. */
static void name_it(struct hf *h)
{
    char *real = files_real(h->folder);
    if (!real)
        return;
    const char *slash = strrchr(real, '/'), *name = slash ? slash + 1 : real;
    size_t len = strlen(name);
    const char *cache = strstr(real, "/models--"),
               *snapshots = cache ? strchr(cache + 1, '/') : NULL;
    if (snapshots && strncmp(snapshots, "/snapshots/", 11) == 0 && !strchr(snapshots + 11, '/')) {
        for (const char *p = cache; p < snapshots; p++)
            if (p[0] == '-' && p[1] == '-')
                name = p + 2;
        len = (size_t)(snapshots - name);
    }
    if (utf8_valid(name, len))
        gguf_make_string(h->g, "general.name", name, len);
    mem_free(real);
}

/* tokenizer.json, or where there is none the SentencePiece model that one would be made from. */
static int read_tokenizer(struct hf *h)
{
    static const char MODEL[] = "tokenizer.model";
    int rc = read_json(h, "tokenizer_config.json", CONFIG_MAX, false, &h->tokenizer_config);
    if (rc)
        return rc;
    if (has_file(h, "tokenizer.json") || !has_file(h, MODEL))
        return read_json(h, "tokenizer.json", TOKENIZER_MAX, true, &h->tokenizer);
    if ((rc = read_text(h, MODEL, TOKENIZER_MAX, true, &h->tokenizer)) ||
        (rc = read_json(h, "added_tokens.json", CONFIG_MAX, false, &h->added_tokens)))
        return rc;
    return hf_sentencepiece(h, VALUES_MAX);
}

static int read_all(struct hf *h)
{
    int rc;
    if (!has_file(h, "config.json"))
        return gguf_fail(
            h->g, h->err, TRIT_ENOENT,
            "a folder without config.json, expected a Hugging Face model%s",
            files_has_suffix(h->folder, ".gguf") ? "; it has a .gguf file: name that one" : "");
    if ((rc = read_json(h, "config.json", CONFIG_MAX, true, &h->config)) ||
        (rc = read_json(h, "generation_config.json", CONFIG_MAX, false, &h->generation)) ||
        (rc = read_json(h, HF_POOLING, CONFIG_MAX, false, &h->pooling)) ||
        (rc = hf_config(h)) || (rc = read_tokenizer(h)) ||
        (rc = read_text(h, "chat_template.jinja", CONFIG_MAX, false, &h->template)) ||
        (rc = hf_tokenizer(h)) || (rc = add_tensors(h)))
        return rc;
    name_it(h);
    if ((rc = gguf_make_done(h->g, h->err)))
        return rc;
    if (h->facts.untied && !gguf_tensor(h->g, "output.weight"))
        return gguf_fail_at(h->config.path, h->err, TRIT_EFORMAT,
                            "tie_word_embeddings is false, but there is no tensor lm_head.weight");
    return hf_groups(h);
}

int hf_open(const char *folder, struct gguf **g, struct trit_error *err)
{
    struct hf *h = mem_zalloc(1, sizeof *h);
    if (!h)
        return gguf_fail_at(folder, err, TRIT_ENOMEM, "out of memory");
    h->folder = folder;
    h->err = err;
    h->facts.bos = -1;
    int rc = gguf_make(folder, &h->g, err);
    if (rc == 0 && (rc = read_all(h)))
        gguf_close(&h->g);
    *g = h->g;
    free_text(&h->config);
    free_text(&h->generation);
    free_text(&h->tokenizer);
    free_text(&h->tokenizer_config);
    free_text(&h->template);
    free_text(&h->added_tokens);
    free_text(&h->pooling);
    mem_free(h->scores);
    mem_free(h);
    return rc;
}

int hf_open_any(const char *path, struct gguf **g, struct trit_error *err)
{
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    return folder ? hf_open(path, g, err) : gguf_open(path, g, err);
}
