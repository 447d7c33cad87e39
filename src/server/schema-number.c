/* SPDX-License-Identifier: MIT */
/*
 * schema-number.c - numbers between bounds, digit by digit.
 *
 * Bounds are decimal numbers, and a decimal number with at most f digits behind the point is an
 * integer times 10^-f: a point on a grid.  Everything here is a range of such integers, which fit
 * 64 bits, so bounds hold exactly.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "server/schema-parts.h"

enum {
    MAX_DIGITS = 15,     /* that a double keeps */
    USUAL_FRACTION = 6,  /* digits behind the point where bounds do not ask for more */
    MAX_MULTIPLES = 500, /* written out one by one */
};

static const int64_t pow10_of[] = {1,
                                   10,
                                   100,
                                   1000,
                                   10000,
                                   100000,
                                   1000000,
                                   10000000,
                                   100000000,
                                   1000000000,
                                   10000000000,
                                   100000000000,
                                   1000000000000,
                                   10000000000000,
                                   100000000000000,
                                   1000000000000000};

/* Points on the grid from lo to hi, `fraction` digits behind the point. */
struct grid {
    int64_t lo, hi;
    unsigned fraction;
};

/* ------------------------------------------------------------------ digits */

static void put_any_digits(struct buf *out, unsigned least, unsigned most)
{
    if (most == 0)
        return;
    buf_adds(out, "[0-9]");
    if (least == most && most > 1)
        buf_addf(out, "{%u}", most);
    else if (least != most)
        buf_addf(out, "{%u,%u}", least, most);
}

static bool all_are(const char *s, char digit)
{
    return s[strspn(s, (char[]){digit, '\0'})] == '\0';
}

/*
 * Digits from lo to hi, two texts of the same length whose last `fraction` digits stand behind the
 * point; `first`: a point is due before the next of them.  Zeros at the end are left out.
 */
static void put_range(struct buf *out, const char *lo, const char *hi, unsigned fraction,
                      bool first)
{
    size_t n = strlen(lo);
    bool behind = n <= fraction;
    if (n == 0 || (behind && all_are(hi, '0')))
        return;
    if (all_are(lo, '0') && all_are(hi, '9')) {
        unsigned whole = behind ? 0 : (unsigned)n - fraction;
        unsigned rest = behind ? (unsigned)n : fraction;
        put_any_digits(out, whole, whole);
        if (rest && (first || !behind))
            buf_addf(out, "%s(\".\" [0-9]{1,%u})?", whole ? " " : "", rest);
        else if (rest)
            put_any_digits(out, 0, rest);
        return;
    }
    /* Behind the point one may stop where only zeros would follow. */
    bool optional = behind && all_are(lo, '0');
    if (behind && first)
        buf_adds(out, optional ? "(\".\" (" : "\".\" (");
    else
        buf_adds(out, "(");
    char low = lo[0], high = hi[0];
    bool some = false;
    char nines[40], zeros[40];
    memset(nines, '9', n - 1);
    memset(zeros, '0', n - 1);
    nines[n - 1] = zeros[n - 1] = '\0';
    bool next = n - 1 == fraction; /* the point comes next */
    if (low == high) {
        buf_addf(out, "\"%c\" ", low);
        put_range(out, lo + 1, hi + 1, fraction, next);
    } else {
        bool low_full = all_are(lo + 1, '0'), high_full = all_are(hi + 1, '9');
        if (!low_full) {
            buf_addf(out, "\"%c\" ", low);
            put_range(out, lo + 1, nines, fraction, next);
            some = true;
        }
        char from = (char)(low + !low_full), to = (char)(high - !high_full);
        if (from <= to) {
            buf_addf(out, from == to ? "%s[%c] " : "%s[%c-%c] ", some ? " | " : "", from, to);
            put_range(out, zeros, nines, fraction, next);
            some = true;
        }
        if (!high_full) {
            buf_addf(out, "%s\"%c\" ", some ? " | " : "", high);
            put_range(out, zeros, hi + 1, fraction, next);
        }
    }
    buf_adds(out, optional && first ? "))?" : optional ? ")?" : ")");
}

/* Points from lo to hi, not negative. */
static void put_positive(struct buf *out, const struct grid *g, int64_t lo, int64_t hi, bool *some)
{
    int64_t from = 0;
    for (unsigned digits = 1; from <= hi && digits + g->fraction <= MAX_DIGITS + 1; digits++) {
        unsigned all = digits + g->fraction;
        int64_t to = (all > MAX_DIGITS ? 10 * pow10_of[MAX_DIGITS] : pow10_of[all]) - 1;
        int64_t a = MAX(lo, from), b = MIN(hi, to);
        if (a <= b) {
            char low[24], high[24];
            snprintf(low, sizeof low, "%0*" PRId64, (int)all, a);
            snprintf(high, sizeof high, "%0*" PRId64, (int)all, b);
            buf_adds(out, *some ? " | " : "");
            put_range(out, low, high, g->fraction, false);
            *some = true;
        }
        from = to + 1;
    }
}

static void put_grid(struct buf *out, const struct grid *g, const char *behind)
{
    bool some = false;
    buf_adds(out, "(");
    if (g->lo < 0) {
        buf_adds(out, "\"-\" (");
        put_positive(out, g, MAX(-g->hi, 1), -g->lo, &some);
        buf_adds(out, ")");
        if (*behind)
            buf_addf(out, " %s", behind);
    }
    if (g->hi >= 0) {
        int64_t from = MAX(g->lo, 0);
        if (*behind && from == 0) { /* 0 has no zeros behind it */
            buf_adds(out, some ? " | \"0\"" : "\"0\"");
            from = 1;
            some = true;
        }
        if (from <= g->hi) {
            buf_adds(out, some ? " | (" : "(");
            some = false;
            put_positive(out, g, from, g->hi, &some);
            buf_adds(out, ")");
            if (*behind)
                buf_addf(out, " %s", behind);
        }
    }
    buf_adds(out, ")");
}

/* ------------------------------------------------------------------ bounds */

/*
 * v as an integer times 10^-*fraction, from its shortest decimal form; false when that has more
 * digits than can be kept.
 */
static bool to_decimal(double v, int64_t *digits, unsigned *fraction)
{
    char text[40];
    int precision = 1;
    do
        snprintf(text, sizeof text, "%.*e", precision - 1, v);
    while (strtod(text, NULL) != v && ++precision <= MAX_DIGITS);
    if (precision > MAX_DIGITS)
        return false;
    /* d.ddde+xx */
    char *e = strchr(text, 'e');
    int exponent = atoi(e + 1);
    int64_t n = 0;
    for (const char *s = text; s < e; s++)
        if (*s >= '0' && *s <= '9')
            n = n * 10 + (*s - '0');
    if (n == 0)
        exponent = precision - 1;
    int shift = exponent - (precision - 1); /* v = n * 10^shift */
    while (shift < 0 && n % 10 == 0 && n) {
        n /= 10;
        shift++;
    }
    if (shift < -MAX_DIGITS || exponent >= MAX_DIGITS)
        return false;
    for (; shift > 0; shift--)
        n *= 10;
    *digits = v < 0 ? -n : n;
    *fraction = (unsigned)-shift;
    return true;
}

struct bounds {
    bool has_lo, has_hi;
    bool above, below; /* the bound itself is out */
    int64_t lo, hi;
    unsigned lo_fraction, hi_fraction;
    const cJSON *lo_at, *hi_at; /* schemas */
    const char *lo_word, *hi_word;
};

static int read_bound(struct work *w, const struct parts *p, bool low, struct bounds *b)
{
    const char *word = low ? "minimum" : "maximum";
    const char *strict = low ? "exclusiveMinimum" : "exclusiveMaximum";
    const cJSON *at = NULL, *strict_at = NULL;
    const cJSON *v = schema_bound(p, word, low, &at), *s = schema_bound(p, strict, low, &strict_at);
    bool out =
        s && (!v || (low ? s->valuedouble >= v->valuedouble : s->valuedouble <= v->valuedouble));
    if (out) {
        v = s;
        at = strict_at;
        word = strict;
    }
    if (!v)
        return 0;
    int64_t digits;
    unsigned fraction;
    if (!to_decimal(v->valuedouble, &digits, &fraction))
        return schema_refuse(w, at, word,
                             "the keyword \"%s\": %.17g has more digits before or behind the point "
                             "than the %d that can be kept exactly",
                             word, v->valuedouble, MAX_DIGITS);
    if (low) {
        b->has_lo = true;
        b->above = out;
        b->lo = digits;
        b->lo_fraction = fraction;
        b->lo_at = at;
        b->lo_word = word;
    } else {
        b->has_hi = true;
        b->below = out;
        b->hi = digits;
        b->hi_fraction = fraction;
        b->hi_at = at;
        b->hi_word = word;
    }
    return 0;
}

static int64_t divide_down(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && a < 0);
}

/* n * 10^-from on the grid of 10^-to: rounded up or down to it.  False: it does not fit. */
static bool regrid(int64_t n, unsigned from, unsigned to, bool up, int64_t *out)
{
    if (from > to) {
        int64_t by = pow10_of[from - to];
        *out = up ? -divide_down(-n, by) : divide_down(n, by);
        return true;
    }
    return !__builtin_mul_overflow(n, pow10_of[to - from], out) &&
           llabs(*out) < 10 * pow10_of[MAX_DIGITS];
}

/* The grid between the bounds with this many digits behind the point. */
static int make_grid(struct work *w, const struct bounds *b, unsigned fraction, struct grid *g)
{
    int64_t top = pow10_of[MAX_DIGITS] - 1;
    *g = (struct grid){.lo = -top, .hi = top, .fraction = fraction};
    bool fits = true;
    if (b->has_lo) {
        bool on = b->lo_fraction <= fraction || b->lo % pow10_of[b->lo_fraction - fraction] == 0;
        fits = regrid(b->lo, b->lo_fraction, fraction, true, &g->lo);
        g->lo += on && b->above;
    }
    if (b->has_hi && fits) {
        bool on = b->hi_fraction <= fraction || b->hi % pow10_of[b->hi_fraction - fraction] == 0;
        fits = regrid(b->hi, b->hi_fraction, fraction, false, &g->hi);
        g->hi -= on && b->below;
    }
    const cJSON *at = b->has_lo ? b->lo_at : b->hi_at;
    const char *word = b->has_lo ? b->lo_word : b->hi_word;
    if (!fits)
        return schema_refuse(
            w, at, word,
            "the keyword \"%s\": the bounds and multipleOf together have more than "
            "%d digits",
            word, MAX_DIGITS);
    if (g->lo > g->hi)
        return schema_refuse(w, at, word, "the keyword \"%s\": no number lies between the bounds",
                             word);
    return 0;
}

/* ------------------------------------------------------------------ multiples */

/* Whether n is a power of ten; which one. */
static bool is_power(int64_t n, unsigned *exponent)
{
    for (*exponent = 0; *exponent <= MAX_DIGITS; ++*exponent)
        if (n == pow10_of[*exponent])
            return true;
    return false;
}

/* Multiples of m * 10^-fraction, which is no power of ten, one by one. */
static int write_multiples(struct work *w, const cJSON *at, const struct grid *g, int64_t m,
                           struct buf *expr)
{
    int64_t first = -divide_down(-g->lo, m), last = divide_down(g->hi, m);
    if (last < first)
        return schema_refuse(w, at, "multipleOf",
                             "the keyword \"multipleOf\": no multiple lies between the bounds");
    if (last - first >= MAX_MULTIPLES)
        return schema_refuse(
            w, at, "multipleOf",
            "the keyword \"multipleOf\": besides powers of ten only supported where "
            "at most %d multiples lie between minimum and maximum",
            MAX_MULTIPLES);
    buf_adds(expr, "(");
    for (int64_t k = first; k <= last; k++) {
        int64_t n = llabs(k * m), whole = n / pow10_of[g->fraction];
        int64_t rest = n % pow10_of[g->fraction];
        buf_addf(expr, "%s\"%s%" PRId64, k == first ? "" : " | ", k < 0 ? "-" : "", whole);
        if (rest) {
            char text[24];
            int len = snprintf(text, sizeof text, "%0*" PRId64, (int)g->fraction, rest);
            while (text[len - 1] == '0')
                text[--len] = '\0';
            buf_addf(expr, ".%s", text);
        }
        buf_adds(expr, "\"");
    }
    buf_adds(expr, ")");
    return 0;
}

static int write_stepped(struct work *w, const struct bounds *b, const cJSON *v, const cJSON *at,
                         bool fractions, struct buf *expr)
{
    int64_t m;
    unsigned fraction, zeros;
    struct grid g;
    if (v->valuedouble <= 0)
        return schema_refuse(w, at, "multipleOf",
                             "the keyword \"multipleOf\": expected a number "
                             "above 0");
    if (!to_decimal(v->valuedouble, &m, &fraction))
        return schema_refuse(w, at, "multipleOf",
                             "the keyword \"multipleOf\": %.17g cannot be kept exactly",
                             v->valuedouble);
    /* An integer that is a multiple of 0.5 is any integer; of 1.5 it is one of 3. */
    while (!fractions && fraction) {
        int64_t by = pow10_of[fraction], a = m, c = by;
        while (c) {
            int64_t r = a % c;
            a = c;
            c = r;
        }
        m /= a; /* m / gcd(m, 10^f) is the smallest integer among the multiples */
        fraction = 0;
    }
    int rc = make_grid(w, b, fraction, &g);
    if (rc)
        return rc;
    if (!is_power(m, &zeros))
        return write_multiples(w, at, &g, m, expr);
    /* m = 10^zeros, and fraction 0 if zeros are above 0 */
    g.lo = -divide_down(-g.lo, m);
    g.hi = divide_down(g.hi, m);
    if (g.lo > g.hi)
        return schema_refuse(w, at, "multipleOf",
                             "the keyword \"multipleOf\": no multiple lies between the bounds");
    char behind[24] = "";
    if (zeros)
        snprintf(behind, sizeof behind, "\"%0*d\"", (int)zeros, 0);
    put_grid(expr, &g, behind);
    return 0;
}

int schema_write_number(struct work *w, const struct parts *p, bool fractions, struct buf *expr)
{
    struct bounds b = {0};
    struct grid g;
    const cJSON *at = NULL, *step = NULL;
    unsigned n_steps = 0;
    for (unsigned i = 0; i < p->n; i++) {
        const cJSON *v = schema_get(p->part[i].schema, "multipleOf");
        if (v && step && v->valuedouble == step->valuedouble)
            continue;
        if (v) {
            step = v;
            at = p->part[i].schema;
            n_steps++;
        }
    }
    if (n_steps > 1)
        return schema_refuse(w, at, "multipleOf",
                             "the keyword \"multipleOf\" holds twice for one value");
    int rc = read_bound(w, p, true, &b);
    if (rc == 0)
        rc = read_bound(w, p, false, &b);
    if (rc == 0 && step)
        return write_stepped(w, &b, step, at, fractions, expr);
    if (rc || (!b.has_lo && !b.has_hi)) {
        buf_addf(expr, "%s-%s", w->prefix, fractions ? "number" : "integer");
        *(fractions ? &w->number : &w->integer) = true;
        return rc;
    }
    unsigned fraction = 0;
    if (fractions) {
        fraction = MAX(b.lo_fraction, b.hi_fraction);
        /* As many more as leave room for the digits before the point; without the other bound a
         * number may have all of those there are. */
        int64_t top = MAX(b.has_lo ? llabs(b.lo) / pow10_of[b.lo_fraction] : 0,
                          b.has_hi ? llabs(b.hi) / pow10_of[b.hi_fraction] : 0);
        unsigned whole = 1;
        while (whole < MAX_DIGITS && top >= pow10_of[whole])
            whole++;
        unsigned room = MAX_DIGITS - whole;
        fraction = MAX(fraction, MIN(room, (unsigned)USUAL_FRACTION));
    }
    rc = make_grid(w, &b, fraction, &g);
    if (rc == 0)
        put_grid(expr, &g, "");
    return rc;
}
