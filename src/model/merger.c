/* SPDX-License-Identifier: MIT */
/*
 * merger.c - joins neighbouring symbols, best pair first, until no pair can be joined.
 *
 * The core of all forms of byte pair encoding (Sennrich et al., arXiv 1508.07909): of all
 * neighbours that may be joined, the pair with the lowest rank is joined, the leftmost of equals.
 * What may be joined, and with which rank, the model's own function says.
 *
 * The order is kept by a heap of (rank, position); an entry whose pair has changed meanwhile is
 * recognised when it comes up and dropped.  So n symbols cost O(n log n), also when a client sends
 * four megabytes without a space.
 */
#include "config.h"
#include "model/tokenizer-parts.h"

#include "base/base.h"
#include "base/mem.h"

void merger_free(struct merger *m)
{
    mem_free(m->sym);
    mem_free(m->heap);
    m->sym = NULL;
    m->heap = NULL;
    m->cap = 0;
}

bool merger_reserve(struct merger *m, size_t n)
{
    if (n <= m->cap)
        return true;
    size_t cap = MAX(MAX(n, 2 * m->cap), (size_t)64);
    merger_free(m);
    m->sym = mem_resize(NULL, cap, sizeof *m->sym);
    m->heap = mem_resize(NULL, 2 * cap, sizeof *m->heap);
    if (!m->sym || !m->heap)
        return false;
    m->cap = cap;
    return true;
}

static void sift_down(struct merger *m, size_t at)
{
    uint64_t entry = m->heap[at];
    for (size_t child; (child = 2 * at + 1) < m->n_heap; at = child) {
        if (child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child])
            child++;
        if (m->heap[child] >= entry)
            break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = entry;
}

/* The entry for the symbol at `at` and its right neighbour, if they may be joined, and to what. */
static bool entry_of(const struct merger *m, uint32_t at, uint64_t *entry, uint32_t *id)
{
    uint32_t rank;
    if (at == MERGER_NONE || m->sym[at].next == MERGER_NONE || !m->pair(m, at, &rank, id))
        return false;
    *entry = (uint64_t)rank << 32 | at;
    return true;
}

/*
 * A join takes one entry and adds at most two, and there are fewer joins than symbols: twice the
 * symbols is room enough.
 */
static void push(struct merger *m, uint32_t at)
{
    uint64_t entry;
    uint32_t id;
    if (!entry_of(m, at, &entry, &id))
        return;
    size_t i = m->n_heap++;
    for (size_t up; i > 0 && m->heap[up = (i - 1) / 2] > entry; i = up)
        m->heap[i] = m->heap[up];
    m->heap[i] = entry;
}

/* Join the symbol at `at` with its right neighbour. */
static void join(struct merger *m, uint32_t at, uint32_t id)
{
    struct merger_symbol *left = &m->sym[at], *right = &m->sym[left->next];
    left->id = id;
    left->next = right->next;
    right->id = MERGER_NONE;
    if (left->next != MERGER_NONE)
        m->sym[left->next].prev = at;
    push(m, left->prev);
    push(m, at);
}

void merger_run(struct merger *m, uint32_t n)
{
    uint64_t entry;
    uint32_t id;
    m->n_heap = 0;
    for (uint32_t i = 0; i < n; i++) {
        m->sym[i].prev = i ? i - 1 : MERGER_NONE;
        m->sym[i].next = i + 1 < n ? i + 1 : MERGER_NONE;
    }
    for (uint32_t i = 0; i < n; i++)
        if (entry_of(m, i, &entry, &id))
            m->heap[m->n_heap++] = entry;
    for (size_t i = m->n_heap / 2; i > 0; i--)
        sift_down(m, i - 1);
    while (m->n_heap > 0) {
        uint64_t top = m->heap[0];
        uint32_t at = (uint32_t)top;
        m->heap[0] = m->heap[--m->n_heap];
        if (m->n_heap > 0)
            sift_down(m, 0);
        if (m->sym[at].id != MERGER_NONE && entry_of(m, at, &entry, &id) && entry == top)
            join(m, at, id);
    }
}
