/* SPDX-License-Identifier: MIT */
/*
 * trit-options.c - the command line: what there is, what it may be, what --help says of it.
 */
#include "config.h"
#include "trit.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

void options_help(FILE *out)
{
    fputs(
        "Usage: trit COMMAND [options] [text]\n"
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
        "  --key TOKEN       For models that need one. [$TRIT_TOKEN, for the hub only]\n"
        "  --connections N   At a time. [4]\n"
        "  --sha256 HEX      What an address must give, or have given.\n"
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

void options_read(struct options *o, int argc, char **argv)
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
            exit(close_output(EXIT_SUCCESS));
        case 'h':
            options_help(stdout);
            exit(close_output(EXIT_SUCCESS));
        default:
            exit(EXIT_FAILURE); /* getopt has said what is wrong. */
        }
    }
}
