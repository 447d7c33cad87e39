/* SPDX-License-Identifier: MIT */
/*
 * conf-print.c - the table of keys: --help and --check-config for people, --list-keys for programs.
 */
#include "config.h"
#include "main/conf-key.h"

#include <stdio.h>
#include <string.h>

/* Where the sentences of --help begin, and where a line ends. */
enum { HELP_INDENT = 36, HELP_WIDTH = 96 };

/* Print `s` in lines of words, from column `at` on. */
static void print_wrapped(FILE *out, const char *s, int at)
{
    int column = at;
    while (*s) {
        int len = (int)strcspn(s, " ");
        if (column > HELP_INDENT && column + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (column > HELP_INDENT) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", len, s);
        column += len;
        s += len;
        s += *s == ' ';
    }
}

static void print_key(FILE *out, const struct conf_key *key)
{
    int used = fprintf(out, "  --%s %s", key->name, key->placeholder);
    if (used >= HELP_INDENT) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", HELP_INDENT - used, "");
    char text[400];
    snprintf(text, sizeof text, "%s%s%s%s", key->help, *key->text ? " [" : "", key->text,
             *key->text ? "]" : "");
    print_wrapped(out, text, HELP_INDENT);
    fputc('\n', out);
}

void conf_help(FILE *out)
{
    fputs("Usage: tritd [--KEY VALUE ...]\n"
          "\n"
          "Serves a ternary (BitNet b1.58) language model over an OpenAI-style HTTP API; without\n"
          "--model the small one that is installed with it.\n"
          "\n"
          "Every setting may stand on the command line as --KEY VALUE, or in a file as\n"
          "key = value; the command line wins. Defaults are in brackets. SIZE takes K, M, G, T.\n"
          "yes|no settings may be written --KEY and --no-KEY.\n",
          out);
    for (size_t i = 0; i < conf_n_keys; i++) {
        if (conf_keys[i].group)
            fprintf(out, "\n%s:\n", conf_keys[i].group);
        print_key(out, &conf_keys[i]);
    }
    fputs("\n"
          "Instead of serving:\n"
          "  --check-config                    Print the settings in effect and where each comes\n"
          "                                    from, or the line that is wrong; exit 0 or 1.\n"
          "  --list-keys                       The settings for programs, a line each with fields\n"
          "                                    between tabs: name, group, value, default, whether\n"
          "                                    SIGHUP takes it over, help.\n"
          "  --version                         Print version, compiler, libraries and kernels.\n"
          "  -h, --help                        This text.\n"
          "\n"
          "Examples:\n"
          "  tritd\n"
          "      Serve the built-in model on http://127.0.0.1:8080.\n"
          "  tritd --model bitnet.gguf\n"
          "      Serve another one, with everything chosen for this machine.\n"
          "  tritd --model bitnet.gguf --alias chat --model bonsai.gguf --alias code\n"
          "      Serve two; requests say which.\n"
          "  tritd --model bitnet.gguf --host unix:/run/tritd/tritd.sock --threads 4\n"
          "      Only processes of this machine that may open the socket can ask.\n"
          "  tritd --config /etc/tritd/tritd.conf --check-config\n"
          "      See what a configuration means before it is used.\n"
          "\n"
          "Signals: SIGTERM finishes what is running, then stops; a second one stops at once.\n"
          "SIGHUP reads the file again and takes over what can change while running; models of\n"
          "sections are loaded, replaced and taken out.\n"
          "SIGUSR2 starts the program anew to take over while this one finishes.\n",
          out);
}

void conf_list(FILE *out)
{
    const char *group = "";
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *k = &conf_keys[i];
        group = k->group ? k->group : group;
        fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", k->name, group, k->placeholder, k->text,
                k->command_only ? "command"
                : k->reloadable ? "reload"
                                : "restart",
                k->help);
    }
}

static const char *const origins[] = {
    [CONF_DEFAULT] = "default", [CONF_FILE] = "file", [CONF_COMMAND] = "command line"};

/* What a further model says for itself. */
static void print_model(const struct conf *m, FILE *out)
{
    fprintf(out, "\n[model %s]\n", *m->alias ? m->alias : m->model);
    for (size_t i = 0; i < conf_n_keys; i++)
        if (m->origin[i] != CONF_DEFAULT && strcmp(conf_keys[i].name, "alias") != 0)
            fprintf(out, "%-18s = %-24s # %s\n", conf_keys[i].name, m->text[i],
                    origins[m->origin[i]]);
}

void conf_print(const struct conf *c, FILE *out)
{
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *key = &conf_keys[i];
        /* The file's own name cannot stand in a file. */
        fprintf(out, "%s%-18s = %-24s # %s\n", key->command_only ? "# " : "", key->name, c->text[i],
                origins[c->origin[i]]);
    }
    for (size_t i = 0; i < c->n_more; i++)
        print_model(&c->more[i], out);
}
