/* SPDX-License-Identifier: MIT */
/*
 * float-run.c - a text through the layers of float-model.h.
 *
 * Sequences go one after another, so that the buffers are those of one.  Sums are plain and in the
 * order of their terms for each output, whoever computes it: results do not depend on the
 * processors.
 */
#include "config.h"
#include "float-model.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/arch.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "kernels/kernels.h"

enum {
    TEXT_MAX = 256 << 20, /* bytes of a text */
    ROWS = 16,            /* of a matrix dealt at a time */
};

/* ------------------------------------------------------------------ products */

struct product {
    struct float_model *f;
    const struct matrix *w;
    struct table table;
    float *y;
    size_t n;
};

static struct table table_of(const struct matrix *w)
{
    struct table t;
    table_shape(&t, TABLE_F16, w->rows, w->cols);
    return t;
}

int float_reserve(struct float_model *f, const struct matrix *w, size_t n, struct trit_error *err)
{
    struct table t = table_of(w);
    size_t halves = table_data_bytes(&t) / sizeof *f->halves, padded = n * t.stride;
    if (halves > f->halves_len) {
        mem_free(f->halves);
        f->halves = mem_zalloc_line(halves, sizeof *f->halves);
        f->halves_len = f->halves ? halves : 0;
    }
    if (padded > f->padded_len) {
        mem_free(f->padded);
        f->padded = mem_zalloc_line(padded, sizeof *f->padded);
        f->padded_len = f->padded ? padded : 0;
    }
    return f->halves && f->padded ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory for products");
}

static void multiply_run(void *ctx, unsigned worker)
{
    (void)worker;
    struct product *p = ctx;
    const struct matrix *w = p->w;
    const struct table *t = &p->table;
    for (size_t row; (row = ROWS * team_take(p->f->team, 1)) < w->rows;) {
        size_t end = MIN(row + ROWS, (size_t)w->rows);
        for (size_t r = row; r < end; r++) {
            uint16_t *dst = p->f->halves + r * t->stride;
            p->f->k->to_f16(dst, w->w + r * w->cols, w->cols);
            memset(dst + w->cols, 0, (t->stride - w->cols) * sizeof *dst);
        }
        p->f->k->head_f16(p->y, w->rows, t, row, end, p->f->padded, t->stride, p->n);
    }
}

void float_multiply(struct float_model *f, const struct matrix *w, const float *x, float *y,
                    size_t n)
{
    struct product p = {.f = f, .w = w, .table = table_of(w), .y = y, .n = n};
    p.table.data = f->halves;
    for (size_t t = 0; t < n; t++) {
        float *dst = f->padded + t * p.table.stride;
        memcpy(dst, x + t * w->cols, w->cols * sizeof *dst);
        memset(dst + w->cols, 0, (p.table.stride - w->cols) * sizeof *dst);
    }
    team_run(f->team, multiply_run, &p);
    for (size_t t = 0; w->norm && t < n; t++) {
        float *row = y + t * w->rows;
        kernels_layernorm(row, row, NULL, NULL, ONEBIT_EPS, w->rows);
    }
}

/* ------------------------------------------------------------------ the parts of a layer */

static void rmsnorm(float *y, const float *x, const float *w, float eps, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    float r = (float)(1 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * r * w[i];
}

static void norm_rows(float *y, const float *x, const float *w, float eps, size_t dim, size_t n)
{
    for (size_t t = 0; w && t < n; t++)
        rmsnorm(y + t * dim, x + t * dim, w, eps, dim);
}

/* Norm and rotate the heads of one position. */
static void rotate(const struct float_model *f, float *x, const float *norm, uint32_t heads,
                   size_t pos)
{
    const struct hparams *hp = &f->m.hp;
    uint32_t half = hp->rope_dims / 2;
    bool adjacent = f->m.arch->rope == ROPE_NORM;
    for (uint32_t h = 0; h < heads; h++, x += hp->head_dim) {
        if (norm)
            rmsnorm(x, x, norm, hp->norm_eps, hp->head_dim);
        for (uint32_t i = 0; i < half; i++) {
            double angle = (double)pos * f->freq[i];
            float c = (float)(f->rope_size * cos(angle)), s = (float)(f->rope_size * sin(angle));
            float *a = adjacent ? &x[2 * i] : &x[i], *b = adjacent ? &x[2 * i + 1] : &x[half + i];
            float a0 = *a, b0 = *b;
            *a = a0 * c - b0 * s;
            *b = a0 * s + b0 * c;
        }
    }
}

struct step {
    struct float_model *f;
    size_t len;
    float *normed, *q, *k, *v, *att, *gate, *up, *y;
    float *scores; /* [workers][len] */
};

/* Eight sums, so that additions do not wait for each other. */
static float dot(const float *a, const float *b, size_t n)
{
    float lane[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t l = 0; l < 8; l++)
            lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (size_t l = 0; l < 8; l++)
        sum += lane[l];
    return sum;
}

/* Attention of query head h of every position. */
static void attend_run(void *ctx, unsigned worker)
{
    struct step *s = ctx;
    const struct hparams *hp = &s->f->m.hp;
    size_t hd = hp->head_dim, q_dim = hp->n_heads * hd, kv_dim = hp->n_kv_heads * hd;
    float *score = s->scores + worker * s->len, scale = 1 / sqrtf((float)hd);
    for (size_t item; (item = team_take(s->f->team, 1)) < hp->n_heads * s->len;) {
        size_t h = item % hp->n_heads, t = item / hp->n_heads,
               g = h / (hp->n_heads / hp->n_kv_heads);
        const float *q = s->q + t * q_dim + h * hd;
        float *out = s->att + t * q_dim + h * hd, max = -INFINITY, sum = 0;
        for (size_t p = 0; p <= t; p++) {
            const float *k = s->k + p * kv_dim + g * hd;
            score[p] = dot(q, k, hd) * scale;
            max = fmaxf(max, score[p]);
        }
        memset(out, 0, hd * sizeof *out);
        for (size_t p = 0; p <= t; p++) {
            const float *v = s->v + p * kv_dim + g * hd;
            float e = expf(score[p] - max);
            sum += e;
            for (size_t i = 0; i < hd; i++)
                out[i] += e * v[i];
        }
        for (size_t i = 0; i < hd; i++)
            out[i] /= sum;
    }
}

static void run_sequence(struct step *s, float *x, const struct matrix linear[LINEARS],
                         input_fn see, void *ctx)
{
    struct float_model *f = s->f;
    const struct hparams *hp = &f->m.hp;
    const struct float_layer *l = &f->layer;
    size_t n = s->len, dim = hp->dim, ffn = hp->ffn, q_dim = hp->n_heads * hp->head_dim;
    size_t kv_dim = hp->n_kv_heads * hp->head_dim;
    norm_rows(s->normed, x, l->attn_norm, hp->norm_eps, dim, n);
    if (see)
        see(ctx, 0, s->normed, n);
    float_multiply(f, &linear[0], s->normed, s->q, n);
    float_multiply(f, &linear[1], s->normed, s->k, n);
    float_multiply(f, &linear[2], s->normed, s->v, n);
    for (size_t t = 0; t < n; t++) {
        rotate(f, s->q + t * q_dim, l->q_norm, hp->n_heads, t);
        rotate(f, s->k + t * kv_dim, l->k_norm, hp->n_kv_heads, t);
    }
    team_run(f->team, attend_run, s);
    norm_rows(s->att, s->att, l->attn_sub_norm, hp->norm_eps, q_dim, n);
    if (see)
        see(ctx, 3, s->att, n);
    float_multiply(f, &linear[3], s->att, s->y, n);
    for (size_t i = 0; i < n * dim; i++)
        x[i] += s->y[i];
    norm_rows(s->normed, x, l->ffn_norm, hp->norm_eps, dim, n);
    if (see)
        see(ctx, 4, s->normed, n);
    float_multiply(f, &linear[4], s->normed, s->gate, n);
    float_multiply(f, &linear[5], s->normed, s->up, n);
    for (size_t i = 0; i < n * ffn; i++) {
        float g = s->gate[i], relu = fmaxf(g, 0);
        s->gate[i] = s->up[i] * (f->m.arch->act == ACT_SILU ? g / (1 + expf(-g)) : relu * relu);
    }
    norm_rows(s->gate, s->gate, l->ffn_sub_norm, hp->norm_eps, ffn, n);
    if (see)
        see(ctx, 6, s->gate, n);
    float_multiply(f, &linear[6], s->gate, s->y, n);
    for (size_t i = 0; i < n * dim; i++)
        x[i] += s->y[i];
}

int text_layer(struct text *t, struct float_model *f, const struct matrix linear[LINEARS],
               input_fn see, void *ctx, bool keep, struct trit_error *err)
{
    const struct hparams *hp = &f->m.hp;
    size_t q_dim = (size_t)hp->n_heads * hp->head_dim,
           kv_dim = (size_t)hp->n_kv_heads * hp->head_dim;
    struct step s = {.f = f, .len = t->len};
    const struct {
        float **p;
        size_t width;
    } buffers[] = {{&s.normed, hp->dim}, {&s.q, q_dim},   {&s.k, kv_dim},
                   {&s.v, kv_dim},       {&s.att, q_dim}, {&s.gate, hp->ffn},
                   {&s.up, hp->ffn},     {&s.y, hp->dim}, {&s.scores, team_size(f->team)}};
    float *copy = keep ? mem_zalloc(t->len * hp->dim, sizeof *copy) : NULL;
    bool there = !keep || copy;
    for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
        *buffers[i].p = mem_zalloc(t->len * buffers[i].width, sizeof(float));
        there = there && *buffers[i].p;
    }
    int rc = there ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory to run %zu tokens", t->len);
    for (unsigned k = 0; rc == 0 && k < LINEARS; k++)
        rc = float_reserve(f, &linear[k], t->len, err);
    for (size_t i = 0; rc == 0 && i < t->n_seqs; i++) {
        float *x = t->x + i * t->len * hp->dim;
        if (keep)
            x = memcpy(copy, x, t->len * hp->dim * sizeof *x);
        run_sequence(&s, x, linear, see, ctx);
    }
    for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
        mem_free(*buffers[i].p);
    mem_free(copy);
    return rc;
}

/* ------------------------------------------------------------------ texts */

static int read_file(const char *path, char **text, size_t *len, struct trit_error *err)
{
    struct stat st;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    *text = NULL;
    if (fd < 0)
        return trit_fail(err, TRIT_ENOENT, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > TEXT_MAX)
        rc = trit_fail(err, TRIT_EINVAL, "%s: expected a regular file of at most %d MiB", path,
                       TEXT_MAX >> 20);
    if (rc == 0 && !(*text = mem_zalloc((size_t)st.st_size + 1, 1)))
        rc = trit_fail(err, TRIT_ENOMEM, "%s: out of memory", path);
    for (*len = 0; rc == 0 && *len < (size_t)st.st_size;) {
        ssize_t n = read(fd, *text + *len, (size_t)st.st_size - *len);
        if (n <= 0)
            rc = trit_fail(err, TRIT_EIO, "%s: cannot read: %s", path,
                           n < 0 ? strerror(errno) : "the file became shorter");
        else
            *len += (size_t)n;
    }
    close(fd);
    return rc;
}

static int embed(struct text *t, const struct float_model *f, struct trit_error *err)
{
    size_t dim = f->m.hp.dim;
    t->x = mem_zalloc(t->n_seqs * t->len, dim * sizeof *t->x);
    int rc = t->x ? 0 : trit_fail(err, TRIT_ENOMEM, "no memory for %zu tokens", t->n_seqs * t->len);
    for (size_t i = 0; rc == 0 && i < t->n_seqs * t->len; i++)
        rc = float_row(f->g, "token_embd.weight", (uint64_t)t->ids[i], t->x + i * dim, err);
    return rc;
}

int text_open(struct text *t, struct float_model *f, const char *path, size_t len, size_t max_seqs,
              struct trit_error *err)
{
    char *bytes;
    size_t n_bytes;
    struct tok_ids ids = {0};
    bool bos = tok_adds_bos(f->tok) && tok_bos(f->tok) >= 0;
    *t = (struct text){.len = len};
    int rc = read_file(path, &bytes, &n_bytes, err);
    if (rc == 0 && (rc = tok_encode(f->tok, bytes, n_bytes, 0, 0, &ids)))
        rc = trit_fail(err, -rc, "%s: cannot be tokenised%s", path,
                       rc == -TRIT_EINVAL ? ": it is not UTF-8" : "");
    size_t own = len - bos;
    t->n_seqs = MIN(ids.n / own, max_seqs);
    if (rc == 0 && t->n_seqs == 0)
        rc = trit_fail(err, TRIT_EINVAL, "%s: %zu tokens, expected at least %zu", path, ids.n, own);
    if (rc == 0 && !(t->ids = mem_zalloc(t->n_seqs * len, sizeof *t->ids)))
        rc = trit_fail(err, TRIT_ENOMEM, "%s: out of memory", path);
    for (size_t s = 0; rc == 0 && s < t->n_seqs; s++) {
        t->ids[s * len] = tok_bos(f->tok);
        memcpy(t->ids + s * len + bos, ids.id + s * own, own * sizeof *ids.id);
    }
    tok_ids_free(&ids);
    mem_free(bytes);
    return rc ? rc : embed(t, f, err);
}

int text_copy(struct text *t, const struct text *from, const struct float_model *f,
              struct trit_error *err)
{
    size_t n = from->n_seqs * from->len, dim = f->m.hp.dim;
    *t = (struct text){.n_seqs = from->n_seqs, .len = from->len};
    t->ids = mem_zalloc(n, sizeof *t->ids);
    t->x = mem_zalloc(n, dim * sizeof *t->x);
    if (!t->ids || !t->x)
        return trit_fail(err, TRIT_ENOMEM, "no memory for %zu tokens", n);
    memcpy(t->ids, from->ids, n * sizeof *t->ids);
    memcpy(t->x, from->x, n * dim * sizeof *t->x);
    return 0;
}

void text_close(struct text *t)
{
    mem_free(t->ids);
    mem_free(t->x);
    *t = (struct text){.ids = NULL};
}

/* -log of the softmax of row[n] at `id`. */
static double loss_of(const float *row, size_t n, int32_t id)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)row[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)row[i] - max);
    /* cppcheck-suppress invalidFunctionArg ; the largest adds 1 */
    return log(sum) + max - (double)row[id];
}

int text_perplexity(const struct text *t, struct float_model *f, double *perplexity,
                    struct trit_error *err)
{
    const struct hparams *hp = &f->m.hp;
    bool own = gguf_tensor(f->g, "output.weight") && f->m.arch->head == HEAD_OPTIONAL;
    const char *name = own ? "output.weight" : "token_embd.weight";
    struct matrix head = {.rows = hp->vocab, .cols = hp->dim};
    float *norm = mem_zalloc(hp->dim, sizeof *norm), *y = mem_zalloc(t->len * hp->dim, sizeof *y);
    float *logits = mem_zalloc(t->len, hp->vocab * sizeof *logits);
    double sum = 0;
    head.w = mem_zalloc((size_t)hp->vocab * hp->dim, sizeof *head.w);
    int rc = norm && y && logits && head.w
                 ? float_row(f->g, "output_norm.weight", 0, norm, err)
                 : trit_fail(err, TRIT_ENOMEM, "no memory for the head in floats");
    if (rc == 0)
        rc = float_reserve(f, &head, t->len, err);
    for (uint64_t r = 0; rc == 0 && r < hp->vocab; r++)
        rc = float_row(f->g, name, r, head.w + r * hp->dim, err);
    for (size_t s = 0; rc == 0 && s < t->n_seqs; s++) {
        norm_rows(y, t->x + s * t->len * hp->dim, norm, hp->norm_eps, hp->dim, t->len);
        float_multiply(f, &head, y, logits, t->len - 1);
        for (size_t i = 0; i + 1 < t->len; i++)
            sum += loss_of(logits + i * hp->vocab, hp->vocab, t->ids[s * t->len + i + 1]);
    }
    *perplexity = exp(sum / (double)(t->n_seqs * (t->len - 1)));
    mem_free(norm);
    mem_free(y);
    mem_free(logits);
    mem_free(head.w);
    return rc;
}
