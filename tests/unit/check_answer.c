/* SPDX-License-Identifier: MIT */
/*
 * check_answer.c - tokens as they come become the answer of the Responses API: what its stream says
 * is what the whole answer says, however the tokens are cut and whenever the client reads.
 *
 * The engine is the test: it writes a sequence's tokens and tells of them.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/chat.h"
#include "model/model.h"
#include "engine/seq.h"
#include "server/job.h"
#include "server/tools.h"
#include "tok-file.h"
#include "unit.h"

static uint64_t seed;
static struct tok *tok;
static int32_t first_word; /* id of words[0] */

/* Tokens beside the bytes. */
static const char *const words[] = {"<think>",     "</think>",     "Hello",
                                    "<tool_call>", "</tool_call>", "\"arguments\":"};

struct script {
    const char *text;
    const char *form; /* of calls; NULL: there are none */
    const char *stop; /* or NULL */
    bool thinks, bytes /* no words */, length /* it ends by length */;
};

static struct tools *make_tools(const char *form)
{
    struct tools *t = mem_zalloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    t->tool = mem_zalloc(1, sizeof *t->tool);
    ck_assert_ptr_nonnull(t->tool);
    t->form = chat_calls_form(form);
    ck_assert_ptr_nonnull(t->form);
    t->n = 1;
    t->many = !t->form->single;
    strcpy(t->tool[0].name, "f");
    t->tool[0].allowed = true;
    return t;
}

/* The script as tokens, words where there are some. */
static uint32_t cut(const struct script *s, int32_t *id)
{
    uint32_t n = 0;
    for (const char *at = s->text; *at;) {
        size_t len = 1;
        id[n] = (unsigned char)*at;
        for (size_t i = 0; i < ARRAY_LEN(words) && !s->bytes; i++)
            if (strncmp(at, words[i], strlen(words[i])) == 0) {
                id[n] = first_word + (int32_t)i;
                len = strlen(words[i]);
            }
        at += len;
        n++;
    }
    return n;
}

static struct job *make_job(struct server *s, struct served *m, struct exchange *x,
                            const struct script *script, bool stream)
{
    struct job *j = mem_zalloc(1, sizeof *j);
    uint32_t room = (uint32_t)strlen(script->text) + 1;
    ck_assert_ptr_nonnull(j);
    j->s = s;
    j->m = models_hold(m);
    j->chat = models_hold_chat(m);
    j->tenant = &s->admit.nobody;
    admit_hold(j->tenant);
    j->x = x;
    x->job = j;
    j->state = JOB_RUNNING;
    j->deadline = j->ping_at = INFINITY;
    j->params.endpoint = FOR_RESPONSES;
    j->params.n = j->params.best_of = 1;
    j->params.stream = stream;
    j->params.want_logprobs = true;
    j->params.tools = script->form ? make_tools(script->form) : NULL;
    ck_assert(!script->stop ||
              text_stops_add(&j->params.stops, script->stop, strlen(script->stop)));
    strcpy(j->id, "resp_1");
    strcpy(j->response.item_id, "msg_1");
    j->head = (struct format_head){.chat = true, .id = j->id, .model = "m"};
    j->prompt = mem_zalloc(1, sizeof *j->prompt);
    j->choice = mem_zalloc(1, sizeof *j->choice);
    ck_assert(j->prompt && j->choice);
    j->n_prompts = j->n_choices = j->n_live = 1;
    s->jobs = j;
    s->n_jobs = 1;

    struct choice *c = j->choice;
    struct seq_wish w = {.n_prompt = 1, .max_new = room, .want_logprobs = true, .owner = c};
    w.prompt = mem_zalloc(1, sizeof *w.prompt);
    c->job = j;
    c->prompt = j->prompt;
    c->begun = true;
    c->seq = seq_new(&w);
    c->shown = mem_zalloc(room, sizeof *c->shown);
    c->is_text = mem_zalloc(room, sizeof *c->is_text);
    ck_assert(c->seq && c->shown && c->is_text);
    if (j->params.tools)
        calls_begin(&c->calls, j->params.tools);
    if (script->thinks)
        thought_begin(&c->thought, false);
    return j;
}

static void tell_news(struct server *s, struct seq *seq)
{
    mailbox_post(&s->events, &seq->news);
    job_events(s);
}

static void no_bell(void *arg)
{
    (void)arg;
}

/* The client has read all that there was. */
static enum job_more fill(struct job *j, struct buf *out)
{
    struct buf more = {0};
    enum job_more rc = job_fill(j, &more);
    buf_add(out, more.data, more.len);
    buf_free(&more);
    return rc;
}

/* What the client receives; of a stream he reads some `pace`-th time. */
static void play(const struct script *script, bool stream, unsigned pace, struct buf *out)
{
    struct models_chat chat = {.refs = 8};
    struct model model = {.tok = tok};
    struct served m = {.opt.model = &model, .name = "m", .refs = 8, .chat = &chat};
    struct server s = {.opt.limits.ping_seconds = 5};
    struct exchange x = {.s = &s};
    int32_t id[1024];
    ck_assert_uint_lt(strlen(script->text), ARRAY_LEN(id));
    admit_init(&s.admit);
    admit_hold(&s.admit.nobody);
    mailbox_init(&s.events, no_bell, NULL);
    struct job *j = make_job(&s, &m, &x, script, stream);
    struct seq *seq = j->choice->seq;
    uint32_t n = cut(script, id);
    for (uint32_t i = 0; i < n && !j->choice->reason; i++) {
        seq->token[i] = id[i];
        atomic_store(&seq->published, i + 1);
        tell_news(&s, seq);
        if (stream && job_has_news(j) && unit_random(&seed) % pace == 0)
            (void)fill(j, out);
    }
    seq->end = script->length ? SEQ_LENGTH : SEQ_STOP;
    tell_news(&s, seq);
    if (stream)
        for (unsigned i = 0; fill(j, out) != JOB_END; i++)
            ck_assert_msg(i < 1000, "%s: no end", script->text);
    else
        buf_add(out, x.out.data, x.out.len);
    ck_assert(!out->failed && out->len > 0);
    job_leave(j);
    ck_assert_uint_eq(s.n_jobs, 0);
    buf_free(&x.out);
    mailbox_fini(&s.events);
    admit_let_go(&s.admit, &s.admit.nobody);
    admit_fini(&s.admit);
}

static const cJSON *get(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    ck_assert_msg(v, "there is no %s", name);
    return v;
}

static const char *text_in(const cJSON *o, const char *name)
{
    const char *text = cJSON_GetStringValue(get(o, name));
    ck_assert_ptr_nonnull(text);
    return text;
}

static void ck_same(const cJSON *a, const cJSON *b, const char *what, const struct script *s)
{
    char *one = cJSON_PrintUnformatted(a), *two = cJSON_PrintUnformatted(b);
    ck_assert_msg(strcmp(one, two) == 0, "%s, %s:\n%s\n%s", s->text, what, one, two);
    cJSON_free(one);
    cJSON_free(two);
}

/* Ids of calls are random. */
static void forget_ids(cJSON *output)
{
    for (cJSON *item = output->child; item; item = item->next)
        if (strcmp(text_in(item, "type"), "function_call") == 0) {
            cJSON_DeleteItemFromObject(item, "id");
            cJSON_DeleteItemFromObject(item, "call_id");
        }
}

static int logprobs_of(const cJSON *item)
{
    return strcmp(text_in(item, "type"), "message") == 0
               ? cJSON_GetArraySize(get(get(item, "content")->child, "logprobs"))
               : 0;
}

/* Read a stream: items begin in their order, each ends as the whole has it, and the message's
 * logprobs come one by one.  Gives its last response. */
static cJSON *read_stream(const struct buf *out, const struct script *s)
{
    cJSON *done[16] = {NULL}, *response = NULL;
    int begun = 0, told = 0, sum = 0;
    for (const char *at = out->data; (at = strstr(at, "data: {")); at++) {
        cJSON *e = cJSON_ParseWithOpts(at + 6, NULL, false);
        ck_assert_ptr_nonnull(e);
        const char *type = text_in(e, "type");
        if (strcmp(type, "response.output_item.added") == 0) {
            ck_assert_int_eq((int)get(e, "output_index")->valuedouble, begun++);
            ck_assert_int_le(begun, (int)ARRAY_LEN(done));
        } else if (strcmp(type, "response.output_item.done") == 0) {
            int i = (int)get(e, "output_index")->valuedouble;
            ck_assert(i < begun && !done[i]);
            done[i] = cJSON_DetachItemFromObject(e, "item");
        } else if (strcmp(type, "response.output_text.delta") == 0) {
            told += cJSON_GetArraySize(get(e, "logprobs"));
        } else if (strcmp(type, "response.completed") == 0 ||
                   strcmp(type, "response.incomplete") == 0) {
            response = cJSON_DetachItemFromObject(e, "response");
        }
        cJSON_Delete(e);
    }
    ck_assert_ptr_nonnull(response);
    const cJSON *output = get(response, "output");
    ck_assert_int_eq(cJSON_GetArraySize(output), begun);
    for (int i = 0; i < begun; i++) {
        ck_assert_ptr_nonnull(done[i]);
        ck_same(done[i], cJSON_GetArrayItem(output, i), "an item, at its end and in the whole", s);
        sum += logprobs_of(done[i]);
        cJSON_Delete(done[i]);
    }
    ck_assert_msg(told == sum, "%s: %d logprobs in events, %d in the message", s->text, told, sum);
    return response;
}

/* Both ways; gives the whole answer. */
static cJSON *ck_answers(const struct script *s, unsigned pace)
{
    struct buf stream = {0}, whole = {0};
    play(s, true, pace, &stream);
    play(s, false, 1, &whole);
    cJSON *a = read_stream(&stream, s), *b = cJSON_Parse(whole.data);
    ck_assert_ptr_nonnull(b);
    cJSON *output = cJSON_GetObjectItem(b, "output");
    forget_ids(cJSON_GetObjectItem(a, "output"));
    forget_ids(output);
    ck_same(get(a, "output"), output, "the stream's items and the whole's", s);
    ck_same(get(a, "usage"), get(b, "usage"), "the stream's usage and the whole's", s);
    cJSON_Delete(a);
    buf_free(&stream);
    buf_free(&whole);
    return b;
}

#define CALL "<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":1}}\n</tool_call>"

/* items: the types in their order; tokens: of thought, and of those with the message's logprobs. */
static void ck_answer(const struct script *s, const char *items, int thinking, int logprobs)
{
    for (unsigned pace = 1; pace <= 4; pace++) {
        cJSON *whole = ck_answers(s, pace);
        char found[200] = "";
        int sum = 0;
        for (const cJSON *item = get(whole, "output")->child; item; item = item->next) {
            strcat(strcat(strcat(found, *found ? " " : ""), text_in(item, "type")), "-");
            strcat(found, text_in(item, "status"));
            sum += logprobs_of(item);
        }
        ck_assert_str_eq(found, items);
        const cJSON *details = get(get(whole, "usage"), "output_tokens_details");
        ck_assert_int_eq((int)get(details, "reasoning_tokens")->valuedouble, thinking);
        ck_assert_int_eq(sum, logprobs);
        cJSON_Delete(whole);
    }
}

START_TEST(items)
{
#define CALLED "function_call-completed"
#define SAID   "message-completed"
    ck_answer(&(struct script){.text = "Hello"}, SAID, 0, 1);
    ck_answer(&(struct script){.text = "", .form = "hermes"}, SAID, 0, 0);
    ck_answer(&(struct script){.text = CALL, .form = "hermes"}, CALLED, 0, 0);
    /* Text behind a call is behind it, also in the whole answer; a call's tokens are its own. */
    ck_answer(&(struct script){.text = CALL "Hello", .form = "hermes"}, CALLED " " SAID, 0, 1);
    ck_answer(&(struct script){.text = "Hello" CALL, .form = "hermes"}, SAID " " CALLED, 0, 1);
    ck_answer(&(struct script){.text = CALL "Hello" CALL, .form = "hermes"},
              CALLED " " SAID " " CALLED, 0, 1);
    ck_answer(&(struct script){.text = CALL CALL "Hello", .form = "hermes", .bytes = true},
              CALLED " " CALLED " " SAID, 0, 5);
    /* What began like a call and was none. */
    ck_answer(&(struct script){.text = "<tool_box>", .form = "hermes", .bytes = true}, SAID, 0, 10);
}
END_TEST

START_TEST(thoughts)
{
    ck_answer(&(struct script){.text = "<think>abc</think>Hello", .thinks = true},
              "reasoning-completed " SAID, 5, 1);
    /* The word in several tokens is of the thought as it is in one. */
    ck_answer(&(struct script){.text = "\n<think>abc</think>Hello", .thinks = true, .bytes = true},
              "reasoning-completed " SAID, 19, 5);
    ck_answer(&(struct script){.text = "<thin", .thinks = true, .bytes = true}, SAID, 0, 5);
    ck_answer(&(struct script){.text = "<think>abc</think>" CALL, .form = "hermes", .thinks = true},
              "reasoning-completed " CALLED, 5, 0);
    /* The answer ends within a thought; or right behind it, which is whole. */
    ck_answer(&(struct script){.text = "<think>abc", .thinks = true, .length = true},
              "reasoning-incomplete message-incomplete", 4, 0);
    ck_answer(&(struct script){.text = "<think>abc</think>", .thinks = true, .length = true},
              "reasoning-completed message-incomplete", 5, 0);
}
END_TEST

START_TEST(at_random)
{
    static const char *const pieces[] = {"<think>",
                                         "</think>",
                                         "Hello",
                                         CALL,
                                         "<tool_call>",
                                         "</tool_call>",
                                         "\xe6\x97\xa5",
                                         "\n",
                                         " ",
                                         "<tool_",
                                         "{",
                                         "[TOOL_CALLS]",
                                         "[{\"name\":\"f\",\"arguments\":{}}]",
                                         "{\"name\":\"f\",\"parameters\":{}}",
                                         "; ",
                                         "x"};
    static const char *const stops[] = {NULL, NULL, "x", "Hello Hello", " "};
    static const char *const forms[] = {NULL, "hermes", "llama", "mistral", "own"};
    for (int i = 0; i < 2000; i++) {
        char text[1000] = "";
        for (uint64_t n = unit_random(&seed) % 8; n > 0; n--)
            strcat(text, pieces[unit_random(&seed) % ARRAY_LEN(pieces)]);
        const struct script s = {.text = text,
                                 .form = forms[unit_random(&seed) % ARRAY_LEN(forms)],
                                 .stop = stops[unit_random(&seed) % ARRAY_LEN(stops)],
                                 .thinks = unit_random(&seed) % 2,
                                 .bytes = unit_random(&seed) % 2,
                                 .length = unit_random(&seed) % 2};
        cJSON_Delete(ck_answers(&s, 1 + (unsigned)(unit_random(&seed) % 5)));
    }
}
END_TEST

static void setup(void)
{
    struct tok_file *f = tok_file_init();
    first_word = (int32_t)f->n_tokens;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        tok_file_add(f, words[i], 1);
    tok = tok_file_open(f);
    free(f);
}

static void teardown(void)
{
    tok_close(&tok);
}

int main(void)
{
    Suite *s = suite_create("answer");
    TCase *all = tcase_create("all");
    seed = unit_seed();
    log_open(LOG_WARN, 0);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 120);
    tcase_add_test(all, items);
    tcase_add_test(all, thoughts);
    tcase_add_test(all, at_random);
    suite_add_tcase(s, all);
    return unit_run(s);
}
