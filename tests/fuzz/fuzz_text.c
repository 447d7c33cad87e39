/* SPDX-License-Identifier: MIT */
/*
 * fuzz_text.c - what of an answer may be shown: the same however its bytes are cut into tokens.
 *
 * Stop strings between NULs, an empty one ends them; then a byte that says how to cut; the rest is
 * the answer.
 */
#include "config.h"

#include <string.h>

#include "base/base.h"
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "server/text.h"

/* In pieces of 1..step bytes; whether a stop string ended it. */
static bool show(const struct text_stops *stops, const uint8_t *bytes, size_t len, unsigned step,
                 struct buf *out)
{
    struct text t = {0};
    bool stopped = false;
    for (size_t at = 0; at < len && !stopped;) {
        size_t n = MIN(len - at, 1 + (step ? bytes[at] % step : 0));
        stopped = text_push(&t, stops, (const char *)bytes + at, n, out);
        trit_assert(utf8_valid(out->len ? out->data : "", out->len));
        at += n;
    }
    if (!stopped)
        stopped = text_end(&t, stops, out);
    trit_assert(utf8_valid(out->len ? out->data : "", out->len));
    text_fini(&t);
    return stopped;
}

FUZZ(text)
{
    struct text_stops stops = {0};
    while (len) {
        const uint8_t *nul = memchr(bytes, 0, len);
        size_t n = nul ? (size_t)(nul - bytes) : len;
        if (n && n <= TEXT_STOP_BYTES && stops.n < TEXT_STOPS_MAX &&
            utf8_valid((const char *)bytes, n))
            trit_assert(text_stops_add(&stops, (const char *)bytes, n));
        bytes += n + (nul != NULL);
        len -= n + (nul != NULL);
        if (n == 0)
            break;
    }
    unsigned step = fuzz_byte(&bytes, &len) % 32;
    struct buf one = {0}, many = {0};
    bool stopped = show(&stops, bytes, len, 0, &one);
    trit_assert(show(&stops, bytes, len, step, &many) == stopped);
    trit_assert(one.len == many.len && (one.len == 0 || memcmp(one.data, many.data, one.len) == 0));
    for (size_t i = 0; i < stops.n; i++)
        trit_assert(one.len == 0 || !memmem(one.data, one.len, stops.stop[i].s, stops.stop[i].len));
    buf_free(&one);
    buf_free(&many);
    text_stops_fini(&stops);
    return 0;
}
