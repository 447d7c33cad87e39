/* SPDX-License-Identifier: MIT */
/*
 * trit-model.c - the command line of trit-model: which command, and help.
 *
 * Each command lives in a file of its own name.
 */
#include "config.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"
#include "gguf-write.h"
#include "tool.h"

static const struct tool_command *const commands[] = {
    &tool_inspect, &tool_verify, &tool_quantize, &tool_synth, &tool_segments,
};

/* Of what is ternary already quantize only changes the encoding, which many look for by this
 * name. */
static const char synonym[] = "convert";

static const struct tool_command *find(const char *name)
{
    if (strcmp(name, synonym) == 0)
        return &tool_quantize;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int overview(void)
{
    puts("trit-model looks at, checks, re-encodes and makes ternary model files (GGUF).\n"
         "\n"
         "Usage: trit-model COMMAND [OPTIONS] ...\n"
         "       trit-model COMMAND --help\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-9s  %s\n", commands[i]->name, commands[i]->summary);
    printf("  %-9s  the same as quantize\n", synonym);
    puts("\n"
         "Examples:\n"
         "  trit-model inspect model.gguf             what is in it\n"
         "  trit-model verify model.gguf              is every weight sound?\n"
         "  trit-model synth --shape tiny -o t.gguf   a small model to try things with\n"
         "\n"
         "Exit status: 0 all well, 1 the file is bad or the work failed, 2 wrong usage.");
    return TOOL_OK;
}

int tool_help(const struct tool_command *c)
{
    printf("trit-model %s: %s\n\n%s", c->name, c->summary, c->help);
    return TOOL_OK;
}

int tool_usage(const struct tool_command *c, const char *what, ...)
{
    if (what) {
        va_list ap;
        va_start(ap, what);
        fprintf(stderr, "trit-model %s: ", c->name);
        vfprintf(stderr, what, ap);
        fputc('\n', stderr);
        va_end(ap);
    }
    fprintf(stderr, "Try: trit-model %s --help\n", c->name);
    return TOOL_USAGE;
}

int tool_failed(const struct trit_error *err)
{
    log_progress(NULL);
    fprintf(stderr, "trit-model: %s\n", err->text);
    return TOOL_FAILED;
}

const char *tool_bytes(uint64_t bytes, char *dst, size_t cap)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1000 && u + 1 < ARRAY_LEN(units); u++)
        v /= 1000;
    snprintf(dst, cap, u ? "%.2f %s" : "%.0f %s", v, units[u]);
    return dst;
}

/* What is left of a model then has many bytes and a name that nobody would look for. */
static void on_end(int signal)
{
    gguf_write_abandon();
    raise(signal); /* It ends us as soon as this returns, for now nobody handles it. */
}

/* Who was started to ignore a signal, as nohup does it, goes on ignoring it. */
static void handle_ends(void)
{
    static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
    const struct sigaction act = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND};
    struct sigaction was;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (sigaction(ends[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
            (void)sigaction(ends[i], &act, NULL);
}

int main(int argc, char **argv)
{
    log_open(LOG_NOTICE, 0);
    handle_ends();
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "help") == 0 && argc > 2 && find(argv[2]))
        return tool_help(find(argv[2]));
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        overview();
        return argc > 1 ? TOOL_OK : TOOL_USAGE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("trit-model " PACKAGE_VERSION);
        return TOOL_OK;
    }
    const struct tool_command *c = find(name);
    if (!c) {
        fprintf(stderr,
                "trit-model: no command '%s'; there are inspect, verify, quantize, synth, "
                "segments, convert\nTry: trit-model --help\n",
                name);
        return TOOL_USAGE;
    }
    /* getopt puts argv[0] in front of what it has to say. */
    char self[40];
    snprintf(self, sizeof self, "trit-model %s", c->name);
    argv[1] = self;
    int rc = c->run(argc - 1, argv + 1);
    if (rc == TOOL_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        perror("trit-model: cannot write");
        return TOOL_FAILED;
    }
    return rc;
}
