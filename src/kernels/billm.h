/* SPDX-License-Identifier: MIT */
/*
 * billm.h - what the vector variants of BiLLM's product share: the sums of a group, and what they
 * count.  kernels.h and scalar_signs.c say what is computed.
 *
 * A file that includes it has said before what a register is: `billm_floats`, a float for each of
 * some rows, a type that has operators, and billm_fma(a, b, c), a * b + c rounded once.
 */
#ifndef TRIT_KERNELS_BILLM_H
#define TRIT_KERNELS_BILLM_H

#include "kernels/inline.h"
#include "kernels/kernels.h"

/*
 * A kind of column, and the three sums that it has in a group: of the salient ones all of them (U),
 * the first bit (E), the second bit (F); of the others the first bit (A), the second bit (B), both
 * (AB).
 */
enum billm_kind { BILLM_SALIENT, BILLM_OTHERS };
enum { BILLM_SUMS = 3 };

/* What the salient columns of a group give by their sums; and the others if they had no bits, of
 * which the activations add up to what U leaves of all.  These are integers that a float has
 * exactly, and so is their difference. */
INLINE billm_floats billm_salient(const billm_floats m[BILLM_LEVELS],
                                  const billm_floats sum[BILLM_SUMS], billm_floats all)
{
    billm_floats v = ((m[4] - m[5]) - m[6]) * sum[0];
    v = billm_fma(m[5] + m[5], sum[1], v);
    v = billm_fma(m[6] + m[6], sum[2], v);
    return billm_fma(m[0] - m[1], all - sum[0], v);
}

/* v, and what the bits of the others give. */
INLINE billm_floats billm_others(billm_floats v, const billm_floats m[BILLM_LEVELS],
                                 const billm_floats sum[BILLM_SUMS])
{
    const billm_floats small = m[0] - m[1], large = m[2] - m[3], wider = m[3] - m[1];
    v = billm_fma(m[1] + m[1], sum[0], v);
    v = billm_fma(large - small, sum[1], v);
    return billm_fma(wider + wider, sum[2], v);
}

#endif
