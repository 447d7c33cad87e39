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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "pull.h"
#include "server/keys.h"
#include "shelf.h"

#define NUL_FOUND "found a NUL byte, expected text"
enum { PROMPT_BYTES_MAX = 64 << 20 };

volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

int complain(const char *what)
{
    char text[1000];
    size_t n = 0;
    for (; what[n] && n < sizeof text - 1; n++) /* A server's words do nothing to the terminal. */
        text[n] = (unsigned char)what[n] < ' ' || what[n] == 0x7f ? '?' : what[n];
    text[n] = '\0';
    fprintf(stderr, "trit: %s\n", text);
    return EXIT_FAILURE;
}

int close_output(int rc)
{
    bool lost = ferror(stdout) != 0;
    if (fclose(stdout) != 0 || lost)
        return complain("stdout: not all of it could be written");
    return rc;
}

/* One that is closed would be the number of the next file that is opened, and what is said there
 * would stand in a model. */
static void keep_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* still no use */
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

/* Run one request.  Gives the answer as JSON unless it was a stream; what failed has been said. */
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
    /* What an answer takes is the server's affair; a list it has at hand. */
    const char *problem =
        request_run(&r, &interrupted, body ? 0 : SILENT_SECONDS, text, sizeof text);
    if (problem) {
        if (interrupted)
            fprintf(stderr, "\n(interrupted)\n");
        else
            complain(problem);
        goto out;
    }
    if (!r.streams) {
        answer = cJSON_ParseWithLength(r.answer.data ? r.answer.data : "", r.answer.len);
        if (!answer || error_message(answer)) {
            complain(answer ? error_message(answer) : "the answer is no JSON");
            cJSON_Delete(answer);
            answer = NULL;
            goto out;
        }
    }
    *failed = r.stopped;
out:
    request_close(&r);
    return answer;
}

/* The first choice of an answer or an event: its text, wherever this endpoint keeps it, or NULL. */
static const char *text_of(const cJSON *answer)
{
    static const char *const places[] = {"message", "delta"};
    const cJSON *choice =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(answer, "choices"), 0);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(choice, "text"));
    for (size_t i = 0; !text && i < ARRAY_LEN(places); i++)
        text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(choice, places[i]), "content"));
    return text;
}

/* Events of a stream: show the text, keep it for the conversation.  One that nobody can read any
 * more need not go on. */
static bool show_event(const cJSON *event, void *arg)
{
    struct buf *said = arg;
    const char *message = error_message(event);
    if (message) {
        if (said->len)
            fputc('\n', stdout);
        complain(message);
        return false;
    }
    const char *text = text_of(event);
    if (!text)
        return true;
    fputs(text, stdout);
    fflush(stdout);
    buf_adds(said, text);
    return !ferror(stdout);
}

/* Send a generating request and show the answer, which is appended to *said. */
static bool generate(const struct options *o, const char *path, const cJSON *body, struct buf *said)
{
    bool failed;
    cJSON *answer = perform(o, path, body, o->stream ? show_event : NULL, said, &failed);
    const char *text = text_of(answer);
    if (text) {
        fputs(text, stdout);
        buf_adds(said, text);
    } else if (answer) {
        complain("the answer has no text");
        failed = true;
    }
    cJSON_Delete(answer);
    if (!failed || said->len)
        fputc('\n', stdout);
    fflush(stdout);
    return !failed && !said->failed && !ferror(stdout);
}

/* ------------------------------------------------------------------ commands */

static int models(const struct options *o)
{
    bool failed;
    cJSON *answer = perform(o, "/v1/models", NULL, NULL, NULL, &failed);
    const cJSON *model, *data = cJSON_GetObjectItemCaseSensitive(answer, "data");
    if (!failed && !cJSON_IsArray(data)) {
        complain("the answer is no list of models");
        failed = true;
    }
    cJSON_ArrayForEach(model, data)
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

static void complain_of_stdin(const char *why)
{
    fprintf(stderr, "trit: stdin: %s\n", why);
}

/* The words of the command line, or stdin; mem_free.  NULL: what is wrong has been said. */
static char *read_prompt(int argc, char **argv)
{
    struct buf text = {0};
    for (int i = 0; i < argc; i++)
        buf_addf(&text, "%s%s", i ? " " : "", argv[i]);
    char chunk[4096];
    if (argc == 0 && isatty(STDIN_FILENO))
        fprintf(stderr, "(type the prompt, end it with Ctrl-D)\n");
    for (size_t n; argc == 0 && text.len <= PROMPT_BYTES_MAX &&
                   (n = fread(chunk, 1, sizeof chunk, stdin)) > 0;)
        buf_add(&text, chunk, n);
    if (ferror(stdin))
        complain_of_stdin(strerror(errno));
    else if (text.len > PROMPT_BYTES_MAX)
        complain_of_stdin("that is too long for a prompt");
    else if (text.len && memchr(text.data, '\0', text.len))
        complain_of_stdin(NUL_FOUND);
    else if (text.failed)
        complain("out of memory");
    else
        return buf_take(&text, NULL);
    buf_free(&text);
    return NULL;
}

static int complete(const struct options *o, int argc, char **argv)
{
    char *prompt = read_prompt(argc, argv);
    cJSON *body = body_of(o);
    struct buf said = {0};
    int rc = EXIT_FAILURE;
    if (prompt && (!body || !cJSON_AddStringToObject(body, "prompt", prompt)))
        complain("out of memory");
    else if (prompt && generate(o, "/v1/completions", body, &said))
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

/* Of people Ctrl-C ends one answer, of a file all of it. */
static int converse(const struct options *o, cJSON *body, cJSON *messages)
{
    char *line = NULL;
    size_t cap = 0;
    bool people = isatty(STDIN_FILENO) == 1, ok = true;
    if (people)
        fprintf(stderr, "Ctrl-C stops an answer, Ctrl-D ends the conversation.\n");
    while (!ferror(stdout) && (people || !interrupted)) {
        if (people) {
            interrupted = 0;
            fprintf(stderr, "> ");
        }
        ssize_t n = getline(&line, &cap, stdin);
        if (n < 0 && ferror(stdin) && errno == EINTR && interrupted && people) {
            clearerr(stdin);
            fputc('\n', stderr);
            continue;
        }
        if (n < 0 && ferror(stdin)) {
            complain_of_stdin(strerror(errno));
            ok = false;
        }
        if (n < 0)
            break;
        if (memchr(line, '\0', (size_t)n)) {
            complain_of_stdin(NUL_FOUND);
            ok = false;
            continue;
        }
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
    return fprintf(stderr, "%s\n", key) > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
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

/* What is empty there is not set. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

int main(int argc, char **argv)
{
    const char *url = environment("TRITD_URL");
    struct options o = {
        .server.url = url ? url : "http://127.0.0.1:8080",
        .temperature = -1,
        .top_p = -1,
        .seed = -1,
        .stream = true,
        .connections = 4,
        .clients = 4,
        .prompt_words = 32,
        .timeout_seconds = 300,
    };
    keep_standard_files();
    options_read(&o, argc, argv);
    if (optind == argc) {
        options_help(stderr);
        return EXIT_FAILURE;
    }
    const char *command = argv[optind++];
    /* A server's key is no hub's. */
    bool local = strcmp(command, "pull") == 0 || strcmp(command, "list") == 0 ||
                 strcmp(command, "rm") == 0;
    if (!o.server.key && !local)
        o.server.key = environment("TRITD_API_KEY");
    /* A key in the environment is for the service it was made for, not for every plain socket. */
    if (!o.server.key && !local && strncmp(o.server.url, "https://", 8) == 0)
        o.server.key = environment("OPENAI_API_KEY");

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
    return close_output(rc);
}
