/* SPDX-License-Identifier: MIT */
/*
 * segments.c - `trit-model segments`: the packed weights that daemons share, listed and removed.
 */
#include "config.h"
#include "tool.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/layout.h"
#include "model/segment.h"
#include "model/table.h"

static const char *state(const struct segment_info *s)
{
    return s->stale ? "stale" : s->building ? "building" : s->users ? "in use" : "idle";
}

static int list(void)
{
    struct trit_error err = {0};
    struct segment_info *s = NULL;
    size_t n = 0;
    if (segment_list(&s, &n, &err) != 0)
        return tool_failed(&err);
    if (n == 0)
        printf("no segments\n");
    else
        printf("%-56s  %10s  %-8s  %5s  %-6s  %s\n", "NAME", "SIZE", "STATE", "USERS", "LAYOUT",
               "HEAD");
    for (size_t i = 0; i < n; i++) {
        char bytes[24];
        bool known = s[i].source.layout == LAYOUT_T2 || s[i].source.layout == LAYOUT_T5;
        const char *head = s[i].source.tables == TABLE_F16       ? "f16"
                           : s[i].source.tables == TABLE_Q8      ? "q8"
                           : s[i].source.tables == TABLE_TERNARY ? "ternary"
                                                                 : "-";
        printf("%-56s  %10s  %-8s  %5u  %-6s  %s\n", s[i].name,
               tool_bytes(s[i].bytes, bytes, sizeof bytes), state(&s[i]), s[i].users,
               known ? layout_name((enum layout_id)s[i].source.layout) : "-", head);
    }
    mem_free(s);
    return TOOL_OK;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"remove", required_argument, NULL, 'r'},
                                            {"clean", no_argument, NULL, 'c'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *name = NULL;
    bool clean = false;
    for (int c; (c = getopt_long(argc, argv, "r:cd:h", options, NULL)) != -1;)
        switch (c) {
        case 'r':
            name = optarg;
            break;
        case 'c':
            clean = true;
            break;
        case 'd':
            segment_set_dir(optarg);
            break;
        case 'h':
            return tool_help(&tool_segments);
        default:
            return tool_usage(&tool_segments, NULL);
        }
    if (optind != argc)
        return tool_usage(&tool_segments, "found '%s', expected options only", argv[optind]);
    if (name && clean)
        return tool_usage(&tool_segments, "--remove and --clean do not go together");
    struct trit_error err = {0};
    if (name && segment_remove(name, &err) != 0)
        return tool_failed(&err);
    if (clean) {
        unsigned n = segment_clean();
        printf("removed %u leftover%s\n", n, n == 1 ? "" : "s");
    }
    return name || clean ? TOOL_OK : list();
}

const struct tool_command tool_segments = {
    "segments", "list or remove the packed weights that daemons share",
    "Usage: trit-model segments [--remove NAME | --clean] [--dir DIR]\n"
    "\n"
    "Without an option: every segment, its size, how many processes use it now.\n"
    "\n"
    "  -r, --remove NAME   remove this one; processes that use it keep it until they end\n"
    "  -c, --clean         remove what a process left half-built when it was killed\n"
    "  -d, --dir DIR       where segments live (default /dev/shm)\n"
    "  -h, --help          this text\n"
    "\n"
    "A removed segment costs the next daemon one more packing, nothing else.\n"
    "\n"
    "Examples:\n"
    "  trit-model segments\n"
    "  trit-model segments --remove tritd-0-0123456789abcdef0123456789abcdef\n",
    run};
