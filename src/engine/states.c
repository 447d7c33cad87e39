/* SPDX-License-Identifier: MIT */
/*
 * states.c - a stack of free slots over one mapping.
 */
#include "config.h"
#include "engine/states.h"

#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "model/model.h"

struct states {
    uint8_t *memory;
    size_t slot_bytes, layer_floats, past_floats, matrix_floats;
    uint32_t n, n_free;
    uint32_t *free_list; /* [n], a stack */
};

/* Floats, padded so that matrices begin with a line. */
static size_t past_floats(const struct hparams_delta *d)
{
    return round_up((size_t)(d->conv - 1) * (2 * d->k_heads + d->v_heads) * d->head_dim, 16);
}

static size_t layer_floats(const struct hparams_delta *d)
{
    return past_floats(d) + (size_t)d->v_heads * d->head_dim * d->head_dim;
}

size_t states_slot_bytes(const struct model *m)
{
    const struct hparams_delta *d = &m->hp.delta;
    return d->n_layers ? d->n_layers * layer_floats(d) * sizeof(float) : 0;
}

int states_open(const struct model *m, uint32_t n, struct states **out, struct trit_error *err)
{
    const struct hparams_delta *d = &m->hp.delta;
    *out = NULL;
    trit_assert(n >= 1 && d->n_layers >= 1);
    struct states *s = mem_zalloc(1, sizeof *s);
    if (!s)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the states of sequences");
    *s = (struct states){.slot_bytes = states_slot_bytes(m),
                         .layer_floats = layer_floats(d),
                         .past_floats = past_floats(d),
                         .matrix_floats = (size_t)d->head_dim * d->head_dim,
                         .n = n};
    size_t bytes;
    bool fits = !__builtin_mul_overflow(s->slot_bytes, (size_t)n, &bytes);
    s->memory = fits ? mem_map(bytes) : NULL;
    s->free_list = mem_zalloc(n, sizeof *s->free_list);
    if (!s->memory || !s->free_list) {
        size_t each = s->slot_bytes;
        states_close(&s);
        return trit_fail(err, TRIT_ENOMEM,
                         "no memory for the states of %u sequences, %zu bytes each", n, each);
    }
    /* Low slots on top: few sequences need little memory. */
    while (s->n_free < n) {
        s->free_list[s->n_free] = n - 1 - s->n_free;
        s->n_free++;
    }
    *out = s;
    return 0;
}

void states_close(struct states **s)
{
    if (!*s)
        return;
    mem_unmap((*s)->memory, states_bytes(*s));
    mem_free((*s)->free_list);
    mem_free(*s);
    *s = NULL;
}

size_t states_bytes(const struct states *s)
{
    return s->n * s->slot_bytes;
}

bool states_take(struct states *s, uint32_t *slot)
{
    if (s->n_free == 0)
        return false;
    *slot = s->free_list[--s->n_free];
    return true;
}

void states_give(struct states *s, uint32_t slot)
{
    trit_assert(slot < s->n && s->n_free < s->n);
    s->free_list[s->n_free++] = slot;
}

uint32_t states_free(const struct states *s)
{
    return s->n_free;
}

void states_copy(struct states *s, uint32_t to, uint32_t from)
{
    trit_assert(to < s->n && from < s->n && to != from);
    memcpy(s->memory + to * s->slot_bytes, s->memory + from * s->slot_bytes, s->slot_bytes);
}

float *states_past(const struct states *s, uint32_t slot, uint32_t layer)
{
    trit_assert(slot < s->n && (layer + 1) * s->layer_floats * sizeof(float) <= s->slot_bytes);
    return (float *)(void *)(s->memory + slot * s->slot_bytes) + layer * s->layer_floats;
}

float *states_matrix(const struct states *s, uint32_t slot, uint32_t layer, uint32_t head)
{
    return states_past(s, slot, layer) + s->past_floats + head * s->matrix_floats;
}
