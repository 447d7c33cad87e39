/* SPDX-License-Identifier: MIT */
/*
 * format.c - OpenAI's shapes, written straight into the output buffer.
 */
#include "config.h"
#include "server/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "engine/seq.h"
#include "server/json.h"
#include "server/names.h"
#include "server/problem.h"

void format_begin(struct json_out *o, const struct format_head *h, bool chunk)
{
    json_open(o, '{');
    json_key(o, "id");
    json_str(o, h->id);
    json_key(o, "object");
    json_str(o, !h->chat ? "text_completion" : chunk ? "chat.completion.chunk" : "chat.completion");
    json_key(o, "created");
    json_int(o, h->created);
    json_key(o, "model");
    json_str(o, h->model);
    json_key(o, "system_fingerprint");
    json_str(o, h->fingerprint);
    if (h->service_tier) {
        json_key(o, "service_tier");
        json_str(o, h->service_tier);
    }
    json_key(o, "choices");
    json_open(o, '[');
}

void format_obfuscation(struct json_out *o, size_t start)
{
    static const char member[] = ",\"obfuscation\":\"\"", end[] = "}\n\n";
    char noise[NAMES_RANDOM + 1];
    size_t len = o->buf->len - start + strlen(member) + strlen(end);
    size_t n = FORMAT_PAD - len % FORMAT_PAD;
    json_key(o, "obfuscation");
    buf_addc(o->buf, '"');
    for (size_t at = 0; at < n; at += NAMES_RANDOM) {
        names_random(noise, sizeof noise, "");
        buf_add(o->buf, noise, MIN(n - at, (size_t)NAMES_RANDOM));
    }
    buf_addc(o->buf, '"');
    o->comma = true;
}

void format_energy(struct json_out *o, const struct format_usage *u)
{
    if (u->joules < 0)
        return;
    json_key(o, "tritd");
    json_open(o, '{');
    json_key(o, "energy_joules");
    json_double(o, round(u->joules * 1e3) / 1e3);
    json_close(o, '}');
}

static void put_usage(struct json_out *o, const struct format_usage *u)
{
    static const char *const details[] = {"reasoning_tokens", "audio_tokens",
                                          "accepted_prediction_tokens",
                                          "rejected_prediction_tokens"};
    json_open(o, '{');
    json_key(o, "prompt_tokens");
    json_int(o, (int64_t)u->prompt);
    json_key(o, "completion_tokens");
    json_int(o, (int64_t)u->completion);
    json_key(o, "total_tokens");
    json_int(o, (int64_t)(u->prompt + u->completion));
    json_key(o, "prompt_tokens_details");
    json_open(o, '{');
    json_key(o, "cached_tokens");
    json_int(o, (int64_t)u->cached);
    json_key(o, "audio_tokens");
    json_int(o, 0);
    json_close(o, '}');
    json_key(o, "completion_tokens_details");
    json_open(o, '{');
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        json_key(o, details[i]);
        json_int(o, i == 0 ? (int64_t)u->thinking : 0);
    }
    json_close(o, '}');
    format_energy(o, u);
    json_close(o, '}');
}

void format_end(struct json_out *o, const struct format_usage *u)
{
    json_close(o, ']');
    json_key(o, "usage");
    put_usage(o, u);
    json_close(o, '}');
}

/* ------------------------------------------------------------------ logprobs */

static void put_token_name(struct json_out *o, const struct format_logprobs *l, int32_t id)
{
    size_t len;
    char name[32];
    const char *piece = tok_piece(l->tok, id, &len);
    if (l->as_ids)
        len = (size_t)snprintf(name, sizeof name, "token_id:%d", id);
    json_strn(o, l->as_ids ? name : piece, len);
}

/* {"token","logprob","bytes"}, without the closing brace. */
static void put_chat_token(struct json_out *o, const struct format_logprobs *l, int32_t id,
                           float logprob)
{
    size_t len;
    const char *piece = tok_piece(l->tok, id, &len);
    json_open(o, '{');
    json_key(o, "token");
    put_token_name(o, l, id);
    json_key(o, "logprob");
    json_float(o, logprob);
    json_key(o, "bytes");
    json_open(o, '[');
    for (size_t i = 0; i < len; i++)
        json_int(o, (unsigned char)piece[i]);
    json_close(o, ']');
}

void format_token_list(struct json_out *o, const struct format_logprobs *l)
{
    json_open(o, '[');
    for (size_t i = 0; l && i < l->n; i++) {
        const struct seq_logprob *lp = l->token[i].logprob;
        put_chat_token(o, l, l->token[i].id, lp->logprob);
        json_key(o, "top_logprobs");
        json_open(o, '[');
        for (uint32_t k = 0; k < MIN(lp->n_top, l->n_top); k++) {
            put_chat_token(o, l, lp->top[k].id, lp->top[k].logprob);
            json_close(o, '}');
        }
        json_close(o, ']');
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void put_chat_logprobs(struct json_out *o, const struct format_logprobs *l)
{
    json_open(o, '{');
    json_key(o, "content");
    format_token_list(o, l);
    json_key(o, "refusal");
    json_null(o);
    json_close(o, '}');
}

/* Whether two tokens would have the same name: pieces of characters all look like U+FFFD. */
static bool same_name(const struct format_logprobs *l, int32_t a, int32_t b)
{
    size_t a_len, b_len;
    if (a == b || l->as_ids)
        return a == b;
    const char *s = tok_piece(l->tok, a, &a_len), *t = tok_piece(l->tok, b, &b_len);
    if (a_len == b_len && memcmp(s, t, a_len) == 0)
        return true;
    if (utf8_valid(s, a_len) || utf8_valid(t, b_len))
        return false;
    struct buf names = {0};
    struct json_out o = {.buf = &names};
    json_strn(&o, s, a_len);
    size_t cut = names.len;
    o.comma = false;
    json_strn(&o, t, b_len);
    bool same =
        names.failed || (names.len == 2 * cut && !memcmp(names.data, names.data + cut, cut));
    buf_free(&names);
    return same;
}

/*
 * The alternatives by name, and the token itself if it is not among them.  A name stands once, for
 * the most likely token that has it.
 */
static void put_top_map(struct json_out *o, const struct format_logprobs *l,
                        const struct format_token *t)
{
    const struct seq_logprob *lp = t->logprob;
    uint32_t n = MIN(lp->n_top, l->n_top);
    bool named = false;
    json_open(o, '{');
    for (uint32_t k = 0; k <= n; k++) {
        int32_t id = k < n ? lp->top[k].id : t->id;
        bool repeated = k == n && named;
        for (uint32_t i = 0; i < MIN(k, n) && !repeated; i++)
            repeated = same_name(l, lp->top[i].id, id);
        named = named || id == t->id;
        if (repeated)
            continue;
        /* A key is a string followed by a colon. */
        put_token_name(o, l, id);
        buf_addc(o->buf, ':');
        o->comma = false;
        json_float(o, k < n ? lp->top[k].logprob : lp->logprob);
    }
    json_close(o, '}');
}

static void put_completion_logprobs(struct json_out *o, const struct format_logprobs *l)
{
    json_open(o, '{');
    json_key(o, "tokens");
    json_open(o, '[');
    for (size_t i = 0; i < l->n; i++)
        put_token_name(o, l, l->token[i].id);
    json_close(o, ']');
    json_key(o, "token_logprobs");
    json_open(o, '[');
    for (size_t i = 0; i < l->n; i++)
        if (l->token[i].logprob)
            json_float(o, l->token[i].logprob->logprob);
        else
            json_null(o);
    json_close(o, ']');
    json_key(o, "top_logprobs");
    json_open(o, '[');
    for (size_t i = 0; i < l->n; i++)
        if (l->token[i].logprob)
            put_top_map(o, l, &l->token[i]);
        else
            json_null(o);
    json_close(o, ']');
    json_key(o, "text_offset");
    json_open(o, '[');
    for (size_t i = 0; i < l->n; i++)
        json_int(o, (int64_t)l->token[i].offset);
    json_close(o, ']');
    json_close(o, '}');
}

static void put_logprobs_and_reason(struct json_out *o, const struct format_head *h,
                                    const struct format_choice *c)
{
    json_key(o, "logprobs");
    if (!c->logprobs)
        json_null(o);
    else if (h->chat)
        put_chat_logprobs(o, c->logprobs);
    else
        put_completion_logprobs(o, c->logprobs);
    json_key(o, "finish_reason");
    json_str_or_null(o, c->finish_reason);
}

/* ------------------------------------------------------------------ choices */

/* begins NULL: what goes on is only a piece of the arguments.  In streams calls have an index. */
static void put_call(struct json_out *o, const struct format_call *begins, const char *arguments,
                     size_t len)
{
    if (begins) {
        json_key(o, "id");
        json_str(o, begins->id);
        json_key(o, "type");
        json_str(o, "function");
    }
    json_key(o, "function");
    json_open(o, '{');
    if (begins) {
        json_key(o, "name");
        json_str(o, begins->name);
    }
    json_key(o, "arguments");
    json_strn(o, arguments, len);
    json_close(o, '}');
}

static void put_calls(struct json_out *o, const struct format_choice *c)
{
    json_key(o, "tool_calls");
    json_open(o, '[');
    for (size_t i = 0; i < c->n_calls; i++) {
        json_open(o, '{');
        put_call(o, &c->call[i], c->call[i].arguments, c->call[i].len);
        json_close(o, '}');
    }
    json_close(o, ']');
}

static void put_thought(struct json_out *o, const struct format_choice *c)
{
    if (c->thought_len == 0)
        return;
    json_key(o, "reasoning_content");
    json_strn(o, c->thought, c->thought_len);
}

void format_choice(struct json_out *o, const struct format_head *h, const struct format_choice *c)
{
    json_open(o, '{');
    json_key(o, "index");
    json_int(o, c->index);
    if (h->chat) {
        json_key(o, "message");
        json_open(o, '{');
        json_key(o, "role");
        json_str(o, "assistant");
        json_key(o, "content");
        if (c->n_calls && c->len == 0)
            json_null(o);
        else
            json_strn(o, c->text, c->len);
        put_thought(o, c);
        json_key(o, "refusal");
        json_null(o);
        json_key(o, "annotations");
        json_open(o, '[');
        json_close(o, ']');
        if (c->n_calls)
            put_calls(o, c);
        json_close(o, '}');
    } else {
        json_key(o, "text");
        json_strn(o, c->text, c->len);
    }
    put_logprobs_and_reason(o, h, c);
    json_close(o, '}');
}

static void begin_event(struct json_out *o, const struct format_head *h)
{
    buf_adds(o->buf, "data: ");
    format_begin(o, h, true);
}

/* Every chunk but the last says "usage": null, where usage was asked for at all. */
static void end_event(struct json_out *o, const struct format_head *h, size_t start)
{
    json_close(o, ']');
    if (h->include_usage) {
        json_key(o, "usage");
        json_null(o);
    }
    if (h->obfuscate)
        format_obfuscation(o, start);
    json_close(o, '}');
    buf_adds(o->buf, "\n\n");
}

static void put_delta(struct json_out *o, const char *role, const char *text,
                      const struct format_choice *c)
{
    json_key(o, "delta");
    json_open(o, '{');
    if (role) {
        json_key(o, "role");
        json_str(o, role);
    }
    if (text) {
        json_key(o, "content");
        json_strn(o, text, c->len);
    }
    put_thought(o, c);
    json_close(o, '}');
}

/* role NULL: none. */
static void choice_event(struct buf *out, const struct format_head *h,
                         const struct format_choice *c, const char *role)
{
    struct json_out o = {.buf = out};
    size_t start = out->len;
    begin_event(&o, h);
    json_open(&o, '{');
    json_key(&o, "index");
    json_int(&o, c->index);
    if (h->chat) {
        /* The last delta of a choice is empty: it only brings the reason. */
        put_delta(&o, role, c->finish_reason && c->len == 0 ? NULL : c->text, c);
    } else {
        json_key(&o, "text");
        json_strn(&o, c->text, c->len);
    }
    put_logprobs_and_reason(&o, h, c);
    json_close(&o, '}');
    end_event(&o, h, start);
}

void format_role_event(struct buf *out, const struct format_head *h, uint32_t index)
{
    trit_assert(h->chat);
    choice_event(out, h, &(struct format_choice){.index = index, .text = ""}, "assistant");
}

void format_delta_event(struct buf *out, const struct format_head *h, const struct format_choice *c)
{
    choice_event(out, h, c, NULL);
}

void format_call_event(struct buf *out, const struct format_head *h, uint32_t index, size_t at,
                       const struct format_call *begins, const char *arguments, size_t len)
{
    struct json_out o = {.buf = out};
    size_t start = out->len;
    begin_event(&o, h);
    json_open(&o, '{');
    json_key(&o, "index");
    json_int(&o, index);
    json_key(&o, "delta");
    json_open(&o, '{');
    json_key(&o, "tool_calls");
    json_open(&o, '[');
    json_open(&o, '{');
    json_key(&o, "index");
    json_int(&o, (int64_t)at);
    put_call(&o, begins, begins ? "" : arguments, len);
    json_close(&o, '}');
    json_close(&o, ']');
    json_close(&o, '}');
    put_logprobs_and_reason(&o, h, &(struct format_choice){0});
    json_close(&o, '}');
    end_event(&o, h, start);
}

void format_usage_event(struct buf *out, const struct format_head *h, const struct format_usage *u)
{
    struct json_out o = {.buf = out};
    begin_event(&o, h);
    json_close(&o, ']');
    json_key(&o, "usage");
    put_usage(&o, u);
    json_close(&o, '}');
    buf_adds(out, "\n\n");
}

void format_problem_event(struct buf *out, const struct problem *p)
{
    buf_adds(out, "data: ");
    problem_write(p, out);
    buf_adds(out, "\n\n");
}

void format_done_event(struct buf *out)
{
    buf_adds(out, "data: [DONE]\n\n");
}

/* ------------------------------------------------------------------ pieces and models */

size_t format_count_chars(struct tok_stream *s, const char *bytes, size_t len, struct buf *scratch)
{
    size_t n = 0;
    if (scratch->failed)
        return 0;
    buf_reset(scratch);
    tok_stream_push(s, bytes, len, scratch);
    for (size_t i = 0; i < scratch->len; i++)
        n += ((unsigned char)scratch->data[i] & 0xc0) != 0x80;
    return n;
}

const char *format_answer_piece(const struct tok *t, int32_t id, size_t *len)
{
    const char *piece = tok_piece(t, id, len);
    if (tok_is_control(t, id))
        *len = 0;
    return piece;
}

const char *format_prompt_piece(const struct tok *t, const int32_t *ids, size_t at, size_t *len)
{
    const char *piece = tok_piece_of(t, ids, at, len);
    if (at == 0 && ids[0] == tok_bos(t))
        *len = 0;
    return piece;
}

void format_model(struct json_out *o, const struct format_model *m)
{
    const struct hparams *hp = &m->model->hp;
    json_open(o, '{');
    json_key(o, "id");
    json_str(o, m->id);
    json_key(o, "object");
    json_str(o, "model");
    json_key(o, "created");
    json_int(o, m->created);
    json_key(o, "owned_by");
    json_str(o, "tritd");
    json_key(o, "meta");
    json_open(o, '{');
    json_key(o, "n_ctx");
    json_int(o, m->n_ctx);
    json_key(o, "n_ctx_train");
    json_int(o, hp->n_ctx);
    json_key(o, "n_vocab");
    json_int(o, hp->vocab);
    json_key(o, "n_params");
    json_int(o, (int64_t)m->model->n_params);
    json_key(o, "size_bytes");
    json_int(o, (int64_t)m->model->file_bytes);
    json_key(o, "quant");
    json_str(o, m->model->encoding);
    json_key(o, "embeds_only");
    json_bool(o, hp->embeds_only);
    json_key(o, "kv_bytes_per_token");
    json_int(o, (int64_t)m->kv_bytes_per_token);
    /* Models without one say -1 in their files; here it is null. */
    const struct {
        const char *name;
        int32_t id;
    } ends[] = {{"bos_token_id", tok_bos(m->model->tok)}, {"eos_token_id", tok_eos(m->model->tok)}};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        json_key(o, ends[i].name);
        if (ends[i].id >= 0)
            json_int(o, ends[i].id);
        else
            json_null(o);
    }
    const struct model_sampling *c = &m->model->sampling;
    json_key(o, "sampling");
    json_open(o, '{');
    json_key(o, "temperature");
    json_float(o, (float)c->temperature);
    json_key(o, "top_p");
    json_float(o, (float)c->top_p);
    json_key(o, "top_k");
    json_int(o, c->top_k);
    json_key(o, "min_p");
    json_float(o, (float)c->min_p);
    json_key(o, "repetition_penalty");
    json_float(o, (float)c->repetition_penalty);
    json_close(o, '}');
    json_close(o, '}');
    json_close(o, '}');
}
