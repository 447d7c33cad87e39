/* SPDX-License-Identifier: MIT */
/*
 * rapl.h - how much energy the processor packages have used, as Linux's powercap tells it.
 *
 * <root>/intel-rapl:N/ has `name` ("package-0"), `energy_uj`, a counter in microjoules, and
 * `max_energy_range_uj`, where that begins again.  AMD's packages have the same names.  Since
 * CVE-2020-8694 only root may read the counter unless the operator says otherwise, and virtual
 * machines have none: what cannot be read is not there, and never 0.
 *
 * Source: Documentation/power/powercap/powercap.rst of the kernel.
 */
#ifndef TRIT_RAPL_H
#define TRIT_RAPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAPL_ZONES = 16, RAPL_SECONDS = 60 }; /* read at least so often: a wrap takes longer */

struct rapl_zone {
    unsigned package;
    char path[256]; /* of energy_uj */
    uint64_t range; /* microjoules; the counter is below this */
    uint64_t last;
    double joules; /* since rapl_open */
    bool readable; /* the last time */
};

/* A zeroed struct has no zone. */
struct rapl {
    struct rapl_zone zone[RAPL_ZONES];
    size_t n;
};

/* Find the packages below `root`; "": none. */
void rapl_open(struct rapl *r, const char *root);

/* Read the counters.  The joules of all packages since rapl_open; false when none can be read. */
bool rapl_read(struct rapl *r, double *joules);

#endif
