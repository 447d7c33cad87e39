/* SPDX-License-Identifier: MIT */
/*
 * quant-private.h - the sizes of blocks, shared by the readers (quant.c) and writers
 * (quant-write.c) of tensor encodings.
 */
#ifndef TRIT_QUANT_PRIVATE_H
#define TRIT_QUANT_PRIVATE_H

enum {
    QK = 256,             /* values in a block of the K and T families */
    Q8_VALUES = 32,       /* and of Q8_0 and Q4_0 */
    TQ1_BYTES = 54,       /* qs[48], qh[4], f16 scale */
    TQ2_BYTES = 66,       /* qs[64], f16 scale */
    Q6_K_BYTES = 210,     /* ql[128], qh[64], i8 scales[16], f16 scale */
    Q4_K_BYTES = 144,     /* f16 scale, f16 min scale, packed scales[12], qs[128] */
    Q8_0_BYTES = 34,      /* f16 scale, qs[32] */
    Q4_0_BYTES = 18,      /* f16 scale, qs[16] */
    I2S_VALUES = 128,     /* an I2_S block: 32 bytes, four planes of 32 values */
    I2S_BLOCK_BYTES = 32, /* so many code bytes a block, and so many behind the last one */
    Q2_VALUES = 64,       /* Q2_0 of ggml: f16 scale, qs[16] */
    Q2_BYTES = 18,
    PRISM_VALUES = 128, /* what PrismML writes: */
    Q1_BYTES = 18,      /* Q1_0: f16 scale, qs[16], a bit a value */
    PQ2_BYTES = 34,     /* PQ2_0, also under the id of Q2_0: f16 scale, qs[32] */
    BN_VALUES = 64, /* IQ1_BN and IQ2_BN: */
    IQ1_BYTES = 13,
    IQ2_BYTES = 16,
    TL_SCALE_BYTES = 32, /* TL1, TL2: f32 scale behind the codes, and padding */
    PTQ1_BYTES = 28,    /* PTQ1_0: qs[24], qh[2], f16 scale */
};

#endif
