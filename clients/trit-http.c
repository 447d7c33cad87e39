/* SPDX-License-Identifier: MIT */
/*
 * trit-http.c - requests with libcurl; server-sent events are read as the bytes come.
 */
#include "config.h"
#include "trit-http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* An answer of this size is no answer to us. */
#define ANSWER_BYTES_MAX (64 * 1024 * 1024)

const char *error_message(const cJSON *answer)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer, "error");
    if (cJSON_IsString(error))
        return error->valuestring;
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
}

double number_at(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

/* The data of one event.  false ends the transfer. */
static bool take_data(const char *data, size_t len, void *arg)
{
    struct request *r = arg;
    if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
        r->done = true;
        return true;
    }
    cJSON *event = cJSON_ParseWithLength(data, len);
    bool go_on = event && r->event(event, r->arg);
    r->garbled = !event;
    r->stopped = !go_on;
    cJSON_Delete(event);
    return go_on;
}

static size_t received(char *bytes, size_t size, size_t n, void *arg)
{
    struct request *r = arg;
    size_t len = size * n;
    const char *type = NULL;
    if (r->n_received == 0 && r->event &&
        curl_easy_getinfo(r->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
        r->streams = strncmp(type, "text/event-stream", 17) == 0;
    r->n_received += len;
    if (r->streams)
        return sse_feed(&r->sse, bytes, len, take_data, r) ? len : 0; /* CURLE_WRITE_ERROR */
    buf_add(&r->answer, bytes, len);
    return r->answer.failed || r->answer.len > ANSWER_BYTES_MAX ? 0 : len;
}

bool request_open(struct request *r, const struct server_address *server, const char *path,
                  const cJSON *body, event_fn event, void *arg)
{
    *r = (struct request){.event = event, .arg = arg, .easy = curl_easy_init()};
    if (!r->easy)
        return false;
    bool is_unix = strncmp(server->url, "unix:", 5) == 0;
    struct buf url = {0};
    buf_adds(&url, is_unix ? "http://localhost" : server->url);
    while (url.len && url.data[url.len - 1] == '/')
        url.data[--url.len] = '\0';
    /* Base URLs of the SDKs end in /v1; take those as well. */
    if (url.len > 3 && strcmp(url.data + url.len - 3, "/v1") == 0 && strncmp(path, "/v1", 3) == 0)
        url.data[url.len -= 3] = '\0';
    buf_adds(&url, path);
    r->url = buf_take(&url, NULL);
    r->body = body ? cJSON_PrintUnformatted(body) : NULL;
    if (!r->url || (body && !r->body))
        return false;

    r->headers = curl_slist_append(NULL, "Expect:"); /* No round trip before a small body. */
    if (r->headers && body)
        r->headers = curl_slist_append(r->headers, "Content-Type: application/json");
    if (r->headers && server->key) {
        struct buf line = {0};
        buf_addf(&line, "Authorization: Bearer %s", server->key);
        char *text = buf_take(&line, NULL);
        r->headers = text ? curl_slist_append(r->headers, text) : NULL;
        mem_free(text);
    }
    if (!r->headers)
        return false;
    curl_easy_setopt(r->easy, CURLOPT_URL, r->url);
    curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (is_unix)
        curl_easy_setopt(r->easy, CURLOPT_UNIX_SOCKET_PATH, server->url + 5);
    curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, received);
    curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
    if (r->body) {
        curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(r->body));
        curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body);
    }
    return true;
}

void request_close(struct request *r)
{
    if (r->easy)
        curl_easy_cleanup(r->easy);
    curl_slist_free_all(r->headers);
    mem_free(r->url);
    cJSON_free(r->body);
    buf_free(&r->answer);
    sse_fini(&r->sse);
    *r = (struct request){0};
}

void request_follow(CURL *easy, const char *url)
{
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                     strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https");
}

static int watch(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const volatile sig_atomic_t *stop = arg;
    (void)a, (void)b, (void)c, (void)d;
    return *stop;
}

const char *request_run(struct request *r, const volatile sig_atomic_t *stop, long silent_seconds,
                        char *text, size_t text_bytes)
{
    curl_easy_setopt(r->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(r->easy, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(r->easy, CURLOPT_XFERINFODATA, stop);
    if (silent_seconds) {
        curl_easy_setopt(r->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(r->easy, CURLOPT_LOW_SPEED_TIME, silent_seconds);
    }
    return request_problem(r, curl_easy_perform(r->easy), text, text_bytes);
}

const char *request_problem(struct request *r, CURLcode code, char *text, size_t text_bytes)
{
    long status = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        snprintf(text, text_bytes, "interrupted");
        return text;
    }
    if (r->garbled) {
        snprintf(text, text_bytes, "an event of the stream is no JSON");
        return text;
    }
    if (code != CURLE_OK && !r->stopped) {
        snprintf(text, text_bytes, "%s: %s", r->url,
                 code == CURLE_WRITE_ERROR ? "that is more than an answer may have"
                                           : curl_easy_strerror(code));
        return text;
    }
    if (status != 200) {
        cJSON *answer = cJSON_ParseWithLength(r->answer.data ? r->answer.data : "", r->answer.len);
        const char *message = error_message(answer);
        snprintf(text, text_bytes, "%ld: %s", status, message ? message : "no error object");
        cJSON_Delete(answer);
        return text;
    }
    if (r->streams && !r->done && !r->stopped) {
        snprintf(text, text_bytes, "the stream ended before [DONE]");
        return text;
    }
    return NULL;
}
