/* SPDX-License-Identifier: MIT */
/*
 * crew.c - a team with a turnstile in front of it.
 */
#include "config.h"
#include "engine/crew.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/team.h"

int crew_open(struct crew **out, unsigned n, unsigned room, bool pin, struct trit_error *err)
{
    *out = NULL;
    struct crew *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the workers");
    int rc = team_open_room(&c->team, n, MAX(room, n), pin, err);
    if (rc) {
        mem_free(c);
        return rc;
    }
    turn_init(&c->turn);
    c->pin = pin;
    c->size = c->asked = n;
    atomic_store(&c->wanted, n);
    *out = c;
    return 0;
}

void crew_close(struct crew **crew)
{
    struct crew *c = *crew;
    if (!c)
        return;
    *crew = NULL;
    turn_fini(&c->turn);
    team_close(&c->team);
    mem_free(c);
}

void crew_set_threads(struct crew *c, unsigned n)
{
    trit_assert(n >= 1 && n <= team_room(c->team));
    atomic_store(&c->wanted, n);
}

bool crew_unsettled(const struct crew *c, unsigned seen)
{
    return atomic_load(&c->wanted) != seen;
}

unsigned crew_settle(struct crew *c, unsigned *seen)
{
    unsigned wanted = atomic_load(&c->wanted);
    if (wanted == *seen)
        return c->size;
    /* With fewer, because threads cannot be had, all goes on more slowly. */
    if (wanted != c->asked)
        c->size = team_resize(c->team, wanted);
    c->asked = wanted;
    if (c->pin)
        team_bind(c->team);
    *seen = wanted;
    return c->size;
}
