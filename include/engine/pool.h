/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the memory of the KV pool: anonymous and gone with the process, or a memfd that the next
 * process can have.
 *
 * A memfd holds a header, the memory of the prefix index (engine/prefix.h) and the pages.  Nothing
 * in it is a pointer.  The header says all that keys and values depend on besides the tokens: the
 * model, how its tables are kept, how many bits activations have, the version of the program, and
 * how pages are cut.  Whoever differs in any of it begins anew.  The version, because another one
 * may round differently, and an answer must not depend on what was cached by whom.
 *
 * It is sealed against changes of its size, so no descriptor of it that is somewhere else can make
 * us die of SIGBUS.  One process uses it at a time: a record lock of fcntl(2), which belongs to the
 * process and not to the descriptor, and goes with it however it ends.
 */
#ifndef TRIT_POOL_H
#define TRIT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trit_error;

/* What must be equal for pages to be of use.  No holes: it is compared as bytes. */
struct pool_key {
    uint8_t model[32]; /* digest of the file */
    char program[28];  /* version */
    uint32_t tables;   /* enum table_type */
    uint32_t planes;   /* acts_planes: linear layers round what goes into keys and values */
    uint32_t kv_type;  /* enum kv_type */
    uint32_t page_tokens;
    uint32_t n_pages;
    uint64_t page_bytes;
    uint64_t reading; /* gguf_reading_sum: what the file does not tell of its weights */
};

_Static_assert(sizeof(struct pool_key) == 32 + 28 + 5 * 4 + 2 * 8, "no holes");

enum { POOL_SECRET_BYTES = 32 };

struct pool {
    int fd; /* of the memfd; -1: anonymous */
    /* POOL_SECRET_BYTES random bytes that last as long as the memfd and are nowhere else, for
     * whoever makes tenants of names; NULL in anonymous memory. */
    const uint8_t *secret;
    bool inherited;
    uint8_t *pages; /* [n_pages * page_bytes] */
    size_t pages_bytes;
    void *index; /* index_bytes, aligned to 8; NULL in anonymous memory */
    uint8_t *map;
    size_t map_bytes;
    uint8_t *extents; /* of map: 1 for each that pool_prepare has seen; NULL: it does nothing */
};

enum { POOL_ANONYMOUS = -2, POOL_NEW = -1 };

/*
 * fd: POOL_ANONYMOUS; POOL_NEW for a new memfd; or one that another process has left, which is
 * taken over if it fits (p->inherited), or else closed, the log says why, and a new one made. Takes
 * fd, also on failure: -TRIT_ENOMEM.  What is new is zeroed.
 */
int pool_open(const struct pool_key *key, size_t index_bytes, int fd, struct pool *p,
              struct trit_error *err);

/*
 * Bytes [at, at + bytes) of the pages are about to be written, perhaps for the first time: have
 * them in huge pages.  tmpfs gives none by itself, and attention over a long context took a quarter
 * more time without.  An extent costs what its faults would have cost.
 */
void pool_prepare(struct pool *p, size_t at, size_t bytes);

/* Also a zeroed one, or a second time.  The memfd lives on for those who have it too. */
void pool_close(struct pool *p);

#endif
