/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - which kernels this machine can run: a ladder, climbed once at start.
 *
 * This file and scalar.c are built for the plainest CPU of the family; only what stands behind a
 * vtable is not, and a vtable is reached only when its features were detected.
 */
#include "config.h"
#include "kernels/kernels.h"

#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/base.h"
#include "kernels/variants.h"

/* Best last: kernels_pick takes the last one that may run. */
static const struct kernels *const ladder[] = {
    &kernels_scalar,
#ifdef __x86_64__
    &kernels_avx2,   &kernels_avx512, &kernels_avx512vbmi, &kernels_amx,
#endif
#ifdef __aarch64__
    &kernels_neon,
#endif
};

#ifdef __x86_64__
/* Register sets that the operating system saves at a task switch: bits of XCR0. */
static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has(uint32_t reg, uint32_t bits)
{
    return (reg & bits) == bits;
}

/* Linux lets a process use the tiles when it asks (Documentation/arch/x86/xstate.rst).  Asking
 * again is harmless; threads inherit the answer. */
static bool tiles_permitted(void)
{
    const long request_xcomp_perm = 0x1023, xtiledata = 18;
    return syscall(SYS_arch_prctl, request_xcomp_perm, xtiledata) == 0;
}

/* Intel SDM volume 2A, CPUID; volume 1, 13.3 (which bits of XCR0 each register set needs). */
static uint32_t detect(void)
{
    const uint64_t xmm_ymm = 0x6, opmask_zmm = 0xe0, tiles = 0x60000;
    const uint32_t amx_tile = 1 << 24, amx_int8 = 1 << 25; /* of EDX */
    uint32_t a, b, c, d, cpu = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C))
        return 0;
    uint64_t saved = saved_registers();
    if ((saved & xmm_ymm) != xmm_ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
        !has(b, bit_AVX2))
        return 0;
    cpu |= CPU_AVX2;
    if ((saved & opmask_zmm) != opmask_zmm ||
        !has(b, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL))
        return cpu;
    cpu |= CPU_AVX512;
    if (has(c, bit_AVX512VNNI))
        cpu |= CPU_AVX512_VNNI;
    if (has(c, bit_AVX512VBMI))
        cpu |= CPU_AVX512_VBMI;
    if (has(d, amx_tile | amx_int8) && (saved & tiles) == tiles && tiles_permitted())
        cpu |= CPU_AMX_INT8;
    return cpu;
}
#elif defined(__aarch64__)
static uint32_t detect(void)
{
    const unsigned long needed = HWCAP_ASIMDDP | HWCAP_ASIMDHP | HWCAP_FPHP;
    return (getauxval(AT_HWCAP) & needed) == needed ? CPU_NEON_DOTPROD : 0;
}
#else
static uint32_t detect(void)
{
    return 0;
}
#endif

uint32_t kernels_cpu_detect(void)
{
    return detect();
}

const struct kernels *kernels_at(size_t i)
{
    return i < ARRAY_LEN(ladder) ? ladder[i] : NULL;
}

const struct kernels *kernels_pick(uint32_t mask)
{
    const struct kernels *best = ladder[0];
    for (size_t i = 1; i < ARRAY_LEN(ladder); i++)
        if ((ladder[i]->cpu & ~mask) == 0)
            best = ladder[i];
    return best;
}

int kernels_mask_parse(const char *word, uint32_t *mask, struct trit_error *err)
{
    /* What a word needs, and what it may use where it is there. */
    static const struct {
        const char *word;
        uint32_t needs, may;
    } words[] = {
        {"auto", 0, UINT32_MAX},
        {"scalar", 0, 0},
        {"avx2", CPU_AVX2, CPU_AVX2},
        {"avx512", CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI,
         CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI},
        {"amx", CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8,
         CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_VBMI | CPU_AMX_INT8},
        {"neon", CPU_NEON_DOTPROD, CPU_NEON_DOTPROD},
    };
    uint32_t cpu = kernels_cpu_detect();
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i].word) != 0)
            continue;
        if (words[i].needs & ~cpu)
            return trit_fail(err, TRIT_EUNSUPP,
                             "cpu: found \"%s\", but this machine has no more than \"%s\"", word,
                             kernels_pick(cpu)->name);
        *mask = words[i].may & cpu;
        return 0;
    }
    return trit_fail(err, TRIT_EINVAL,
                     "cpu: found \"%s\", expected auto, scalar, avx2, avx512, amx or neon", word);
}
