/* SPDX-License-Identifier: MIT */
/*
 * fetch-map.c - a small JSON object, written anew and renamed after each part.
 */
#include "config.h"
#include "fetch-map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/mem.h"

enum { MAP_BYTES_MAX = 4 << 20 };

bool fetch_map_new(struct fetch_map *m, const char *path, const char *etag, uint64_t size)
{
    *m = (struct fetch_map){.size = size, .n = (uint32_t)((size + FETCH_PART - 1) / FETCH_PART)};
    m->path = mem_strdup(path);
    m->etag = mem_strdup(etag);
    m->state = mem_zalloc((size_t)m->n + 1, 1);
    if (m->state)
        memset(m->state, '0', m->n);
    return m->path && m->etag && m->state;
}

void fetch_map_free(struct fetch_map *m)
{
    mem_free(m->path);
    mem_free(m->etag);
    mem_free(m->state);
    *m = (struct fetch_map){0};
}

uint64_t fetch_map_end(const struct fetch_map *m, uint32_t part)
{
    return MIN(((uint64_t)part + 1) * FETCH_PART, m->size);
}

uint64_t fetch_map_done(const struct fetch_map *m)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m->n; i++)
        if (m->state[i] == '1')
            bytes += fetch_map_end(m, i) - (uint64_t)i * FETCH_PART;
    return bytes;
}

bool fetch_map_read(struct fetch_map *m)
{
    FILE *f = fopen(m->path, "re");
    char *text = mem_zalloc(MAP_BYTES_MAX, 1);
    size_t len = f && text ? fread(text, 1, MAP_BYTES_MAX, f) : 0;
    cJSON *o = cJSON_ParseWithLength(text ? text : "", len);
    const char *etag = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "etag"));
    const char *size = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "size"));
    const char *state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "parts"));
    const cJSON *part = cJSON_GetObjectItemCaseSensitive(o, "part_bytes");
    char own[24];
    snprintf(own, sizeof own, "%llu", (unsigned long long)m->size);
    bool same = etag && size && state && cJSON_IsNumber(part) && part->valuedouble == FETCH_PART &&
                strcmp(etag, m->etag) == 0 && strcmp(size, own) == 0 && strlen(state) == m->n &&
                strspn(state, "01") == m->n;
    if (same)
        memcpy(m->state, state, m->n);
    cJSON_Delete(o);
    mem_free(text);
    if (f)
        fclose(f);
    return same;
}

int fetch_map_write(const struct fetch_map *m)
{
    struct buf name = {0};
    char size[24];
    int rc = -ENOMEM;
    snprintf(size, sizeof size, "%llu", (unsigned long long)m->size); /* doubles end at 2^53 */
    buf_addf(&name, "%s.new", m->path);
    cJSON *o = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(o, "etag", m->etag) &&
                 cJSON_AddStringToObject(o, "size", size) &&
                 cJSON_AddNumberToObject(o, "part_bytes", FETCH_PART) &&
                 cJSON_AddStringToObject(o, "parts", m->state);
    char *text = whole && !name.failed ? cJSON_PrintUnformatted(o) : NULL;
    if (text) {
        FILE *f = fopen(name.data, "we");
        rc = f ? 0 : -errno;
        if (f && (fputs(text, f) < 0 || fflush(f) != 0))
            rc = -errno;
        if (f && fclose(f) != 0 && rc == 0)
            rc = -errno;
        if (rc == 0 && rename(name.data, m->path) != 0)
            rc = -errno;
    }
    cJSON_free(text);
    cJSON_Delete(o);
    buf_free(&name);
    return rc;
}
