/* SPDX-License-Identifier: MIT */
/*
 * kcheck.c - conformance of every kernel variant this CPU can run.
 *
 * Scalar is held to plain arithmetic, every other variant to scalar, bit for bit.  Data are random;
 * the seed is printed, and TRIT_SEED in the environment sets it.  Prints a line for each operation
 * of each variant and exits with 1 when any comparison failed.
 */
#include "config.h"
#include "kcheck.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/base.h"

enum {
    PATTERN = 0xa5,
    MAX_REGIONS = 32,
    MAX_COMPLAINTS = 5, /* of one part; the rest are counted */
};

const struct kernels *kc_scalar;

static uint64_t random_state;
static char case_text[256];
static unsigned long n_cases, n_failures, n_complaints;

/* splitmix64 (Steele, Lea, Flood 2014): one state word, passes what a test needs. */
static uint64_t random_u64(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint32_t kc_below(uint32_t n)
{
    return (uint32_t)((random_u64() >> 32) * n >> 32);
}

float kc_unit(void)
{
    return (float)((double)(int64_t)random_u64() * 0x1p-63);
}

float kc_wild(void)
{
    static const float special[] = {0.0f,      -0.0f,     1.0f,     -1.0f,   INFINITY,
                                    -INFINITY, 0x1p-149f, 0x1p-24f, 65519.f, 65520.f};
    uint32_t dice = kc_below(16);
    if (dice == 0)
        return special[kc_below(ARRAY_LEN(special))];
    if (dice < 8)
        return kc_unit();
    return ldexpf(kc_unit(), (int)kc_below(80) - 50);
}

void kc_fill_unit(float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = kc_unit() * scale;
}

void kc_fill_bytes(void *p, size_t n)
{
    uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)random_u64();
}

void kc_case(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(case_text, sizeof case_text, fmt, ap);
    va_end(ap);
    n_cases++;
}

void kc_fail(const char *fmt, ...)
{
    n_failures++;
    if (++n_complaints > MAX_COMPLAINTS)
        return;
    va_list ap;
    va_start(ap, fmt);
    printf("    in case \"%s\": ", case_text);
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

/* base .. data .. data + bytes .. end, and behind end a page without access. */
static struct region {
    uint8_t *base, *data, *end;
    size_t bytes, mapped;
} regions[MAX_REGIONS];
static unsigned n_regions;

void *kc_new(size_t bytes, size_t align)
{
    trit_assert(n_regions < MAX_REGIONS);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = round_up(bytes + 256, page);
    struct region *r = &regions[n_regions++];
    r->bytes = bytes;
    r->mapped = usable + page;
    r->base = mmap(NULL, r->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    trit_assert(r->base != MAP_FAILED);
    r->end = r->base + usable;
    trit_assert(mprotect(r->end, page, PROT_NONE) == 0);
    r->data = r->base + (usable - bytes) / align * align;
    memset(r->base, PATTERN, usable);
    return r->data;
}

static void check_pattern(const uint8_t *from, const uint8_t *to, const struct region *r)
{
    for (const uint8_t *p = from; p < to; p++)
        if (*p != PATTERN) {
            kc_fail("wrote at offset %td of %zu bytes", p - r->data, r->bytes);
            return;
        }
}

void kc_end(void)
{
    for (unsigned i = 0; i < n_regions; i++) {
        struct region *r = &regions[i];
        check_pattern(r->base, r->data, r);
        check_pattern(r->data + r->bytes, r->end, r);
        trit_assert(munmap(r->base, r->mapped) == 0);
    }
    n_regions = 0;
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

void kc_same_floats(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bits_of(got[i]) != bits_of(want[i]) && !(isnan(got[i]) && isnan(want[i]))) {
            kc_fail("%s[%zu] is %a, scalar says %a", what, i, (double)got[i], (double)want[i]);
            return;
        }
}

void kc_same_bytes(const char *what, const void *got, const void *want, size_t n)
{
    const uint8_t *a = got, *b = want;
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) {
            kc_fail("byte %zu of %s is %d, scalar says %d", i, what, a[i], b[i]);
            return;
        }
}

void kc_near(const char *what, size_t at, double got, double want, double slack)
{
    if (fabs(got - want) <= slack || (isnan(got) && isnan(want)) || got == want)
        return;
    kc_fail("%s[%zu] is %.9g, expected %.9g within %.3g", what, at, got, want, slack);
}

double kc_ulps(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1.0, MAX(exponent, -125) - 24);
}

static const struct {
    const char *name;
    kc_part_fn run;
} parts[] = {
    {"quantise", kc_quantise},
    {"ternary", kc_ternary},
    {"signs", kc_signs},
    {"billm", kc_billm},
    {"arrange", kc_arrange},
    {"layernorm", kc_layernorm},
    {"head_f16", kc_head_f16},
    {"head_q8", kc_head_q8},
    {"head_coarse", kc_head_coarse},
    {"head_split", kc_head_split},
    {"rmsnorm", kc_rmsnorm},
    {"glu", kc_glu},
    {"add", kc_add},
    {"rope", kc_rope},
    {"to_f16", kc_to_f16},
    {"exp_shift", kc_exp_shift},
    {"argmax", kc_argmax},
    {"delta", kc_delta},
    {"convolve", kc_convolve},
    {"rotate", kc_rotate},
    {"to_q8", kc_to_q8},
    {"attend", kc_attend},
    {"attend_merge", kc_attend_merge},
};

/* Each part starts from the seed, so that it can be repeated without those before it. */
static void run_part(size_t i, const struct kernels *k, uint64_t seed)
{
    unsigned long failures = n_failures;
    n_cases = n_complaints = 0;
    random_state = seed;
    fflush(stdout);
    parts[i].run(k);
    trit_assert(n_regions == 0 && n_cases > 0);
    if (n_failures == failures)
        printf("ok    %-10s %-12s %5lu cases\n", k->name, parts[i].name, n_cases);
    else
        printf("FAIL  %-10s %-12s %lu failures\n", k->name, parts[i].name, n_failures - failures);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL; /* the name of one operation */
    const char *text = getenv("TRIT_SEED");
    uint64_t seed = 0;
    if (text && *text)
        seed = strtoull(text, NULL, 0);
    else
        trit_assert(getrandom(&seed, 4, 0) == 4);
    printf("kcheck: TRIT_SEED=%llu\n", (unsigned long long)seed);

    uint32_t cpu = kernels_cpu_detect();
    kc_scalar = kernels_at(0);
    trit_assert(kc_scalar->cpu == 0 && kernels_pick(0) == kc_scalar);
    for (size_t v = 0; kernels_at(v); v++) {
        const struct kernels *k = kernels_at(v);
        if (k->cpu & ~cpu) {
            printf("skip  %-10s this CPU lacks features 0x%x of the 0x%x it needs\n", k->name,
                   (unsigned)(k->cpu & ~cpu), (unsigned)k->cpu);
            continue;
        }
        if (kernels_pick(k->cpu) != k)
            printf("note  %-10s is never picked\n", k->name);
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            if (!only || strcmp(only, parts[i].name) == 0)
                run_part(i, k, seed);
    }
    if (n_failures)
        printf("kcheck: %lu failures, repeat with TRIT_SEED=%llu\n", n_failures,
               (unsigned long long)seed);
    return n_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
