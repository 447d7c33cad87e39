/* SPDX-License-Identifier: MIT */
/*
 * version.c - the text of --version.
 */
#include "config.h"
#include "main/version.h"

#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <uv.h>

#include "kernels/kernels.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

void version_print(FILE *out)
{
    fprintf(out, "tritd %s\n", PACKAGE_VERSION);
    fprintf(out, "compiler   %s\n", COMPILER);
    fprintf(out, "libraries  libmicrohttpd %s, libuv %s, cJSON %s\n", MHD_get_version(),
            uv_version_string(), cJSON_Version());
    const struct kernels *best = kernels_pick(kernels_cpu_detect());
    fprintf(out, "kernels   ");
    for (size_t i = 0; kernels_at(i); i++)
        fprintf(out, " %s%s", kernels_at(i)->name, kernels_at(i) == best ? " (best here)" : "");
    fprintf(out, "\n");
}
