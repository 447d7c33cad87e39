/* SPDX-License-Identifier: MIT */
/*
 * tokenize.c - reads texts, prints their ids: our side of families.mjs.
 *
 *     tokenize MODEL < texts
 *
 * Each text is its length in bytes on a line of its own, then the bytes and a newline.  The answer
 * is one line of ids for each.  On stderr: how long opening took and how fast encoding was.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/hf.h"
#include "model/tokenizer.h"

static int fail(const char *what)
{
    fprintf(stderr, "tokenize: %s\n", what);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct gguf *g;
    struct tok *t;
    struct trit_error err;
    if (argc != 2)
        return fail("one argument, a GGUF file or a folder with a tokenizer");
    if (hf_open_any(argv[1], &g, &err))
        return fail(err.text);
    double start = trit_now(), opened, encoding = 0;
    if (tok_open(g, INT32_MAX, &t, &err))
        return fail(err.text);
    opened = trit_now() - start;
    gguf_close(&g);

    size_t bytes = 0, tokens = 0;
    struct tok_ids ids = {0};
    for (unsigned long len; scanf("%lu", &len) == 1; ids.n = 0) {
        char *text = len < 1ul << 30 ? mem_zalloc(len + 1, 1) : NULL;
        if (!text || getchar() != '\n' || fread(text, 1, len, stdin) != len)
            return fail("a text is cut short or too long");
        start = trit_now();
        int rc = tok_encode(t, text, len, TOK_PARSE_SPECIAL, 0, &ids);
        encoding += trit_now() - start;
        if (rc)
            return fail(trit_err_text(rc));
        for (size_t i = 0; i < ids.n; i++)
            printf("%s%d", i ? " " : "", ids.id[i]);
        putchar('\n');
        bytes += len;
        tokens += ids.n;
        mem_free(text);
    }
    fprintf(stderr, "opened in %.0f ms, holds %.1f MB; %zu bytes, %zu tokens, %.1f MB/s\n",
            opened * 1e3, (double)tok_bytes(t) / 1e6, bytes, tokens,
            (double)bytes / 1e6 / encoding);
    tok_ids_free(&ids);
    tok_close(&t);
    return EXIT_SUCCESS;
}
