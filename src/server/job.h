/* SPDX-License-Identifier: MIT */
/*
 * job.h - the life of a request that needs the tokenizer at length or the engine.
 *
 *     ENCODING   it has been let in, its texts become ids; a long one in the libuv pool
 *     RUNNING    its sequences are with the engine
 *     FINISHED   every answer is complete, or one problem is the answer
 *
 * A job is made by a route for an exchange and belongs to both: to the exchange, which it answers
 * exactly once, and to the engine, which may still hold sequences of a job nobody waits for any
 * more.  It is freed when the exchange has left it, no text is in the pool, and the end of every
 * submitted sequence was seen.
 */
#ifndef TRIT_JOB_H
#define TRIT_JOB_H

#include "base/base.h" /* before uv.h, see server.h */

#include <uv.h>

#include "model/tokenizer.h"
#include "server/calls.h"
#include "server/format.h"
#include "server/params.h"
#include "server/parts.h"
#include "server/problem.h"
#include "server/text.h"
#include "server/thought.h"

struct grammar;
struct seq;

enum job_kind { JOB_GENERATES, JOB_TOKENIZES, JOB_COUNTS };
enum job_state { JOB_ENCODING, JOB_RUNNING, JOB_FINISHED };

/* One prompt on its way to ids. */
struct job_prompt {
    const char *text; /* borrowed from params; NULL: the ids were given, or it is a conversation */
    size_t len;
    struct tok_ids ids;
    int rc; /* of the encoding */
};

/* One answer: a sequence and what has become text of it. */
struct choice {
    struct job *job;
    struct seq *seq; /* NULL until submitted */
    const struct job_prompt *prompt;
    uint32_t index;
    bool live;          /* the engine has it */
    bool begun;         /* it has had it, and none of the request was refused */
    bool waits;         /* its prompt counts as one that waits */
    const char *reason; /* finish_reason; NULL: not finished */
    uint32_t taken;     /* tokens looked at: all that count */
    uint32_t known;     /* of those, sorted into text, thought and calls; others wait for more */
    bool *is_text;      /* [max_new] of those; responses with logprobs */
    struct thought thought;
    struct buf thoughts;      /* so far */
    uint32_t thinking_tokens; /* of those taken */
    struct calls calls; /* calls.tools NULL: it may call nothing, all of it is text */
    struct buf said;    /* what of the latest token is text */
    struct buf aloud;   /* what of it is no thought */
    struct text text;
    struct buf out;  /* the answer so far, as far as it may be shown */
    size_t text_at;  /* calls in front of it */
    uint32_t *shown; /* [max_new] length of out after each token; streams with logprobs */

    /* What the client has been told, for streams. */
    bool opened, closed;
    uint32_t echoed; /* tokens of the prompt */
    size_t sent;     /* bytes of out */
    size_t thoughts_sent;
    uint32_t told;   /* tokens with their logprobs */
    struct tok_stream echo_utf8;
    struct tok_stream chars; /* for text_offset: a count of characters, token by token */
    size_t n_chars;
    struct buf scratch;
};

struct job {
    struct server *s;
    struct served *m;         /* the model; held */
    struct models_chat *chat; /* its template when the job began; held */
    struct job *prev, *next;
    struct exchange *x; /* NULL: nobody waits for the answer */
    enum job_kind kind;
    enum job_state state;
    bool failed; /* problem is the answer */
    struct problem problem;

    struct params params;
    struct job_prompt *prompt;
    size_t n_prompts;
    uint32_t limit; /* ids of one prompt at most; 0: any number */
    unsigned flags; /* of tok_encode */
    struct trit_error encode_err;
    struct grammar *grammar; /* held; NULL: the answers are free, or it is not compiled yet */
    struct buf shape_key;    /* under which others find it */
    bool compiled;           /* by this job */
    int shape_rc;            /* of compiling it */
    struct problem shape_problem;

    uv_work_t work;
    void (*pool_work)(struct job *j), (*pool_then)(struct job *j);
    uv_sem_t worked; /* posted when the pool is done with the job */
    bool in_pool;

    struct choice *choice;
    uint32_t n_choices, n_live;
    char id[40];
    struct format_head head;
    struct {
        char item_id[40];
        bool message;      /* its item was begun, at its place among the calls */
        bool thought, thought_over; /* the reasoning item was begun, and ended */
        unsigned ends;     /* events that end the text, part, item: told */
        uint64_t n_events; /* of the stream */
    } response;
    uint64_t prompt_tokens;

    struct {
        uint32_t next;   /* text to submit */
        uint64_t tokens; /* of those that the engine has */
        struct buf answer;
    } embed;

    struct tenant *tenant; /* held */
    struct admit_ticket ticket;
    enum seq_priority priority;
    uint64_t salt;

    struct {
        bool running, known;
        double joules; /* of all when it began; its own once known */
        uint64_t work; /* of all when it began */
    } energy;

    double t_start, t_first, t_last; /* trit_now(); t_first 0: no token yet */
    double deadline, ping_at;        /* INFINITY: none */
    bool cancel_counted;
    bool told_usage, told_end; /* the last events of a stream */
};

/*
 * Begin the work; takes the params' contents, also on failure.  The answer comes through x, maybe
 * before these return.
 */
void job_generate(struct exchange *x, struct params *params);
void job_tokenize(struct exchange *x, struct params *params);
void job_embed(struct exchange *x, struct params *params);
void job_count(struct exchange *x, struct params *params); /* the tokens of a conversation */

/* Nobody wants the answer: end the work soon.  The job stays until job_leave. */
void job_abandon(struct job *j, enum metrics_cancelled why);

/* End the work with a problem as its answer; or with one of the table's. */
void job_fail(struct job *j, const struct problem *p);
void job_fail_code(struct job *j, int code);

/* End the work because somebody else says so; the client is told. */
void job_cancel(struct job *j);

/* The exchange is over; the job may be freed now or later. */
void job_leave(struct job *j);

/* More of a stream for out. */
enum job_more { JOB_WAIT, JOB_END };
enum job_more job_fill(struct job *j, struct buf *out);

/* For headers and the log. */
bool job_queue_seconds(const struct job *j, double *seconds); /* false: not known yet */
struct job_sum {
    uint64_t prompt, cached, completion;
    double queue_seconds, first_seconds, joules; /* joules negative: not known */
    enum metrics_finish finish;
};
void job_sum(const struct job *j, struct job_sum *sum);

/* When the server goes: wait until the pool is done with every job. */
void job_wait_pool(struct server *s);

/*
 * Before a generating request is read: is there any use in it?  true: no, and it has its answer.
 */
bool job_refuse_early(struct exchange *x);

/* job-embed.c, for the others: texts that are encoded; one of them ended; all have; for its place
 * in the queue, sequences and tokens that it holds there at a time; what it calls a text. */
void job_embed_run(struct job *j);
void job_embed_go_on(struct job *j);
void job_embed_answer(struct job *j);
uint64_t job_embed_window(const struct job *j, uint64_t texts);
uint64_t job_embed_waiting(const struct job *j, uint64_t tokens);
void job_embed_name(const struct job *j, size_t i, char name[32]);

/*
 * Have work(j) done, which any thread may do, and then then(j) on the loop: where it is long by the
 * pool, while the job stays; or else at once.
 */
void job_work(struct job *j, bool is_long, void (*work)(struct job *j),
              void (*then)(struct job *j));

/* Between job.c, job-admit.c, job-start.c, job-out.c and job-response.c. */
int job_ask(struct job *j, uint64_t sequences, struct problem *p); /* to be let in */
int job_charge(struct job *j, const uint32_t *max_new, struct problem *p); /* NULL: nothing new */
void job_settle(struct job *j); /* once nothing of it is with the engine any more */
void job_usage(const struct job *j, struct format_usage *u);
void energy_begin(struct job *j);
void energy_end(struct job *j);
struct job *job_new(struct exchange *x, struct params *params); /* NULL: x has its answer */
void job_free_if_over(struct job *j);
void job_write_whole(struct job *j, struct buf *out);
void job_write_tokens(struct job *j, struct buf *out);
void job_write_count(struct job *j, struct buf *out);
void job_open_stream(struct job *j);
bool job_has_news(const struct job *j);

/* The same for the Responses API: the whole, and the events of its stream. */
bool job_is_response(const struct job *j);
void job_write_response(struct job *j, struct buf *out);
void job_response_open(struct job *j, struct buf *out);
void job_response_delta(struct job *j, const char *text, size_t len,
                        const struct format_logprobs *logprobs, struct buf *out);
/* Of the choice's tokens [from, from + n) those of the text, moved to the front; gives how many. */
size_t job_response_tokens(const struct choice *c, uint32_t from, struct format_token *token,
                           size_t n);
void job_response_thought(struct job *j, const char *text, size_t len, struct buf *out);
void job_response_call(struct job *j, size_t i, const char *text, size_t len, struct buf *out);
void job_response_call_end(struct job *j, size_t i, struct buf *out);
bool job_response_close(struct job *j, struct buf *out); /* one event; true: that was the last */
void job_response_end(struct job *j, struct buf *out);   /* also of a job that failed */

/* Calls of an answer for writing: one, or all, to be freed with mem_free (NULL: none, or no
 * memory). */
struct format_call job_call(const struct call *c);
struct format_call *job_calls(const struct choice *c);

/* Logprobs of the tokens [0, n), to be freed with mem_free; NULL: no memory. */
struct format_token *job_tokens(struct choice *c, size_t n);
struct format_logprobs job_logprobs(const struct choice *c, const struct format_token *t, size_t n);

#endif
