/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - one training step by hand, for processors with matrix tiles (AMX, bfloat16).
 *
 * model.py says what is computed; this computes the same loss and the same gradients about ten
 * times as fast as its operations one by one (check.py holds the two together).  Products are of
 * bfloat16 with float32 sums; the stream between the layers, the norms and the gradients of the
 * weights are float32.  Ternary weights and 8-bit activations are integers here, exact in bfloat16,
 * with their scales applied to the sums, so the forward pass is the one that tritd computes.
 *
 * Parameters and gradients are one array each, tensors in this order, row-major [out][in]:
 *   embed [vocab][dim], norm [dim], and for each layer attn_norm [dim], q [dim][dim],
 *   k v [kv_heads * 64][dim], attn_sub_norm [dim], o [dim][dim], ffn_norm [dim],
 *   gate up [ffn][dim], ffn_sub_norm [ffn], down [dim][ffn].
 * Hence q, k, v are one matrix, and gate, up another.
 *
 * Quantisation passes gradients straight through: BitNet b1.58 (arXiv 2402.17764), section 2.
 *
 * A student may listen to teachers (arXiv 1503.02531), which are handles too, with their own
 * shapes: they go forward on the same tokens, and a share of the student's loss is measured against
 * the average of their probabilities.  These are formed ROWS tokens at a time, where the student's
 * own are, so that [tokens][vocab] of them never lie in memory.
 */
#include "cpu.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *room(size_t bytes)
{
    size_t huge = 2 << 20;
    void *p = aligned_alloc(huge, (bytes + huge - 1) / huge * huge);
    assert(p);
    madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    return p;
}

/* ---------------------------------------------------------------- where the tensors are */

struct at {
    size_t attn_norm, qkv, attn_sub_norm, o, ffn_norm, up, ffn_sub_norm, down, end;
};

static struct at offsets(const struct cpu *c, int layer)
{
    size_t d = (size_t)c->s.dim, f = (size_t)c->s.ffn;
    struct at a;
    a.attn_norm = 0;
    a.qkv = a.attn_norm + d;
    a.attn_sub_norm = a.qkv + c->qkv_n * d;
    a.o = a.attn_sub_norm + d;
    a.ffn_norm = a.o + d * d;
    a.up = a.ffn_norm + d;
    a.ffn_sub_norm = a.up + 2 * f * d;
    a.down = a.ffn_sub_norm + f;
    a.end = a.down + f * d;
    size_t start = (size_t)c->s.vocab * d + d + (size_t)layer * a.end;
    /* cppcheck-suppress comparePointers ; two members of one struct */
    for (size_t *p = &a.attn_norm; p <= &a.end; p++)
        *p += start;
    return a;
}

/* The gains' gradients are summed by each thread on its own: [layers][3 dim + ffn], last [dim]. */
static size_t gain_at(const struct cpu *c, int layer)
{
    return (size_t)layer * (3 * (size_t)c->s.dim + (size_t)c->s.ffn);
}

/* ---------------------------------------------------------------- setting up */

static void matrix_init(struct matrix *m, size_t out, size_t in, bool learns)
{
    *m = (struct matrix){.out = out, .in = in};
    m->forward = room(out * in * sizeof(bf16));
    m->backward = learns ? room(out * in * sizeof(bf16)) : NULL;
    m->scale = room(out * sizeof(float));
}

static void weights_init(const struct cpu *c, struct layer *y)
{
    size_t d = (size_t)c->s.dim, f = (size_t)c->s.ffn;
    matrix_init(&y->qkv, c->qkv_n, d, c->s.learns);
    matrix_init(&y->o, d, d, c->s.learns);
    matrix_init(&y->up, 2 * f, d, c->s.learns);
    matrix_init(&y->down, d, f, c->s.learns);
}

static void layer_init(const struct cpu *c, struct layer *y)
{
    size_t m = c->tokens, d = (size_t)c->s.dim, f = (size_t)c->s.ffn;
    y->before = room(m * d * sizeof(float));
    y->between = room(m * d * sizeof(float));
    y->qkv_out = room(m * c->qkv_n * sizeof(bf16));
    y->heads_out = room(m * d * sizeof(bf16));
    y->up_out = room(m * 2 * f * sizeof(bf16));
    y->lse = room(m * (size_t)c->s.heads * sizeof(float));
    y->x_qkv = room(m * d * sizeof(bf16));
    y->x_o = room(m * d * sizeof(bf16));
    y->x_up = room(m * d * sizeof(bf16));
    y->x_down = room(m * f * sizeof(bf16));
    for (int i = 0; i < 4; i++) {
        y->step[i] = room(m * sizeof(float));
        y->rstd[i] = room(m * sizeof(float));
    }
}

static void way_back_init(struct cpu *c, size_t most)
{
    size_t m = c->tokens, d = (size_t)c->s.dim, f = (size_t)c->s.ffn;
    c->dlogits = room(m * (size_t)c->s.vocab * sizeof(bf16));
    c->dx = room(m * d * sizeof(float));
    c->d_down = room(m * d * sizeof(bf16));
    c->d_o = room(m * d * sizeof(bf16));
    c->d_heads = room(m * d * sizeof(bf16));
    c->d_up = room(m * 2 * f * sizeof(bf16));
    c->d_qkv = room(m * c->qkv_n * sizeof(bf16));
    c->packed = room(CHUNK * most * sizeof(bf16));
}

/* A teacher gets the parts of the way back too: they are small. */
static void scratch_init(const struct cpu *c, struct scratch *r, size_t most)
{
    size_t t = (size_t)c->s.context, v = (size_t)c->s.vocab;
    r->strip = room(STRIP * CHUNK * sizeof(bf16));
    r->kt = room(t * HEAD * sizeof(bf16));
    r->kn = room(t * HEAD * sizeof(bf16));
    r->vt = room(t * HEAD * sizeof(bf16));
    r->vn = room(t * HEAD * sizeof(bf16));
    r->p = room(QUERIES * t * sizeof(bf16));
    r->ds = room(QUERIES * t * sizeof(bf16));
    r->turned = room(t * HEAD * sizeof(bf16));
    r->side = room(QUERIES * HEAD * sizeof(bf16));
    r->s = room(QUERIES * t * sizeof(float));
    r->dp = room(QUERIES * t * sizeof(float));
    r->dk = room(t * HEAD * sizeof(float));
    r->dv = room(t * HEAD * sizeof(float));
    r->wide = room(ROWS * (2 * most > v ? 2 * most : v) * sizeof(float));
    r->narrow = room(ROWS * most * sizeof(float));
    r->gains = room(c->n_gains * sizeof(float));
}

/* NULL: the kernel does not permit the tiles. */
struct cpu *cpu_open(const struct shape *s)
{
    if (!amx_permitted())
        return NULL;
    assert(s->dim == s->heads * HEAD && s->dim % 32 == 0 && s->ffn % 32 == 0);
    assert(s->vocab % 32 == 0 && s->context % QUERIES == 0 && s->heads % s->kv_heads == 0);
    struct cpu *c = calloc(1, sizeof *c);
    c->s = *s;
    size_t d = (size_t)s->dim, f = (size_t)s->ffn, t = (size_t)s->context;
    size_t m = c->tokens = t * (size_t)s->rows, most = f > d ? f : d;
    assert(m % CHUNK == 0);
    c->kv = (size_t)s->kv_heads * HEAD;
    c->qkv_n = d + 2 * c->kv;
    c->n_gains = gain_at(c, s->layers) + d;
    c->layer = calloc((size_t)s->layers, sizeof *c->layer);
    for (int l = 0; l < s->layers; l++) {
        if (l == 0 || s->learns)
            layer_init(c, &c->layer[l]);
        else
            c->layer[l] = c->layer[0];
        weights_init(c, &c->layer[l]);
    }
    matrix_init(&c->head, (size_t)s->vocab, d, s->learns);
    c->last = room(m * d * sizeof(float));
    c->rstd = room(m * sizeof(float));
    c->x_head = room(m * d * sizeof(bf16));
    if (s->learns)
        way_back_init(c, most);
    c->cosine = room(t * HEAD / 2 * sizeof(float));
    c->sine = room(t * HEAD / 2 * sizeof(float));
    for (size_t p = 0; p < t; p++) {
        for (size_t i = 0; i < HEAD / 2; i++) {
            double angle = (double)p * pow(s->rope_base, -2.0 * (double)i / HEAD);
            c->cosine[p * HEAD / 2 + i] = (float)cos(angle);
            c->sine[p * HEAD / 2 + i] = (float)sin(angle);
        }
    }
    c->n_threads = omp_get_max_threads();
    assert(c->n_threads <= THREADS);
    for (int i = 0; i < c->n_threads; i++)
        scratch_init(c, &c->scratch[i], most);
    return c;
}

/*
 * Measure the share `listen` of c's loss against what these handles say on average, from the next
 * step on.  They are lent; their weights are to be loaded.  Tokens and vocabulary are those of c.
 */
void cpu_teach(struct cpu *c, struct cpu *const *teachers, int n, float listen)
{
    assert(n > 0);
    for (int i = 0; i < n; i++) {
        const struct cpu *t = teachers[i];
        assert(t->s.vocab == c->s.vocab && t->s.context == c->s.context && t->s.rows == c->s.rows);
        assert(t->n_threads >= c->n_threads && t->params);
    }
    free(c->teachers);
    c->teachers = calloc((size_t)n, sizeof(struct cpu *));
    memcpy(c->teachers, teachers, (size_t)n * sizeof(struct cpu *));
    c->n_teachers = n;
    c->listen = listen;
}

/* ---------------------------------------------------------------- weights, once an update */

/* Rows [from, from + n) of the matrix are one tensor with one scale. */
static void matrix_tensor(struct matrix *m, bf16 *rows, const float *w, size_t from, size_t n,
                          bool ternary)
{
    size_t size = n * m->in;
    bf16 *to = rows + from * m->in;
    float scale = 1;
    if (ternary) {
        double sum = 0;
#pragma omp parallel for simd reduction(+ : sum)
        for (size_t i = 0; i < size; i++)
            sum += fabsf(w[i]);
        scale = fmaxf((float)(sum / (double)size), 1e-5f);
    }
    float inverse = 1 / scale;
#pragma omp parallel for simd
    for (size_t i = 0; i < size; i++) {
        float x = w[i] * inverse;
        to[i] = narrow(ternary ? (float)((x > 0.5f) - (x < -0.5f)) : x);
    }
    for (size_t i = from; i < from + n; i++)
        m->scale[i] = scale;
}

static void matrix_pack(struct matrix *m, const bf16 *rows, bf16 *turned)
{
    amx_transpose(m->out, m->in, rows, m->in, turned, m->out);
    amx_pack(m->in, m->out, turned, m->out, NULL, m->forward);
    if (m->backward)
        amx_pack(m->out, m->in, rows, m->in, m->scale, m->backward);
}

void cpu_load(struct cpu *c, const float *params)
{
    size_t d = (size_t)c->s.dim, f = (size_t)c->s.ffn, v = (size_t)c->s.vocab;
    size_t largest = (2 * f > v ? 2 * f : v) * d;
    bf16 *rows = room(largest * sizeof(bf16)), *turned = room(largest * sizeof(bf16));
    bool q = c->s.ternary;
    c->params = params;
    matrix_tensor(&c->head, rows, params, 0, v, false);
    matrix_pack(&c->head, rows, turned);
    for (int l = 0; l < c->s.layers; l++) {
        struct layer *y = &c->layer[l];
        struct at a = offsets(c, l);
        matrix_tensor(&y->qkv, rows, params + a.qkv, 0, d, q);
        matrix_tensor(&y->qkv, rows, params + a.qkv + d * d, d, c->kv, q);
        matrix_tensor(&y->qkv, rows, params + a.qkv + (d + c->kv) * d, d + c->kv, c->kv, q);
        matrix_pack(&y->qkv, rows, turned);
        matrix_tensor(&y->o, rows, params + a.o, 0, d, q);
        matrix_pack(&y->o, rows, turned);
        matrix_tensor(&y->up, rows, params + a.up, 0, f, q);
        matrix_tensor(&y->up, rows, params + a.up + f * d, f, f, q);
        matrix_pack(&y->up, rows, turned);
        matrix_tensor(&y->down, rows, params + a.down, 0, d, q);
        matrix_pack(&y->down, rows, turned);
    }
    free(rows);
    free(turned);
}

static void product(const struct matrix *m, size_t rows, const bf16 *x, const float *step,
                    struct amx_out out)
{
    out.row = step;
    out.col = m->scale;
    amx_gemm(rows, m->out, m->in, x, m->in, m->forward, m->in * 32, out);
}

static void product_back(const struct matrix *m, size_t rows, const bf16 *dy, struct amx_out out)
{
    amx_gemm(rows, m->in, m->out, dy, m->out, m->backward, m->out * 32, out);
}

/* ---------------------------------------------------------------- forward */

static void norm_and_qkv(struct cpu *c, int l, size_t i0)
{
    struct layer *y = &c->layer[l];
    size_t d = (size_t)c->s.dim, t = (size_t)c->s.context;
    const float *gain = c->params + offsets(c, l).attn_norm;
    for (size_t i = i0; i < i0 + ROWS; i++)
        norm(c, d, y->before + i * d, gain, c->s.ternary, y->x_qkv + i * d, &y->rstd[0][i],
             &y->step[0][i]);
    product(&y->qkv, ROWS, y->x_qkv + i0 * d, y->step[0] + i0,
            (struct amx_out){.h = y->qkv_out + i0 * c->qkv_n, .ld = c->qkv_n});
    for (size_t i = i0; i < i0 + ROWS; i++)
        for (size_t h = 0; h < (d + c->kv) / HEAD; h++)
            rotate(c, i % t, 1, y->qkv_out + i * c->qkv_n + h * HEAD);
}

static void rest_of_layer(struct cpu *c, int l, size_t i0, float *after)
{
    struct layer *y = &c->layer[l];
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    struct at a = offsets(c, l);
    size_t d = (size_t)c->s.dim, f = (size_t)c->s.ffn;
    const float *p = c->params;
    bool q = c->s.ternary;
    for (size_t i = i0; i < i0 + ROWS; i++) {
        to_float(d, y->heads_out + i * d, r->narrow);
        norm(c, d, r->narrow, p + a.attn_sub_norm, q, y->x_o + i * d, &y->rstd[1][i],
             &y->step[1][i]);
    }
    memcpy(y->between + i0 * d, y->before + i0 * d, ROWS * d * sizeof(float));
    product(&y->o, ROWS, y->x_o + i0 * d, y->step[1] + i0, (struct amx_out){.f = r->wide, .ld = d});
    dropped(c, l, 0, i0, r->wide, y->between + i0 * d, true);
    for (size_t i = i0; i < i0 + ROWS; i++)
        norm(c, d, y->between + i * d, p + a.ffn_norm, q, y->x_up + i * d, &y->rstd[2][i],
             &y->step[2][i]);
    product(&y->up, ROWS, y->x_up + i0 * d, y->step[2] + i0,
            (struct amx_out){.h = y->up_out + i0 * 2 * f, .ld = 2 * f});
    for (size_t i = i0; i < i0 + ROWS; i++) {
        relu2_glu(f, y->up_out + i * 2 * f, r->narrow);
        norm(c, f, r->narrow, p + a.ffn_sub_norm, q, y->x_down + i * f, &y->rstd[3][i],
             &y->step[3][i]);
    }
    memcpy(after + i0 * d, y->between + i0 * d, ROWS * d * sizeof(float));
    product(&y->down, ROWS, y->x_down + i0 * f, y->step[3] + i0,
            (struct amx_out){.f = r->wide, .ld = d});
    dropped(c, l, 1, i0, r->wide, after + i0 * d, true);
}

/* From the tokens to the stream after the last layer; to be called by all threads of a parallel
 * region. */
static void forward(struct cpu *c, const int32_t *tokens, const int32_t *begin)
{
    size_t m = c->tokens, d = (size_t)c->s.dim, kv_heads = (size_t)c->s.kv_heads;
#pragma omp for
    for (size_t i = 0; i < m; i++)
        memcpy(c->layer[0].before + i * d, c->params + (size_t)tokens[i] * d, d * sizeof(float));
    for (int l = 0; l < c->s.layers; l++) {
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < m; i += ROWS)
            norm_and_qkv(c, l, i);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < (size_t)c->s.rows * kv_heads; i++)
            attend(c, &c->layer[l], begin, i / kv_heads, i % kv_heads);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < m; i += ROWS)
            rest_of_layer(c, l, i, l + 1 < c->s.layers ? c->layer[l + 1].before : c->last);
    }
}

/* Logits [ROWS][vocab] of the stream, in the thread's r->wide. */
static float *logits(struct cpu *c, size_t i0)
{
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    size_t d = (size_t)c->s.dim, v = (size_t)c->s.vocab;
    const float *gain = c->params + v * d;
    for (size_t i = i0; i < i0 + ROWS; i++)
        norm(c, d, c->last + i * d, gain, false, c->x_head + i * d, &c->rstd[i], NULL);
    amx_gemm(ROWS, v, d, c->x_head + i0 * d, d, c->head.forward, d * 32,
             (struct amx_out){.f = r->wide, .ld = v});
    return r->wide;
}

/* Probabilities in place of logits.  Returns the logarithm of the sum of the exponentials. */
static float softmax(size_t n, float *x)
{
    float most = x[0], sum = 0;
    for (size_t j = 0; j < n; j++)
        most = fmaxf(most, x[j]);
    for (size_t j = 0; j < n; j++)
        sum += x[j] = expf(x[j] - most);
    float by = 1 / sum;
    for (size_t j = 0; j < n; j++)
        x[j] *= by;
    /* cppcheck-suppress invalidFunctionArg ; the largest adds 1 */
    return most + logf(sum);
}

/* Probabilities in r->wide, where a target is to be learnt.  Returns the sum of the losses. */
static double head(struct cpu *c, const int32_t *target, size_t i0)
{
    size_t v = (size_t)c->s.vocab;
    float *x = logits(c, i0);
    double loss = 0;
    for (size_t i = i0; i < i0 + ROWS; i++, x += v) {
        if (target[i] < 0)
            continue;
        float wanted = x[target[i]];
        loss += softmax(v, x) - wanted;
    }
    return loss;
}

/* ---------------------------------------------------------------- backward */

/* Take a teacher's probabilities times its share off the student's. */
static void hear(struct cpu *teacher, const int32_t *target, float share, size_t i0, float *x)
{
    size_t v = (size_t)teacher->s.vocab;
    float *said = logits(teacher, i0);
    for (size_t i = i0; i < i0 + ROWS; i++, x += v, said += v) {
        if (target[i] < 0)
            continue;
        softmax(v, said);
        for (size_t j = 0; j < v; j++)
            x[j] -= share * said[j];
    }
}

/* From the probabilities that head() left, which are the gradient of the logits once those that
 * were wanted are taken off, back to the stream. */
static void head_back(struct cpu *c, const int32_t *target, float scale, size_t i0)
{
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    size_t d = (size_t)c->s.dim, v = (size_t)c->s.vocab;
    for (int k = 0; k < c->n_teachers; k++)
        hear(c->teachers[k], target, c->listen / (float)c->n_teachers, i0, r->wide);
    for (size_t i = 0; i < ROWS; i++) {
        float *x = r->wide + i * v;
        bf16 *out = c->dlogits + (i0 + i) * v;
        int32_t want = target[i0 + i];
        if (want < 0) {
            memset(out, 0, v * sizeof *out);
            continue;
        }
        x[want] -= 1 - c->listen;
        for (size_t j = 0; j < v; j++)
            out[j] = narrow(x[j] * scale);
    }
    product_back(&c->head, ROWS, c->dlogits + i0 * v, (struct amx_out){.f = r->narrow, .ld = d});
    memset(c->dx + i0 * d, 0, ROWS * d * sizeof(float));
    for (size_t i = 0; i < ROWS; i++)
        norm_back(d, c->last + (i0 + i) * d, c->params + v * d, c->rstd[i0 + i], r->narrow + i * d,
                  c->dx + (i0 + i) * d, r->gains + gain_at(c, c->s.layers));
}

static void ffn_back(struct cpu *c, int l, size_t i0)
{
    struct layer *y = &c->layer[l];
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    struct at a = offsets(c, l);
    size_t d = (size_t)c->s.dim, f = (size_t)c->s.ffn;
    const float *p = c->params;
    float *dgain = r->gains + gain_at(c, l); /* attn_norm, attn_sub_norm, ffn_norm, ffn_sub_norm */
    dropped(c, l, 1, i0, c->dx + i0 * d, r->wide, false);
    to_bf16(ROWS * d, r->wide, c->d_down + i0 * d);
    product_back(&y->down, ROWS, c->d_down + i0 * d, (struct amx_out){.f = r->narrow, .ld = f});
    for (size_t i = 0; i < ROWS; i++) {
        const bf16 *gu = y->up_out + (i0 + i) * 2 * f;
        bf16 *dgu = c->d_up + (i0 + i) * 2 * f;
        float *glu = r->wide, *dglu = r->wide + f;
        relu2_glu(f, gu, glu);
        memset(dglu, 0, f * sizeof *dglu);
        norm_back(f, glu, p + a.ffn_sub_norm, y->rstd[3][i0 + i], r->narrow + i * f, dglu,
                  dgain + 3 * d);
        for (size_t j = 0; j < f; j++) {
            float g = fmaxf(widen(gu[j]), 0);
            dgu[j] = narrow(2 * g * widen(gu[f + j]) * dglu[j]);
            dgu[f + j] = narrow(g * g * dglu[j]);
        }
    }
    product_back(&y->up, ROWS, c->d_up + i0 * 2 * f, (struct amx_out){.f = r->narrow, .ld = d});
    for (size_t i = 0; i < ROWS; i++)
        norm_back(d, y->between + (i0 + i) * d, p + a.ffn_norm, y->rstd[2][i0 + i],
                  r->narrow + i * d, c->dx + (i0 + i) * d, dgain + 2 * d);
    dropped(c, l, 0, i0, c->dx + i0 * d, r->wide, false);
    to_bf16(ROWS * d, r->wide, c->d_o + i0 * d);
    product_back(&y->o, ROWS, c->d_o + i0 * d, (struct amx_out){.f = r->narrow, .ld = d});
    for (size_t i = 0; i < ROWS; i++) {
        float *x = r->wide, *dx = r->wide + d;
        to_float(d, y->heads_out + (i0 + i) * d, x);
        memset(dx, 0, d * sizeof *dx);
        norm_back(d, x, p + a.attn_sub_norm, y->rstd[1][i0 + i], r->narrow + i * d, dx, dgain + d);
        to_bf16(d, dx, c->d_heads + (i0 + i) * d);
    }
}

static void qkv_back(struct cpu *c, int l, size_t i0)
{
    struct layer *y = &c->layer[l];
    struct scratch *r = &c->scratch[omp_get_thread_num()];
    size_t d = (size_t)c->s.dim;
    product_back(&y->qkv, ROWS, c->d_qkv + i0 * c->qkv_n,
                 (struct amx_out){.f = r->narrow, .ld = d});
    for (size_t i = 0; i < ROWS; i++)
        norm_back(d, y->before + (i0 + i) * d, c->params + offsets(c, l).attn_norm,
                  y->rstd[0][i0 + i], r->narrow + i * d, c->dx + (i0 + i) * d,
                  r->gains + gain_at(c, l));
}

/* grad[n][k] += dy[tokens][n]^T x[tokens][k]; to be called by all threads of a parallel region. */
static void weight_back(struct cpu *c, size_t n, size_t k, const bf16 *dy, const bf16 *x,
                        const float *step, float *grad)
{

    bf16 *turned = c->scratch[omp_get_thread_num()].strip;
    for (size_t t = 0; t < c->tokens; t += CHUNK) {
#pragma omp for schedule(static)
        for (size_t j = 0; j < k; j += 32)
            amx_pack(CHUNK, 32, x + t * k + j, k, step ? step + t : NULL, c->packed + j * CHUNK);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < n; i += STRIP) {
            size_t m = n - i < STRIP ? n - i : STRIP;
            amx_transpose(CHUNK, m, dy + t * n + i, n, turned, CHUNK);
            amx_gemm(m, k, CHUNK, turned, CHUNK, c->packed, CHUNK * 32,
                     (struct amx_out){.f = grad + i * k, .ld = k, .add = true});
        }
    }
}

/* From dlogits and dx, which head_back() left, to the gradients of the matrices; to be called by
 * all threads of a parallel region. */
static void backward(struct cpu *c, const int32_t *begin, float *grads)
{
    size_t m = c->tokens, d = (size_t)c->s.dim, f = (size_t)c->s.ffn, v = (size_t)c->s.vocab;
    size_t kv_heads = (size_t)c->s.kv_heads;
    weight_back(c, v, d, c->dlogits, c->x_head, NULL, grads);
    for (int l = c->s.layers - 1; l >= 0; l--) {
        struct layer *y = &c->layer[l];
        struct at a = offsets(c, l);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < m; i += ROWS)
            ffn_back(c, l, i);
        weight_back(c, d, f, c->d_down, y->x_down, y->step[3], grads + a.down);
        weight_back(c, 2 * f, d, c->d_up, y->x_up, y->step[2], grads + a.up);
        weight_back(c, d, d, c->d_o, y->x_o, y->step[1], grads + a.o);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < (size_t)c->s.rows * kv_heads; i++)
            attend_back(c, y, begin, i / kv_heads, i % kv_heads);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < m; i += ROWS)
            qkv_back(c, l, i);
        weight_back(c, c->qkv_n, d, c->d_qkv, y->x_qkv, y->step[0], grads + a.qkv);
    }
}

/* What is left when the threads are done: the embedding's rows that were read, and the gains. */
static void rest_back(const struct cpu *c, const int32_t *tokens, float *grads)
{
    size_t d = (size_t)c->s.dim, f = (size_t)c->s.ffn, v = (size_t)c->s.vocab;
    for (size_t i = 0; i < c->tokens; i++)
        for (size_t j = 0; j < d; j++)
            grads[(size_t)tokens[i] * d + j] += c->dx[i * d + j];
    for (int i = 0; i < c->n_threads; i++) {
        const float *g = c->scratch[i].gains;
        for (int l = 0; l < c->s.layers; l++) {
            struct at a = offsets(c, l);
            for (size_t j = 0; j < d; j++) {
                grads[a.attn_norm + j] += g[gain_at(c, l) + j];
                grads[a.attn_sub_norm + j] += g[gain_at(c, l) + d + j];
                grads[a.ffn_norm + j] += g[gain_at(c, l) + 2 * d + j];
            }
            for (size_t j = 0; j < f; j++)
                grads[a.ffn_sub_norm + j] += g[gain_at(c, l) + 3 * d + j];
        }
        for (size_t j = 0; j < d; j++)
            grads[v * d + j] += g[gain_at(c, c->s.layers) + j];
    }
}

/* ---------------------------------------------------------------- the step */

/*
 * Add the gradients of scale * (sum of the losses) to `grads`, and return the sum of the losses
 * against the text in nats, teachers or not.  grads NULL: only the latter; no teacher is asked.
 * tokens, target, begin: [rows][context]; target -1 is not learnt; begin is the index in the row of
 * the first token of the token's own document, before which nothing is attended.
 * dropout: the share of what the branches add that is dropped, chosen by the seed.
 */
double cpu_step(struct cpu *c, const int32_t *tokens, const int32_t *target, const int32_t *begin,
                float scale, float dropout, uint32_t seed, float *grads)
{
    assert(c->s.learns || !grads);
    double loss = 0;
    c->drop = (uint32_t)((double)dropout * 0x1p32);
    c->seed = seed;
#pragma omp parallel num_threads(c->n_threads) reduction(+ : loss)
    {
        memset(c->scratch[omp_get_thread_num()].gains, 0, c->n_gains * sizeof(float));
        for (int k = 0; grads && k < c->n_teachers; k++)
            forward(c->teachers[k], tokens, begin);
        forward(c, tokens, begin);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < c->tokens; i += ROWS) {
            loss += head(c, target, i);
            if (grads)
                head_back(c, target, scale, i);
        }
        if (grads)
            backward(c, begin, grads);
    }
    if (grads)
        rest_back(c, tokens, grads);
    return loss;
}

/* ---------------------------------------------------------------- the optimiser */

double cpu_norm(size_t n, const float *g)
{
    double sum = 0;
#pragma omp parallel for simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += (double)g[i] * g[i];
    return sqrt(sum);
}

/* AdamW (arXiv 1711.05101) with the gradient times `by`; `rate1` and `rate2` are 1 - beta^step. */
void cpu_adamw(size_t n, float *w, float *g, float *m, float *v, float by, float lr, float beta1,
               float beta2, float eps, float decay, float rate1, float rate2)
{
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++) {
        float x = g[i] * by;
        m[i] = beta1 * m[i] + (1 - beta1) * x;
        v[i] = beta2 * v[i] + (1 - beta2) * x * x;
        w[i] -= lr * (m[i] / rate1 / (sqrtf(v[i] / rate2) + eps) + decay * w[i]);
        g[i] = 0;
    }
}
