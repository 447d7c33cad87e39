/* SPDX-License-Identifier: MIT */
/*
 * conf.c - the table of keys, and how a value is read and checked.
 *
 * A new key is one row here, one field in struct conf and one commented line in
 * conf/tritd.conf.in.  BUILTIN_MODEL, the path of the installed model, comes from the Makefile.
 *
 * Not here: the command line and the file (conf-read.c), printing (conf-print.c), several models
 * (conf-models.c).
 */
#include "config.h"
#include "main/conf.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/reading.h"
#include "engine/seq.h"
#include "server/origin.h"
#include "main/conf-key.h"
#include "main/listen.h"

#define FIELD(name) offsetof(struct conf, name)
#define TEXT(key, f, def, ph)                                                                      \
    .name = key, .type = CONF_TEXT, .field = FIELD(f), .text = def, .placeholder = ph
#define WORD(key, f, def, words)                                                                   \
    .name = key, .type = CONF_WORD, .field = FIELD(f), .text = def, .choices = words,              \
    .placeholder = words
#define COUNT(key, f, def, lo, hi)                                                                 \
    .name = key, .type = CONF_COUNT, .field = FIELD(f), .text = def, .min = lo, .max = hi,         \
    .placeholder = "N"
#define SIZE(key, f, def, lo, hi, ph)                                                              \
    .name = key, .type = CONF_SIZE, .field = FIELD(f), .text = def, .min = lo, .max = hi,          \
    .placeholder = ph
#define SECONDS(key, f, def, lo, hi)                                                               \
    .name = key, .type = CONF_SECONDS, .field = FIELD(f), .text = def, .min = lo, .max = hi,       \
    .placeholder = "SECONDS"
#define SWITCH(key, f, def)                                                                        \
    .name = key, .type = CONF_SWITCH, .field = FIELD(f), .text = def, .placeholder = "yes|no"

/* 2^40: no machine of this family has more, and sums of two such sizes stay far from overflow. */
#define TIB 1099511627776.0

// clang-format off
const struct conf_key conf_keys[] = {
    {TEXT("model", model, BUILTIN_MODEL, "PATH"), .of_model = true, .group = "Model",
     .help = "The GGUF file, or the folder of Hugging Face files, to serve. The default is the "
             "built-in model. Given again, it is one model more, whose keys follow it; in the file "
             "a section [model NAME] is."},
    {TEXT("alias", alias, "", "NAME"), .of_model = true, .of_file = true,
     .help = "The model's name in the API, without commas, brackets and #. Empty: the name in the "
             "file."},
    {WORD("order", order, "published", "published|arm|four"), .of_model = true, .of_file = true,
     .help = "How I2_S lies in this file, which does not tell: as in published ones, or as bitnet.cpp "
             "writes it on ARM, or without ACT_PARALLEL."},
    {TEXT("tiles", tiles, "", "TILES"), .of_model = true, .of_file = true,
     .help = "Tiles of TL1 and TL2, which this file does not tell: BM,BK,BMM or ROWSxCOLS=BM,BK,BMM, "
             "several with blanks between them, or the kernel_config.ini of the bitnet.cpp that "
             "made it, told by a / in its name."},
    {SWITCH("unchecked", unchecked, "no"), .of_model = true, .of_file = true,
     .help = "Read weights in that order and those tiles though they look as if that were wrong."},
    {COUNT("ctx", ctx, "0", 0, 1 << 20), .of_model = true,
     .help = "Longest prompt and answer together, in tokens. 0: the model's, at most 4096."},
    {WORD("head-type", head_type, "auto", "auto|q8|f16"), .of_model = true,
     .help = "How embedding and output head are kept: auto as the file has them where they are ternary, "
             "f16 for models that only embed, else q8; q8 is smaller and faster, f16 exact."},
    {WORD("act-type", act_type, "auto", "auto|q8|q16"), .of_model = true,
     .help = "What linear layers take: q8 is what BitNet models were trained with, q16 all but floats. "
             "auto: q16 for models with several scales a row, OneBit and BiLLM, which expect floats, "
             "else q8."},
    {WORD("kv-type", kv_type, "f16", "f16|f32|q8"), .of_model = true,
     .help = "How keys and values are kept: f16; f32 for twice the memory and no rounding; q8 for "
             "half the memory and 8 bits."},
    {TEXT("chat-template", chat_template, "", "NAME|FILE"), .of_model = true,
     .help = "Chat template to use instead of the model's own: llama3, bitnet, falcon3, chatml, plain, or "
             "a file, told by a / in its name or an @ in front. Empty: the model's own."},
    {WORD("pooling", pooling, "auto", "auto|mean|last"), .of_model = true,
     .help = "What an embedding is made of: the mean of all positions or the last one. auto: as the "
             "model's file says, else the mean."},
    {SWITCH("shared", shared, "yes"),
     .help = "Keep packed weights in shared memory, for the next process and the next start."},
    {SWITCH("fd-store", fd_store, "no"),
     .help = "Under systemd with FileDescriptorStoreMax=, let it keep packed weights, computed "
             "prefixes and our own listening sockets over a restart, instead of shm-dir."},
    {SWITCH("mlock", mlock, "no"), .of_model = true,
     .help = "Lock the weights in memory, so that they are never swapped out."},
    {TEXT("shm-dir", shm_dir, "/dev/shm", "DIR"),
     .help = "The tmpfs in which shared weights live."},

    {COUNT("threads", threads, "0", 0, 1024), .group = "Machine", .reloadable = true,
     .help = "Threads that compute. 0: as many as affinity mask and CPU quota allow, which SIGHUP "
             "looks at again."},
    {SWITCH("pin", pin, "no"),
     .help = "Bind each of them to a processor. For a machine of one's own."},
    {WORD("cpu", cpu, "auto", "auto|scalar|avx2|avx512|amx|neon"),
     .help = "Instruction sets the kernels may use."},
    {SIZE("kv-bytes", kv_bytes, "0", 0, TIB, "SIZE"), .of_model = true,
     .help = "Memory for keys and values. 0: 8 full contexts, at most a quarter of the memory."},
    {TEXT("powercap-dir", powercap_dir, "/sys/class/powercap", "DIR"),
     .help = "Where the machine tells of its energy, if it does and tritd may read it. Empty: do "
             "not look."},

    {COUNT("max-batch", max_batch, "32", 1, 1024), .of_model = true, .group = "Work",
     .help = "Sequences that are computed together."},
    {COUNT("step-tokens", step_tokens, "256", 1, 8192), .of_model = true,
     .help = "Tokens in one step, at most: larger reads prompts faster."},
    {SECONDS("token-target", token_target, "0.05", 0, 60), .of_model = true,
     .help = "Time between tokens to hold while prompts are read; never less than 1.3 times what it "
             "is without. Lower streams more evenly, higher reads prompts faster."},
    {SWITCH("prefix-cache", prefix_cache, "yes"), .of_model = true,
     .help = "Keep keys and values for requests that begin with the same tokens."},
    {COUNT("draft-tokens", draft_tokens, "0", 0, SEQ_DRAFT_MAX), .of_model = true,
     .help = "Tokens to guess ahead from the text itself and check in one step. 0: none. The answer "
             "is the same; texts that repeat come faster, others slightly slower."},
    {COUNT("queue-requests", queue_requests, "128", 1, 65536), .of_model = true,
     .help = "Sequences that may wait. One more gets 429."},
    {SIZE("queue-tokens", queue_tokens, "32768", 1, TIB, "N"), .of_model = true,
     .help = "Prompt tokens that may wait. More get 429."},
    {SECONDS("ttft-target", ttft_target, "60", 0, 86400), .reloadable = true,
     .help = "A request whose first token is expected later gets 429. 0: it may wait for ever."},
    {COUNT("default-max-tokens", default_max_tokens, "512", 1, 1 << 20), .reloadable = true,
     .help = "Length of a chat answer when the request names none."},

    {TEXT("host", host, "127.0.0.1", "ADDRESS"), .group = "Network",
     .help = "IP address to listen on, or unix:/path/of/a/socket."},
    {COUNT("port", port, "8080", 0, 65535),
     .help = "TCP port. 0: a free one, named in the log and in port-file."},
    {TEXT("port-file", port_file, "", "PATH"),
     .help = "Write the port there once the socket is open. Empty: do not."},
    {COUNT("agent-port", agent_port, "0", 0, 65535),
     .help = "TCP port on which load balancers are told how much to send here: HAProxy's "
             "agent-check. 0: none."},
    {TEXT("socket", socket, "", "PATH"),
     .help = "Listen on this unix socket as well. Empty: do not."},
    {TEXT("socket-mode", socket_mode, "0660", "MODE"),
     .help = "Permissions of unix sockets, in octal: who may write may connect."},
    {TEXT("socket-owner", socket_owner, "", "USER:GROUP"),
     .help = "Whom unix sockets belong to; either may be left out. Empty: who runs tritd."},
    {TEXT("tls-cert", tls_cert, "", "FILE"), .reloadable = true,
     .help = "Serve HTTPS with this certificate and those that lead to its authority, in PEM. Unix "
             "sockets stay without. SIGHUP reads it again. Empty: HTTP."},
    {TEXT("tls-key", tls_key, "", "FILE"), .reloadable = true,
     .help = "Its private key, in PEM, without a password."},
    {TEXT("cors-origins", cors_origins, "", "ORIGINS"), .reloadable = true,
     .help = "Pages of these origins may use the API from a browser: https://a.example, several "
             "with blanks between them, or *. Empty: only pages of the server itself."},
    {TEXT("allowed-hosts", allowed_hosts, "", "NAMES"), .reloadable = true,
     .help = "On a loopback address without API keys, names besides localhost by which requests "
             "may call this server; * for any."},
    {TEXT("api-keys", api_keys, "", "FILE"), .reloadable = true,
     .help = "Serve only who has a key in this file; \"trit keys new NAME\" makes a line. "
             "credential:NAME is one of systemd's. Empty: serve everybody."},
    {SWITCH("allow-remote", allow_remote, "no"),
     .help = "Without API keys, allow an address that other machines can reach all the same."},
    {WORD("metrics-key", metrics_key, "auto", "auto|yes|no"), .reloadable = true,
     .help = "Whether /metrics needs an API key too. auto: where other machines can reach it."},
    {WORD("metrics-compat", metrics_compat, "none", "none|vllm"), .reloadable = true,
     .help = "Have another server's names on /metrics as well, for its dashboards and routers."},
    {SWITCH("page", page, "yes"), .reloadable = true,
     .help = "Serve the page for people at /: chat, completion and a live view of the server."},
    {SIZE("max-body", max_body, "4M", 1024, 1 << 30, "SIZE"),
     .help = "Largest request body. More gets 413."},
    {COUNT("max-connections", max_connections, "1024", 1, 65536),
     .help = "Connections at a time. More wait to be accepted."},
    {SECONDS("ping-seconds", ping_seconds, "5", 0.1, 3600), .reloadable = true,
     .help = "A stream that is silent for so long sends a comment, for the proxies' sake."},
    {SECONDS("header-seconds", header_seconds, "10", 0.1, 3600), .reloadable = true,
     .help = "Time for a request's header to arrive."},
    {SECONDS("body-seconds", body_seconds, "30", 0.1, 3600), .reloadable = true,
     .help = "Time for its body to arrive."},
    {SECONDS("idle-seconds", idle_seconds, "60", 0.1, 86400), .reloadable = true,
     .help = "How long a connection is kept without a request."},
    {SECONDS("stall-seconds", stall_seconds, "30", 0.1, 3600), .reloadable = true,
     .help = "A client that does not read its stream for so long is cut off."},
    {SWITCH("half-close-aborts", half_close_aborts, "yes"), .reloadable = true,
     .help = "Take a client that shuts down its sending side for one that has left."},

    {SECONDS("drain-seconds", drain_seconds, "30", 0, 86400), .group = "Service",
     .reloadable = true,
     .help = "Time that running requests get to finish after SIGTERM."},
    {SWITCH("sandbox", sandbox, "yes"),
     .help = "Give up what serving does not need: most of the file system, most system calls, new "
             "connections. What a reload reads must then lie beside what the start has read."},
    {WORD("log-level", log_level, "info", "error|warn|notice|info|debug"), .reloadable = true,
     .help = "How much is logged. info has one line for each request."},
    {WORD("log-format", log_format, "text", "text|json"), .reloadable = true,
     .help = "How: lines for people (under systemd, entries of the journal with their fields), or a "
             "JSON object for each."},
    {TEXT("config", config, "", "FILE"), .command_only = true,
     .help = "Read settings from this file. The command line wins over it."},
};
// clang-format on

const size_t conf_n_keys = ARRAY_LEN(conf_keys);
_Static_assert(ARRAY_LEN(conf_keys) <= CONF_KEYS_MAX, "CONF_KEYS_MAX is too small");

const struct conf_key *conf_find(const char *name, size_t len)
{
    for (size_t i = 0; i < conf_n_keys; i++)
        if (strlen(conf_keys[i].name) == len && memcmp(conf_keys[i].name, name, len) == 0)
            return &conf_keys[i];
    return NULL;
}

/* Levenshtein's distance, one row at a time; names are short. */
static size_t distance(const char *a, size_t a_len, const char *b)
{
    size_t row[32];
    size_t b_len = strlen(b);
    trit_assert(b_len < ARRAY_LEN(row));
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

const char *conf_nearest(const char *name, size_t len)
{
    const char *best = NULL;
    size_t least = 3; /* Two slips are a typing error, three another word. */
    for (size_t i = 0; i < conf_n_keys && len < 32; i++) {
        size_t d = distance(name, len, conf_keys[i].name);
        if (d < least) {
            least = d;
            best = conf_keys[i].name;
        }
    }
    return best;
}

/* A finite decimal number and nothing after it but `*end`. */
static bool read_number(const char *s, double *value, const char **end)
{
    if (*s < '0' || *s > '9' || strpbrk(s, "xX"))
        return false;
    char *stop;
    *value = strtod(s, &stop);
    *end = stop;
    return isfinite(*value);
}

static bool read_size(const char *s, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    if (errno != 0)
        return false;
    unsigned shift = 0;
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    *bytes = (uint64_t)n << shift;
    return *end == '\0' && *bytes >> shift == n;
}

static bool read_switch(const char *s, bool *value)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(s, words[i]) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool is_choice(const char *s, const char *choices)
{
    size_t len = strlen(s);
    for (const char *p = choices; *p; p += *p == '|') {
        size_t word = strcspn(p, "|");
        if (word == len && memcmp(p, s, len) == 0)
            return true;
        p += word;
    }
    return false;
}

/* Store what `value` says in *to; false when it says nothing of the kind. */
static bool parse(const struct conf_key *key, const char *value, void *to)
{
    double number;
    const char *end;
    uint64_t bytes;
    switch (key->type) {
    case CONF_TEXT:
        return true;
    case CONF_WORD:
        return is_choice(value, key->choices);
    case CONF_COUNT:
        if (!read_size(value, &bytes) || (double)bytes < key->min || (double)bytes > key->max)
            return false;
        *(uint32_t *)to = (uint32_t)bytes;
        return true;
    case CONF_SIZE:
        if (!read_size(value, &bytes) || (double)bytes < key->min || (double)bytes > key->max)
            return false;
        *(uint64_t *)to = bytes;
        return true;
    case CONF_SECONDS:
        if (!read_number(value, &number, &end) || *end || number < key->min || number > key->max)
            return false;
        *(double *)to = number;
        return true;
    case CONF_SWITCH:
        return read_switch(value, to);
    }
    trit_unreachable("type of a key");
}

static int refuse(const struct conf_key *key, const char *value, const char *where,
                  struct trit_error *err)
{
    switch (key->type) {
    case CONF_WORD:
        return trit_fail(err, TRIT_EINVAL, "%s: found \"%.64s\", expected one of %s", where, value,
                         key->choices);
    case CONF_COUNT:
        return trit_fail(err, TRIT_EINVAL,
                         "%s: found \"%.64s\", expected a whole number from %.0f to %.0f", where,
                         value, key->min, key->max);
    case CONF_SIZE:
        return trit_fail(err, TRIT_EINVAL,
                         "%s: found \"%.64s\", expected a number from %.0f to %.0f; K, M, G and T "
                         "mean powers of 1024",
                         where, value, key->min, key->max);
    case CONF_SECONDS:
        return trit_fail(err, TRIT_EINVAL, "%s: found \"%.64s\", expected seconds from %g to %g",
                         where, value, key->min, key->max);
    case CONF_SWITCH:
        return trit_fail(err, TRIT_EINVAL, "%s: found \"%.64s\", expected yes or no", where, value);
    case CONF_TEXT:
        break;
    }
    trit_unreachable("a text is never refused");
}

/* Make `copy`, which has been parsed before, the value of key i.  Takes the copy. */
static void store(struct conf *c, size_t i, char *copy, enum conf_origin origin)
{
    const struct conf_key *key = &conf_keys[i];
    void *field = (char *)c + key->field;
    mem_free(c->text[i]);
    c->text[i] = copy;
    c->origin[i] = (uint8_t)origin;
    if (key->type == CONF_TEXT || key->type == CONF_WORD)
        *(const char **)field = copy;
    else
        trit_assert(parse(key, copy, field));
}

int conf_set(struct conf *c, const struct conf_key *key, const char *value, enum conf_origin origin,
             const char *where, struct trit_error *err)
{
    size_t i = (size_t)(key - conf_keys);
    union {
        uint32_t count;
        uint64_t bytes;
        double seconds;
        bool on;
    } parsed;
    /* Also a value that is not going to be used must be right: it may be used next time. */
    if (!parse(key, value, &parsed))
        return refuse(key, value, where, err);
    if (origin < c->origin[i])
        return 0;
    char *copy = mem_strdup(value);
    if (!copy)
        return trit_fail(err, TRIT_ENOMEM, "%s: no memory for the value", where);
    store(c, i, copy, origin);
    return 0;
}

static int check_socket(const struct conf *c, struct trit_error *err)
{
    mode_t mode;
    char host[200];
    if (!listen_read_mode(c->socket_mode, &mode))
        return trit_fail(err, TRIT_EINVAL,
                         "socket-mode: found \"%.32s\", expected octal digits like 0660",
                         c->socket_mode);
    if (!listen_is_owner(c->socket_owner))
        return trit_fail(err, TRIT_EINVAL,
                         "socket-owner: found \"%.64s\", expected USER, USER:GROUP or :GROUP",
                         c->socket_owner);
    if (!*c->socket)
        return 0;
    snprintf(host, sizeof host, "unix:%.190s", c->socket);
    if (strcmp(host, c->host) == 0 || listen_check_host(host, true, err) != 0)
        return trit_fail(err, TRIT_EINVAL,
                         "socket: found \"%.110s\", expected a path from / on of at most 107 bytes "
                         "that is not the host's",
                         c->socket);
    return 0;
}

/* What no single key can tell. */
int conf_check_together(const struct conf *c, struct trit_error *err)
{
    if (!*c->model)
        return trit_fail(err, TRIT_EINVAL,
                         "model: found nothing, expected the path of a GGUF file: --model PATH, or "
                         "\"model = PATH\" in the configuration file");
    if (*c->alias && conf_check_name(c->alias, "alias", err))
        return -err->code;
    if (c->step_tokens < c->max_batch)
        return trit_fail(err, TRIT_EINVAL,
                         "step-tokens: found %u, expected at least max-batch, which is %u: every "
                         "running sequence gets a token in each step",
                         c->step_tokens, c->max_batch);
    if (*c->port_file && listen_is_unix(c->host))
        return trit_fail(err, TRIT_EINVAL,
                         "port-file: found \"%.64s\", but host is a unix socket, which has no port",
                         c->port_file);
    if (*c->tiles && !strchr(c->tiles, '/') && !reading_is_tiles(c->tiles))
        return trit_fail(err, TRIT_EINVAL,
                         "tiles: found \"%.64s\", expected up to %d of BM,BK,BMM or "
                         "ROWSxCOLS=BM,BK,BMM with blanks between them, or the path of a "
                         "kernel_config.ini with a / in it",
                         c->tiles, READING_TILES);
    int rc = check_socket(c, err);
    if (rc == 0 && !*c->tls_cert != !*c->tls_key)
        rc = trit_fail(err, TRIT_EINVAL,
                       "tls-%s: found nothing, expected a file, because tls-%s has one",
                       *c->tls_cert ? "key" : "cert", *c->tls_cert ? "cert" : "key");
    int len;
    const char *bad = origin_bad_word(c->cors_origins, &len);
    if (rc == 0 && bad)
        rc =
            trit_fail(err, TRIT_EINVAL,
                      "cors-origins: found \"%.*s\", expected origins like https://a.example:8443, "
                      "or *",
                      MIN(len, 64), bad);
    return rc ? rc : listen_check_host(c->host, conf_allows_remote(c), err);
}

bool conf_allows_remote(const struct conf *c)
{
    return c->allow_remote || *c->api_keys;
}

int conf_load(int argc, char **argv, struct conf *c, enum conf_action *action,
              struct trit_error *err)
{
    memset(c, 0, sizeof *c);
    *action = CONF_RUN;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf_n_keys; i++)
        rc = conf_set(c, &conf_keys[i], conf_keys[i].text, CONF_DEFAULT, conf_keys[i].name, err);
    if (rc == 0)
        rc = conf_read_args(c, argc, argv, action, err);
    if (rc == 0 && (*action == CONF_RUN || *action == CONF_CHECK)) {
        if (*c->config)
            rc = conf_read_file(c, c->config, err);
        if (rc == 0)
            rc = conf_check_together(c, err);
        if (rc == 0)
            rc = conf_inherit(c, err);
    }
    if (rc != 0)
        conf_fini(c);
    return rc;
}

int conf_check_model(const struct conf *c, struct trit_error *err)
{
    if (conf_model(c, 0) != c) /* Only sections name models, and none by default. */
        return 0;
    if (strcmp(c->model, BUILTIN_MODEL) != 0 || access(c->model, F_OK) == 0 || errno != ENOENT)
        return 0;
    return trit_fail(err, TRIT_ENOENT,
                     "model: the built-in one, %s, is not there; \"make install\" puts it there, "
                     "--model PATH names another",
                     c->model);
}

void conf_fini(struct conf *c)
{
    for (size_t i = 0; i < conf_n_keys; i++)
        mem_free(c->text[i]);
    for (size_t i = 0; i < c->n_more; i++)
        conf_fini(&c->more[i]);
    mem_free(c->more);
    memset(c, 0, sizeof *c);
}

void conf_changes(const struct conf *from, const struct conf *to, conf_change_fn fn, void *arg)
{
    for (size_t i = 0; i < conf_n_keys; i++)
        if (strcmp(from->text[i], to->text[i]) != 0)
            fn(conf_keys[i].name, from->text[i], to->text[i], conf_keys[i].reloadable, arg);
}

int conf_adopt(struct conf *c, struct conf *from)
{
    char *copies[CONF_KEYS_MAX] = {NULL};
    bool whole = true;
    for (size_t i = 0; i < conf_n_keys; i++) {
        if (conf_keys[i].reloadable) {
            copies[i] = mem_strdup(from->text[i]);
            whole = whole && copies[i];
        }
    }
    for (size_t i = 0; i < conf_n_keys; i++) {
        if (whole && copies[i])
            store(c, i, copies[i], from->origin[i]);
        else
            mem_free(copies[i]);
    }
    if (!whole)
        return -TRIT_ENOMEM;
    struct conf *more = c->more;
    size_t n_more = c->n_more;
    c->more = from->more;
    c->n_more = from->n_more;
    from->more = more;
    from->n_more = n_more;
    return 0;
}
