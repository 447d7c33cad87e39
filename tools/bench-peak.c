/* SPDX-License-Identifier: MIT */
/*
 * bench-peak.c - what the multipliers could do if nothing had to be fetched or unpacked.
 *
 * Loops of the one instruction that a kernel is built on, with enough sums in flight that its
 * latency does not show.  Operands come from the first cache, as they do in a kernel: tiles that
 * are loaded once or were zeroed are multiplied faster, and no kernel could have that.  The loops
 * are compiled for their instruction set whatever the build is for, and called only where
 * kernels_cpu_detect() has found it.
 */
#include "config.h"
#include "bench.h"

#include "base/base.h"
#include "base/team.h"
#include "kernels/kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

enum {
    ROUNDS = 1 << 22, /* some tens of milliseconds */
    DOT_SUMS = 16,
    DOT_MACS = 64,            /* of a vpdpbusd */
    TILE_SUMS = 4,            /* tiles */
    TILE_STEPS = 8,           /* of 64 inputs, 32 KiB of operands on both sides */
    TILE_MACS = 16 * 16 * 64, /* of a tdpbssd */
    TILE_ROUNDS = ROUNDS / 64 / TILE_STEPS,
};

/* In assembler, because compilers like to copy a sum before they add to it. */
__attribute__((target("avx512f,avx512vnni"))) static void dot_run(void *ctx, unsigned worker)
{
    (void)ctx;
    __m512i sum[DOT_SUMS], codes = _mm512_set1_epi8((char)(worker + 1));
#pragma GCC unroll 16
    for (unsigned i = 0; i < DOT_SUMS; i++)
        sum[i] = codes;
    for (unsigned n = 0; n < ROUNDS; n++)
#pragma GCC unroll 16
        for (unsigned i = 0; i < DOT_SUMS; i++)
            __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sum[i]) : "v"(codes));
}

__attribute__((target("amx-tile,amx-int8"))) static void tile_run(void *ctx, unsigned worker)
{
    (void)ctx;
    (void)worker;
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (unsigned i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    _Alignas(64) int8_t operand[TILE_STEPS][TILE_SUMS][16 * 64];
    for (size_t i = 0; i < sizeof operand; i++)
        (&operand[0][0][0])[i] = (int8_t)(i * 40503u >> 8);
    _tile_loadconfig(&config);
    for (unsigned n = 0; n < TILE_ROUNDS; n++)
        for (unsigned i = 0; i < TILE_STEPS; i++) {
            _tile_loadd(4, operand[i][0], 64);
            _tile_loadd(6, operand[i][1], 64);
            _tile_dpbssd(0, 4, 6);
            _tile_loadd(7, operand[i][2], 64);
            _tile_dpbssd(1, 4, 7);
            _tile_loadd(5, operand[i][3], 64);
            _tile_dpbssd(2, 5, 6);
            _tile_dpbssd(3, 5, 7);
        }
    _tile_release();
}

static double peak(unsigned threads, unsigned repeat, team_fn run, double macs)
{
    struct team *team;
    struct bench_samples samples = {0};
    if (team_open(&team, threads, false, NULL) != 0)
        return 0;
    for (unsigned i = 0; i <= repeat; i++) {
        double start = trit_now();
        team_run(team, run, NULL);
        if (i > 0) /* The first round warms up. */
            bench_sample(&samples, macs * threads / (trit_now() - start));
    }
    team_close(&team);
    return bench_median(&samples);
}

double bench_peak_dot(unsigned threads, unsigned repeat)
{
    if (!(kernels_cpu_detect() & CPU_AVX512_VNNI))
        return 0;
    return peak(threads, repeat, dot_run, (double)ROUNDS * DOT_SUMS * DOT_MACS);
}

double bench_peak_tiles(unsigned threads, unsigned repeat)
{
    if (!(kernels_cpu_detect() & CPU_AMX_INT8))
        return 0;
    return peak(threads, repeat, tile_run,
                (double)TILE_ROUNDS * TILE_STEPS * TILE_SUMS * TILE_MACS);
}

#else

double bench_peak_dot(unsigned threads, unsigned repeat)
{
    (void)threads;
    (void)repeat;
    return 0;
}

double bench_peak_tiles(unsigned threads, unsigned repeat)
{
    return bench_peak_dot(threads, repeat);
}

#endif
