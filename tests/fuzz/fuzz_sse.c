/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sse.c - an event stream in any pieces gives the same events.  The first byte says how to
 * cut.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "fuzz/fuzz.h"
#include "sse.h"

static bool take(const char *data, size_t len, void *arg)
{
    struct buf *all = arg;
    buf_add(all, data, len);
    buf_addc(all, '\n');
    return len != 6 || memcmp(data, "[DONE]", 6) != 0;
}

static bool feed(const uint8_t *bytes, size_t len, unsigned step, struct buf *all)
{
    struct sse s = {0};
    bool more = true;
    for (size_t at = 0; at < len && more;) {
        size_t n = MIN(len - at, step ? step : len);
        more = sse_feed(&s, (const char *)bytes + at, n, take, all);
        at += n;
    }
    sse_fini(&s);
    return more;
}

FUZZ(sse)
{
    unsigned step = 1 + fuzz_byte(&bytes, &len) % 16;
    struct buf whole = {0}, cut = {0};
    bool more = feed(bytes, len, 0, &whole);
    trit_assert(feed(bytes, len, step, &cut) == more);
    trit_assert(whole.len == cut.len &&
                (whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0));
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
