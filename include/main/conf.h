/* SPDX-License-Identifier: MIT */
/*
 * conf.h - the configuration: one table of keys, from which come the command line, the file, --help
 * and --check-config.
 *
 * A value from the command line wins over one from the file, which wins over the default.  Values
 * are checked one by one when they are read and against each other at the end, so a struct conf
 * that conf_load() gave is good as a whole.  Texts belong to the structure.
 *
 * There may be several models: a section "[model NAME]" of the file is one, and so is each --model
 * after the first.  Each is a struct conf of its own; what it does not say for itself, it has from
 * the rest.
 *
 * Not here: environment variables.  There is one place to look for a setting.
 */
#ifndef TRIT_CONF_H
#define TRIT_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct trit_error;

enum { CONF_KEYS_MAX = 96, CONF_MODELS_MAX = 16, CONF_NAME_BYTES = 100 };

/* Where a value came from, weakest first. */
enum conf_origin { CONF_DEFAULT, CONF_FILE, CONF_COMMAND };

/* What the command line asks for. */
enum conf_action { CONF_RUN, CONF_HELP, CONF_VERSION, CONF_CHECK, CONF_LIST };

struct conf {
    /* Model. */
    const char *model; /* path of a GGUF file */
    const char *alias; /* "": the model's own name */
    const char *order, *tiles; /* model/reading.h; tiles "": none, with a /: a file */
    bool unchecked;
    uint32_t ctx; /* 0: the model's, at most PLAN_CTX_MAX */
    const char *head_type, *act_type, *kv_type;
    const char *chat_template; /* "": the file's own */
    const char *pooling;       /* "auto", "mean", "last" */
    bool shared, fd_store, mlock;
    const char *shm_dir;

    /* Machine. */
    uint32_t threads; /* 0: what this process may use */
    bool pin;
    const char *powercap_dir; /* "": energy is not looked at */
    const char *cpu;
    uint64_t kv_bytes; /* 0: chosen by plan.h */

    /* Work. */
    uint32_t max_batch, step_tokens;
    double token_target;
    bool prefix_cache;
    uint32_t draft_tokens;
    uint32_t queue_requests;
    uint64_t queue_tokens;
    double ttft_target;
    uint32_t default_max_tokens;

    /* Network. */
    const char *host;
    uint32_t port, agent_port;
    const char *port_file;    /* "": none */
    const char *socket;       /* path of a unix socket beside host; "": none */
    const char *socket_mode;  /* octal */
    const char *socket_owner; /* "": who runs tritd */
    const char *cors_origins, *allowed_hosts;
    const char *tls_cert, *tls_key; /* both or none */
    const char *api_keys;           /* "": none */
    bool allow_remote;
    const char *metrics_key;    /* "auto", "yes", "no" */
    const char *metrics_compat; /* "none", "vllm" */
    bool page;
    uint64_t max_body;
    uint32_t max_connections;
    double ping_seconds, header_seconds, body_seconds, idle_seconds, stall_seconds;
    bool half_close_aborts;

    /* Service. */
    double drain_seconds;
    bool sandbox;
    const char *log_level, *log_format;
    const char *config; /* "": no file */

    /* Per row of the table: the value as it was written, and by whom. */
    char *text[CONF_KEYS_MAX];
    uint8_t origin[CONF_KEYS_MAX]; /* enum conf_origin */

    /* Further models; their own have none. */
    struct conf *more;
    size_t n_more;
};

/*
 * Defaults, then the command line, then the file that it names, then the rules between keys.  May
 * be called again with the same arguments, to re-read the file.  With CONF_HELP, CONF_VERSION
 * and CONF_LIST the file is not read and the rules are not checked.  On failure *c holds nothing
 * and *err reads "file:line: key: found ..., expected ..." or "--key: ...".
 */
int conf_load(int argc, char **argv, struct conf *c, enum conf_action *action,
              struct trit_error *err);
void conf_fini(struct conf *c);

/*
 * All models that are to be served, the first of which answers requests that name none.  The one of
 * the keys outside of sections is among them unless only sections name a model.
 */
size_t conf_n_models(const struct conf *c);
const struct conf *conf_model(const struct conf *c, size_t i);

/* Whether the command line, or what the file says of this model, has this key. */
bool conf_says(const struct conf *c, const char *key);

/* Whether two models differ in a key of theirs. */
bool conf_same_model(const struct conf *a, const struct conf *b);

/* A copy of c without its further models; with another name and path, where they are not NULL.
 * What c says about its file is not true of another one.  -TRIT_ENOMEM, -TRIT_EINVAL: not a
 * name. */
int conf_copy_model(const struct conf *c, const char *name, const char *path, struct conf *to,
                    struct trit_error *err);

/* Whether a model may be called so by the configuration and over the API: something printable of at
 * most CONF_NAME_BYTES bytes, without commas, brackets and what else lists of names are written
 * with. */
bool conf_is_name(const char *name);

/*
 * -TRIT_ENOENT where the built-in model is to be served and is not installed; *err says how to get
 * one.  Not a part of conf_load(): a running daemon can read its configuration again after the file
 * was removed.
 */
int conf_check_model(const struct conf *c, struct trit_error *err);

/*
 * Call fn for every key that differs.  reloadable: the new value can be used without a restart.
 */
typedef void (*conf_change_fn)(const char *key, const char *from, const char *to, bool reloadable,
                               void *arg);
void conf_changes(const struct conf *from, const struct conf *to, conf_change_fn fn, void *arg);

/* Whether an address that other machines can reach may be listened on. */
bool conf_allows_remote(const struct conf *c);

/* Take over the reloadable values of *from, whose others are left alone, and the models of its
 * sections, which it has no longer then.  -TRIT_ENOMEM: nothing was changed. */
int conf_adopt(struct conf *c, struct conf *from);

/* The text of --help. */
void conf_help(FILE *out);

/*
 * The table of keys for programs, a line each with fields between tabs: name, group, placeholder
 * (the words, for one that takes words), default, "reload", "restart" or "command" (no line of a
 * file), and what it does.
 */
void conf_list(FILE *out);

/* Every key as a configuration file would have it, with its origin as a comment. */
void conf_print(const struct conf *c, FILE *out);

#endif
