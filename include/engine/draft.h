/* SPDX-License-Identifier: MIT */
/*
 * draft.h - guessing the next tokens of an answer from the text itself, to check several in one
 * step.
 *
 * Prompt look-up decoding: where the last few tokens stood before, what followed them then may
 * follow again: in answers that quote, edit, extract or repeat.  The guesses run as further rows of
 * the same step.  The token at each position is chosen from logits and a random number that depend
 * on the position alone, so a guess that equals the chosen token has saved a step, and any other is
 * thrown away; the answer is the same, bit for bit, and only faster.
 *
 * A row more costs little in a small batch and nothing comes of it when the guess is wrong, so each
 * sequence is asked for as many as it has lately got right.
 */
#ifndef TRIT_DRAFT_H
#define TRIT_DRAFT_H

#include <stdint.h>

struct seq;

/* How a sequence's guesses have been doing.  Zeroed: not tried yet. */
struct draft {
    uint32_t length; /* to guess the next time; 0: as at the beginning */
    uint32_t pause;  /* steps to go without */
    uint32_t misses; /* in a row */
};

/*
 * Guess at most max (<= SEQ_DRAFT_MAX) tokens that follow the text of s into token[]; returns how
 * many.  0 for texts that do not repeat, and for some steps after wrong guesses.
 */
uint32_t draft_guess(struct seq *s, uint32_t max, int32_t *token);

/* Of n guesses, n_right were what was chosen. */
void draft_learn(struct draft *d, uint32_t n, uint32_t n_right);

#endif
