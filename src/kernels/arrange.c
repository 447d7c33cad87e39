/* SPDX-License-Identifier: MIT */
/*
 * arrange.c - inputs in the order in which a layer has its columns.
 *
 * One body serves every machine: nothing is computed.
 */
#include "config.h"
#include "kernels/kernels.h"

void kernels_arrange(float *y, const float *x, const uint8_t *order, size_t n)
{
    trit_assert(n % BILLM_BLOCK == 0);
    for (size_t g = 0; g < n; g += BILLM_BLOCK)
        for (size_t i = g; i < g + BILLM_BLOCK; i++)
            y[i] = x[g + order[i]];
}
