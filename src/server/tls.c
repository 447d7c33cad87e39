/* SPDX-License-Identifier: MIT */
/*
 * tls.c - certificates for GnuTLS.
 */
#include "config.h"
#include "server/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/credential.h"

enum {
    CHAIN_MAX = 16, /* certificates */
    SOON = 14 * 86400,
    FILE_BYTES = 1 << 20,
};

struct tls_cert {
    unsigned refs;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
    char expires[32];
};

/* ------------------------------------------------------------------ reading */

/* What a path of the configuration really is, checked to be a small regular file. */
static int find(const char *name, const char *path, char found[CREDENTIAL_PATH], mode_t *mode,
                struct trit_error *err)
{
    struct stat st;
    int rc = credential_find(path, found, err);
    if (rc)
        return rc;
    if (stat(found, &st) != 0)
        return trit_fail(err, errno == ENOENT ? TRIT_ENOENT : TRIT_EIO,
                         "%s: %.300s: cannot be opened: %s", name, found, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES)
        return trit_fail(err, TRIT_EINVAL, "%s: %.300s: expected a PEM file of at most %d bytes",
                         name, found, FILE_BYTES);
    *mode = st.st_mode;
    return 0;
}

static int refuse(const char *name, const char *path, int code, struct trit_error *err)
{
    return trit_fail(err, TRIT_EFORMAT, "%s: %.300s: %s", name, path, gnutls_strerror(code));
}

/* Dates are the operator's affair: some clients do not look, and no answer at all is worse. */
static void check_dates(struct tls_cert *c, gnutls_x509_crt_t first, const char *path)
{
    time_t now = time(NULL), from = gnutls_x509_crt_get_activation_time(first),
           until = gnutls_x509_crt_get_expiration_time(first);
    struct tm tm;
    if (!gmtime_r(&until, &tm) ||
        strftime(c->expires, sizeof c->expires, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(c->expires, sizeof c->expires, "unknown");
    if (from > now)
        log_warn("tls-cert file=\"%s\" problem=\"it is not valid yet\"", path);
    else if (until < now)
        log_warn("tls-cert file=\"%s\" problem=\"it has expired\" expires=%s", path, c->expires);
    else if (until - now < SOON)
        log_warn("tls-cert file=\"%s\" problem=\"it expires soon\" expires=%s", path, c->expires);
}

static int read_chain(struct tls_cert *c, const char *path, struct trit_error *err)
{
    gnutls_datum_t pem;
    gnutls_x509_crt_t crt[CHAIN_MAX];
    unsigned n = CHAIN_MAX, taken = 0;
    int rc = gnutls_load_file(path, &pem);
    if (rc < 0)
        return refuse("tls-cert", path, rc, err);
    rc = gnutls_x509_crt_list_import(crt, &n, &pem, GNUTLS_X509_FMT_PEM,
                                     GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED |
                                         GNUTLS_X509_CRT_LIST_SORT);
    gnutls_free(pem.data);
    if (rc < 0)
        return refuse("tls-cert", path, rc, err);
    n = (unsigned)rc;
    check_dates(c, crt[0], path);
    for (rc = 0; taken < n && rc >= 0; taken++) {
        rc = gnutls_pcert_import_x509(&c->chain[taken], crt[taken], 0);
        if (rc >= 0)
            c->n++;
    }
    for (unsigned i = 0; i < n; i++)
        gnutls_x509_crt_deinit(crt[i]);
    return rc < 0 ? refuse("tls-cert", path, rc, err) : 0;
}

static int read_key(struct tls_cert *c, const char *path, struct trit_error *err)
{
    gnutls_datum_t pem;
    int rc = gnutls_load_file(path, &pem);
    if (rc < 0)
        return refuse("tls-key", path, rc, err);
    rc = gnutls_privkey_init(&c->key);
    if (rc >= 0)
        rc = gnutls_privkey_import_x509_raw(c->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    return rc < 0 ? refuse("tls-key", path, rc, err) : 0;
}

/* The key's public half is the one in the certificate. */
static bool belong_together(const struct tls_cert *c)
{
    unsigned char ours[64], theirs[64];
    size_t our_len = sizeof ours, their_len = sizeof theirs;
    gnutls_pubkey_t pubkey;
    if (gnutls_pubkey_init(&pubkey) < 0)
        return false;
    bool same = gnutls_pubkey_import_privkey(pubkey, c->key, 0, 0) >= 0 &&
                gnutls_pubkey_get_key_id(pubkey, GNUTLS_KEYID_USE_SHA256, ours, &our_len) >= 0 &&
                gnutls_pubkey_get_key_id(c->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, theirs,
                                         &their_len) >= 0 &&
                our_len == their_len && memcmp(ours, theirs, our_len) == 0;
    gnutls_pubkey_deinit(pubkey);
    return same;
}

int tls_load(const char *cert_path, const char *key_path, struct tls_cert **out,
             struct trit_error *err)
{
    char cert[CREDENTIAL_PATH], key[CREDENTIAL_PATH];
    mode_t cert_mode, key_mode;
    *out = NULL;
    int rc = find("tls-cert", cert_path, cert, &cert_mode, err);
    if (rc == 0)
        rc = find("tls-key", key_path, key, &key_mode, err);
    if (rc)
        return rc;
    if (key_mode & S_IRWXO)
        log_warn("tls-key file=\"%s\" mode=%04o problem=\"every user of this machine may open it\" "
                 "remedy=\"chmod o= FILE\"",
                 key, (unsigned)key_mode & 07777);
    struct tls_cert *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return trit_fail(err, TRIT_ENOMEM, "no memory for the certificate");
    c->refs = 1;
    rc = read_chain(c, cert, err);
    if (rc == 0)
        rc = read_key(c, key, err);
    if (rc == 0 && !belong_together(c))
        rc =
            trit_fail(err, TRIT_EINVAL,
                      "tls-key: %.200s: it is not the key of the certificate in %.200s", key, cert);
    if (rc)
        tls_let_go(&c);
    *out = c;
    return rc;
}

/* ------------------------------------------------------------------ holding and using */

struct tls_cert *tls_hold(struct tls_cert *c)
{
    if (c)
        c->refs++;
    return c;
}

void tls_let_go(struct tls_cert **cert)
{
    struct tls_cert *c = *cert;
    *cert = NULL;
    if (!c || --c->refs)
        return;
    for (unsigned i = 0; i < c->n; i++)
        gnutls_pcert_deinit(&c->chain[i]);
    if (c->key)
        gnutls_privkey_deinit(c->key);
    mem_free(c);
}

const char *tls_expires(const struct tls_cert *c)
{
    return c->expires;
}

void tls_choose(void *session, struct tls_cert *cert)
{
    gnutls_session_set_ptr(session, cert);
}

/* What is handed out stays ours; the connection holds it as long as the session lives. */
static int on_handshake(gnutls_session_t session, const gnutls_datum_t *authorities,
                        int n_authorities, const gnutls_pk_algorithm_t *algorithms,
                        int n_algorithms, gnutls_pcert_st **chain, unsigned *n,
                        gnutls_privkey_t *key)
{
    struct tls_cert *c = gnutls_session_get_ptr(session);
    (void)authorities;
    (void)n_authorities;
    (void)algorithms;
    (void)n_algorithms;
    if (!c)
        return -1;
    *chain = c->chain;
    *n = c->n;
    *key = c->key;
    return 0;
}

void *tls_callback(void)
{
    gnutls_certificate_retrieve_function2 *fn = on_handshake;
    return (void *)fn;
}
