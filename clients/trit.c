/* SPDX-License-Identifier: MIT */
/*
 * trit.c - a command line client for tritd and other OpenAI-style servers.
 *
 * Answers go to stdout as they arrive, everything else to stderr, so that `trit complete ... >
 * file` does what one hopes.
 */
#include "config.h"
#include "trit.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "pull.h"
#include "server/keys.h"
#include "shelf.h"

volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

static int complain(const char *what)
{
    fprintf(stderr, "trit: %s\n", what);
    return EXIT_FAILURE;
}

cJSON *body_of(const struct options *o)
{
    cJSON *body = cJSON_CreateObject();
    bool whole = body != NULL;
    if (o->model)
        whole = whole && cJSON_AddStringToObject(body, "model", o->model);
    if (o->max_tokens > 0)
        whole = whole && cJSON_AddNumberToObject(body, "max_tokens", (double)o->max_tokens);
    if (o->temperature >= 0)
        whole = whole && cJSON_AddNumberToObject(body, "temperature", o->temperature);
    if (o->top_p >= 0)
        whole = whole && cJSON_AddNumberToObject(body, "top_p", o->top_p);
    if (o->seed >= 0)
        whole = whole && cJSON_AddNumberToObject(body, "seed", (double)o->seed);
    whole = whole && cJSON_AddBoolToObject(body, "stream", o->stream);
    if (whole)
        return body;
    cJSON_Delete(body);
    return NULL;
}

/* ------------------------------------------------------------------ transfers */

static int watch_interrupt(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)arg, (void)a, (void)b, (void)c, (void)d;
    return interrupted;
}

/* Run one request.  Gives the answer as JSON unless it was a stream; *problem tells of a failure.
 */
static cJSON *perform(const struct options *o, const char *path, const cJSON *body, event_fn event,
                      void *arg, bool *failed)
{
    struct request r;
    cJSON *answer = NULL;
    char text[600];
    *failed = true;
    if (!request_open(&r, &o->server, path, body, event, arg)) {
        complain("out of memory");
        goto out;
    }
    curl_easy_setopt(r.easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(r.easy, CURLOPT_XFERINFOFUNCTION, watch_interrupt);
    CURLcode code = curl_easy_perform(r.easy);
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        fprintf(stderr, "\n(interrupted)\n");
        goto out;
    }
    const char *problem = request_problem(&r, code, text, sizeof text);
    if (problem) {
        complain(problem);
        goto out;
    }
    if (!r.streams) {
        answer = cJSON_ParseWithLength(r.answer.data ? r.answer.data : "", r.answer.len);
        if (!answer) {
            complain("the answer is no JSON");
            goto out;
        }
    }
    *failed = r.stopped;
out:
    request_close(&r);
    return answer;
}

/* The first choice of an answer or an event: its text, wherever this endpoint keeps it. */
static const char *text_of(const cJSON *answer)
{
    static const char *const places[] = {"message", "delta"};
    const cJSON *choice =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(answer, "choices"), 0);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(choice, "text"));
    for (size_t i = 0; !text && i < ARRAY_LEN(places); i++)
        text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(choice, places[i]), "content"));
    return text ? text : "";
}

/* Events of a stream: show the text, keep it for the conversation. */
static bool show_event(const cJSON *event, void *arg)
{
    struct buf *said = arg;
    const char *message = error_message(event);
    if (message) {
        fputc('\n', stdout);
        complain(message);
        return false;
    }
    const char *text = text_of(event);
    fputs(text, stdout);
    fflush(stdout);
    buf_adds(said, text);
    return true;
}

/* Send a generating request and show the answer, which is appended to *said. */
static bool generate(const struct options *o, const char *path, const cJSON *body, struct buf *said)
{
    bool failed;
    cJSON *answer = perform(o, path, body, o->stream ? show_event : NULL, said, &failed);
    if (answer) {
        fputs(text_of(answer), stdout);
        buf_adds(said, text_of(answer));
        cJSON_Delete(answer);
    }
    fputc('\n', stdout);
    fflush(stdout);
    return !failed && !said->failed;
}

/* ------------------------------------------------------------------ commands */

static int models(const struct options *o)
{
    bool failed;
    cJSON *answer = perform(o, "/v1/models", NULL, NULL, NULL, &failed);
    const cJSON *model;
    cJSON_ArrayForEach(model, cJSON_GetObjectItemCaseSensitive(answer, "data"))
    {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(model, "id"));
        const cJSON *meta = cJSON_GetObjectItemCaseSensitive(model, "meta");
        printf("%s", id ? id : "?");
        if (meta)
            printf("  (context %.0f, %.3g million parameters)", number_at(meta, "n_ctx", 0),
                   number_at(meta, "n_params", 0) / 1e6);
        putchar('\n');
    }
    cJSON_Delete(answer);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The words of the command line, or stdin; mem_free. */
static char *read_prompt(int argc, char **argv)
{
    struct buf text = {0};
    for (int i = 0; i < argc; i++)
        buf_addf(&text, "%s%s", i ? " " : "", argv[i]);
    char chunk[4096];
    if (argc == 0 && isatty(STDIN_FILENO))
        fprintf(stderr, "(type the prompt, end it with Ctrl-D)\n");
    for (size_t n; argc == 0 && (n = fread(chunk, 1, sizeof chunk, stdin)) > 0;)
        buf_add(&text, chunk, n);
    return buf_take(&text, NULL);
}

static int complete(const struct options *o, int argc, char **argv)
{
    char *prompt = read_prompt(argc, argv);
    cJSON *body = body_of(o);
    struct buf said = {0};
    int rc = EXIT_FAILURE;
    if (!prompt)
        complain("there is no prompt");
    else if (!body || !cJSON_AddStringToObject(body, "prompt", prompt))
        complain("out of memory");
    else if (generate(o, "/v1/completions", body, &said))
        rc = EXIT_SUCCESS;
    buf_free(&said);
    cJSON_Delete(body);
    mem_free(prompt);
    return rc;
}

static bool add_message(cJSON *messages, const char *role, const char *content)
{
    cJSON *message = cJSON_CreateObject();
    if (message && cJSON_AddStringToObject(message, "role", role) &&
        cJSON_AddStringToObject(message, "content", content) &&
        cJSON_AddItemToArray(messages, message))
        return true;
    cJSON_Delete(message);
    return false;
}

/* One turn: what the user says, and what the model answers, become part of *messages. */
static bool take_turn(const struct options *o, cJSON *body, cJSON *messages, const char *text)
{
    struct buf said = {0};
    bool ok = false;
    interrupted = 0;
    if (!add_message(messages, "user", text))
        complain("out of memory");
    else if (generate(o, "/v1/chat/completions", body, &said) &&
             add_message(messages, "assistant", said.data ? said.data : ""))
        ok = true;
    else /* A question without an answer would spoil the rest of the conversation. */
        cJSON_DeleteItemFromArray(messages, cJSON_GetArraySize(messages) - 1);
    buf_free(&said);
    return ok;
}

static int converse(const struct options *o, cJSON *body, cJSON *messages)
{
    char *line = NULL;
    size_t cap = 0;
    bool people = isatty(STDIN_FILENO) == 1, ok = true;
    if (people)
        fprintf(stderr, "Ctrl-C stops an answer, Ctrl-D ends the conversation.\n");
    for (;;) {
        if (people)
            fprintf(stderr, "> ");
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0 && errno == EINTR && interrupted) {
            interrupted = 0;
            clearerr(stdin);
            fputc('\n', stderr);
            continue;
        }
        if (n < 0)
            break;
        line[strcspn(line, "\n")] = '\0';
        if (*line)
            ok = take_turn(o, body, messages, line) && (ok || people);
    }
    free(line);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int chat(const struct options *o, int argc, char **argv)
{
    cJSON *body = body_of(o);
    cJSON *messages = body ? cJSON_AddArrayToObject(body, "messages") : NULL;
    int rc = EXIT_FAILURE;
    if (!messages || (o->system && !add_message(messages, "system", o->system))) {
        complain("out of memory");
    } else if (argc > 0) {
        char *text = read_prompt(argc, argv);
        if (text && take_turn(o, body, messages, text))
            rc = EXIT_SUCCESS;
        mem_free(text);
    } else {
        rc = converse(o, body, messages);
    }
    cJSON_Delete(body);
    return rc;
}

/*
 * keys new NAME [OPTION...]: the line for the file of keys goes to stdout, so that >> appends it;
 * the key itself, which nobody can find out later, to stderr.
 */
static int keys(int argc, char **argv)
{
    char key[KEYS_TEXT], line[KEYS_LINE];
    struct trit_error err;
    if (argc < 2 || strcmp(argv[0], "new") != 0)
        return complain("keys: expected: trit keys new NAME [priority=high] [concurrency=N] ...");
    if (keys_make(argv[1], key, line, &err) != 0)
        return complain(err.text);
    printf("%s", line);
    for (int i = 2; i < argc; i++)
        printf(" %s", argv[i]);
    putchar('\n');
    if (fflush(stdout) != 0)
        return complain("the line could not be written");
    fprintf(stderr, "%s\n", key);
    return EXIT_SUCCESS;
}

/* pull WHAT..., list, rm NAME...: the models on this machine. */
static int shelf(const struct options *o, const char *command, int argc, char **argv)
{
    char *directory = shelf_directory(o->models);
    struct trit_error err = {0};
    int rc = 0;
    if (!directory)
        return complain("where should models be kept?  --models DIRECTORY, or $TRIT_MODELS");
    const struct pull_options how = {.hub = o->hub,
                                     .token = o->server.key,
                                     .directory = directory,
                                     .sha256 = o->sha256,
                                     .connections = (unsigned)o->connections,
                                     .force = o->force,
                                     .stop = &interrupted};
    if (strcmp(command, "list") == 0)
        rc = shelf_list(directory, &err);
    else if (argc == 0)
        rc = trit_fail(&err, TRIT_EINVAL, "%s: expected %s", command,
                       *command == 'p' ? "OWNER/NAME[:FILE] or an address" : "a name of trit list");
    for (int i = 0; rc == 0 && i < argc; i++)
        rc = *command == 'p' ? pull(&how, argv[i], &err) : shelf_remove(directory, argv[i], &err);
    mem_free(directory);
    return rc ? complain(err.text) : EXIT_SUCCESS;
}

/* ------------------------------------------------------------------ the command line */

static void help(FILE *out)
{
    fputs("Usage: trit COMMAND [options] [text]\n"
          "\n"
          "Talks to tritd, or to another server with OpenAI's HTTP API.\n"
          "\n"
          "Commands:\n"
          "  complete [TEXT]   Continue a text. Without TEXT it is read from stdin.\n"
          "  chat [TEXT]       One question, or without TEXT a conversation, one line a turn.\n"
          "  models            List what the server has.\n"
          "  bench             Measure tokens a second and latencies with concurrent streams.\n"
          "  costs             Tokens and energy of each API key since the server started.\n"
          "  keys new NAME [OPTION=VALUE ...]\n"
          "                    Make an API key: its line for tritd's api-keys file on stdout, the\n"
          "                    key itself, which is kept nowhere, on stderr.\n"
          "  pull WHAT         Load a model: OWNER/NAME or OWNER/NAME:FILE of a hub, or an address.\n"
          "                    Prints where it lies, for tritd --model. What was cut goes on where\n"
          "                    it stopped.\n"
          "  list              The models that were loaded.\n"
          "  rm NAME           Remove one of them.\n"
          "\n"
          "Options:\n"
          "  --url URL         Server, http://host:port or unix:/path. [$TRITD_URL, or\n"
          "                    http://127.0.0.1:8080]\n"
          "  --model NAME      Model to ask for. [the server's]\n"
          "  --key KEY         Send an API key. [$TRITD_API_KEY, or $OPENAI_API_KEY with --url\n"
          "                    https://...]\n"
          "  --max-tokens N    Longest answer. [the server's default]\n"
          "  --temperature X   0 for the likeliest token always. [the server's default]\n"
          "  --top-p X         Sample from this much probability. [the server's default]\n"
          "  --seed N          Same seed, same answer. [random]\n"
          "  --system TEXT     chat: the system message.\n"
          "  --no-stream       Wait for the whole answer.\n"
          "  --prices LIST     costs: prices for a million tokens and for a kilowatt-hour, some of\n"
          "                    prompt=X,cached=X,generated=X,kwh=X.\n"
          "\n"
          "Options of pull, list and rm:\n"
          "  --models DIR      Where models are kept. [$TRIT_MODELS, or below the home directory]\n"
          "  --hub URL         Where OWNER/NAME is looked up. [$TRIT_HUB, or Hugging Face]\n"
          "  --key TOKEN       For models that need one. [$TRIT_TOKEN]\n"
          "  --connections N   At a time. [4]\n"
          "  --sha256 HEX      What an address must give.\n"
          "  --force           Load again what is there already.\n"
          "\n"
          "Options of bench:\n"
          "  --clients N       Requests at a time. [4]\n"
          "  --requests N      Requests in all. [4 for each client]\n"
          "  --prompt-words N  Length of a prompt. [32]\n"
          "  --max-tokens N    Tokens of an answer. [64]\n"
          "  --timeout SECONDS Give up a request after this time. [300]\n"
          "  --json            Print the figures as JSON.\n"
          "Rates, tenants, and one server against another: trit-bench load --help.\n"
          "\n"
          "Examples:\n"
          "  trit chat \"What is the tallest mountain?\"\n"
          "  echo -n \"Once upon a time\" | trit complete --max-tokens 50 --seed 1\n"
          "  trit bench --clients 16 --max-tokens 128\n"
          "  trit keys new alice concurrency=4 >>/etc/tritd/api-keys\n"
          "  tritd --model \"$(trit pull microsoft/bitnet-b1.58-2B-4T-gguf)\"\n",
          out);
}

enum {
    OPT_FIRST = 0x100,
    OPT_URL = OPT_FIRST,
    OPT_MODEL,
    OPT_KEY,
    OPT_MAX_TOKENS,
    OPT_TEMPERATURE,
    OPT_TOP_P,
    OPT_SEED,
    OPT_SYSTEM,
    OPT_NO_STREAM,
    OPT_CLIENTS,
    OPT_REQUESTS,
    OPT_PROMPT_WORDS,
    OPT_TIMEOUT,
    OPT_JSON,
    OPT_MODELS,
    OPT_HUB,
    OPT_CONNECTIONS,
    OPT_SHA256,
    OPT_FORCE,
    OPT_PRICES,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"url", required_argument, NULL, OPT_URL},
    {"model", required_argument, NULL, OPT_MODEL},
    {"key", required_argument, NULL, OPT_KEY},
    {"max-tokens", required_argument, NULL, OPT_MAX_TOKENS},
    {"temperature", required_argument, NULL, OPT_TEMPERATURE},
    {"top-p", required_argument, NULL, OPT_TOP_P},
    {"seed", required_argument, NULL, OPT_SEED},
    {"system", required_argument, NULL, OPT_SYSTEM},
    {"no-stream", no_argument, NULL, OPT_NO_STREAM},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"prompt-words", required_argument, NULL, OPT_PROMPT_WORDS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"json", no_argument, NULL, OPT_JSON},
    {"models", required_argument, NULL, OPT_MODELS},
    {"hub", required_argument, NULL, OPT_HUB},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"sha256", required_argument, NULL, OPT_SHA256},
    {"force", no_argument, NULL, OPT_FORCE},
    {"prices", required_argument, NULL, OPT_PRICES},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {0},
};

static void read_whole(const char *name, long min, long max, long *value)
{
    char *end;
    errno = 0;
    *value = strtol(optarg, &end, 10);
    if (errno || *end || end == optarg || *value < min || *value > max) {
        fprintf(stderr, "trit: --%s: found \"%.64s\", expected a whole number from %ld to %ld\n",
                name, optarg, min, max);
        exit(EXIT_FAILURE);
    }
}

static void read_real(const char *name, double min, double max, double *value)
{
    char *end;
    *value = strtod(optarg, &end);
    if (*end || end == optarg || !(*value >= min && *value <= max)) {
        fprintf(stderr, "trit: --%s: found \"%.64s\", expected a number from %g to %g\n", name,
                optarg, min, max);
        exit(EXIT_FAILURE);
    }
}

static void read_options(struct options *o, int argc, char **argv)
{
    for (int code; (code = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        switch (code) {
        case OPT_URL:
            o->server.url = optarg;
            break;
        case OPT_MODEL:
            o->model = optarg;
            break;
        case OPT_KEY:
            o->server.key = optarg;
            break;
        case OPT_MAX_TOKENS:
            read_whole("max-tokens", 1, 1 << 20, &o->max_tokens);
            break;
        case OPT_TEMPERATURE:
            read_real("temperature", 0, 2, &o->temperature);
            break;
        case OPT_TOP_P:
            read_real("top-p", 0, 1, &o->top_p);
            break;
        case OPT_SEED:
            read_whole("seed", 0, 1L << 53, &o->seed);
            break;
        case OPT_SYSTEM:
            o->system = optarg;
            break;
        case OPT_NO_STREAM:
            o->stream = false;
            break;
        case OPT_CLIENTS:
            read_whole("clients", 1, 4096, &o->clients);
            break;
        case OPT_REQUESTS:
            read_whole("requests", 1, 1 << 20, &o->requests);
            break;
        case OPT_PROMPT_WORDS:
            read_whole("prompt-words", 1, 1 << 16, &o->prompt_words);
            break;
        case OPT_TIMEOUT:
            read_real("timeout", 0.1, 86400, &o->timeout_seconds);
            break;
        case OPT_JSON:
            o->json = true;
            break;
        case OPT_MODELS:
            o->models = optarg;
            break;
        case OPT_HUB:
            o->hub = optarg;
            break;
        case OPT_CONNECTIONS:
            read_whole("connections", 1, 16, &o->connections);
            break;
        case OPT_SHA256:
            o->sha256 = optarg;
            break;
        case OPT_FORCE:
            o->force = true;
            break;
        case OPT_PRICES:
            o->prices = optarg;
            break;
        case OPT_VERSION:
            printf("trit %s (%s)\n", PACKAGE_VERSION, curl_version());
            exit(EXIT_SUCCESS);
        case 'h':
            help(stdout);
            exit(EXIT_SUCCESS);
        default:
            exit(EXIT_FAILURE); /* getopt has said what is wrong. */
        }
    }
}

int main(int argc, char **argv)
{
    const char *url = getenv("TRITD_URL");
    struct options o = {
        .server.url = url && *url ? url : "http://127.0.0.1:8080",
        .temperature = -1,
        .top_p = -1,
        .seed = -1,
        .stream = true,
        .connections = 4,
        .clients = 4,
        .prompt_words = 32,
        .timeout_seconds = 300,
    };
    read_options(&o, argc, argv);
    if (optind == argc) {
        help(stderr);
        return EXIT_FAILURE;
    }
    const char *command = argv[optind++];
    /* A server's key is no hub's. */
    bool local = strcmp(command, "pull") == 0 || strcmp(command, "list") == 0 ||
                 strcmp(command, "rm") == 0;
    if (!o.server.key && !local)
        o.server.key = getenv("TRITD_API_KEY");
    /* A key in the environment is for the service it was made for, not for every plain socket. */
    if (!o.server.key && !local && strncmp(o.server.url, "https://", 8) == 0)
        o.server.key = getenv("OPENAI_API_KEY");

    struct sigaction interrupt = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &interrupt, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return complain("libcurl cannot start");
    int rc;
    argc -= optind;
    argv += optind;
    if (strcmp(command, "complete") == 0) {
        rc = complete(&o, argc, argv);
    } else if (strcmp(command, "chat") == 0) {
        rc = chat(&o, argc, argv);
    } else if (strcmp(command, "models") == 0) {
        rc = models(&o);
    } else if (strcmp(command, "bench") == 0) {
        rc = bench(&o);
    } else if (strcmp(command, "costs") == 0) {
        rc = costs(&o);
    } else if (strcmp(command, "keys") == 0) {
        rc = keys(argc, argv);
    } else if (local) {
        rc = shelf(&o, command, argc, argv);
    } else {
        fprintf(stderr, "trit: no command \"%.64s\"; trit --help lists them\n", command);
        rc = EXIT_FAILURE;
    }
    curl_global_cleanup();
    return rc;
}
