/* SPDX-License-Identifier: MIT */
/*
 * rapl.c - reading powercap.
 */
#include "config.h"
#include "base/rapl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

static bool read_line(const char *path, char *dst, size_t cap)
{
    if (!file_read(path, dst, cap))
        return false;
    dst[strcspn(dst, "\n")] = '\0';
    return true;
}

static bool read_count(const char *path, uint64_t *count)
{
    char text[32];
    int end = 0;
    return read_line(path, text, sizeof text) && text[0] != '-' &&
           sscanf(text, "%" SCNu64 "%n", count, &end) == 1 && text[end] == '\0';
}

/* false: there is no such zone, it is none of a package, or it cannot be read. */
static bool open_zone(struct rapl_zone *z, const char *root, unsigned number)
{
    char path[256], name[32];
    int len = snprintf(path, sizeof path, "%.200s/intel-rapl:%u/", root, number);
    size_t left = sizeof path - (size_t)len;
    *z = (struct rapl_zone){0};
    snprintf(path + len, left, "name");
    if (!read_line(path, name, sizeof name) || sscanf(name, "package-%u", &z->package) != 1)
        return false;
    snprintf(path + len, left, "max_energy_range_uj");
    if (!read_count(path, &z->range))
        return false;
    snprintf(path + len, left, "energy_uj");
    memcpy(z->path, path, sizeof path);
    z->readable = read_count(path, &z->last) && z->last <= z->range;
    return z->readable;
}

void rapl_open(struct rapl *r, const char *root)
{
    r->n = 0;
    for (unsigned i = 0; *root && i < RAPL_ZONES; i++)
        r->n += open_zone(&r->zone[r->n], root, i);
}

bool rapl_read(struct rapl *r, double *joules)
{
    bool any = false;
    *joules = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct rapl_zone *z = &r->zone[i];
        uint64_t now;
        z->readable = read_count(z->path, &now) && now <= z->range;
        if (z->readable) {
            uint64_t used = now >= z->last ? now - z->last : z->range - z->last + now;
            z->joules += (double)used * 1e-6;
            z->last = now;
        }
        any = any || z->readable;
        *joules += z->joules;
    }
    return any;
}
