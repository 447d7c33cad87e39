/* SPDX-License-Identifier: MIT */
/*
 * check_tls.c - certificates and keys as they come: good, out of date, of each other's, or none at
 * all; and a handshake with one.
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/tls.h"
#include "unit/unit.h"

enum { DAY = 86400 };

static char dir[] = "/tmp/check_tls.XXXXXX";
static char cert[64], key[64], other[64], words[64];
static struct trit_error err;

static void put(const char *path, const void *text, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void put_key(const char *path, gnutls_x509_privkey_t k)
{
    gnutls_datum_t pem;
    ck_assert_int_ge(gnutls_x509_privkey_export2(k, GNUTLS_X509_FMT_PEM, &pem), 0);
    put(path, pem.data, pem.size, 0600);
    gnutls_free(pem.data);
}

static gnutls_x509_privkey_t new_key(void)
{
    gnutls_x509_privkey_t k;
    ck_assert_int_ge(gnutls_x509_privkey_init(&k), 0);
    ck_assert_int_ge(gnutls_x509_privkey_generate(
                         k, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                     0);
    return k;
}

/* `n` certificates, each of which signs itself; seconds from now. */
static void put_chain(gnutls_x509_privkey_t k, unsigned n, long from, long until)
{
    FILE *f = fopen(cert, "w");
    ck_assert_ptr_nonnull(f);
    for (unsigned i = 0; i < n; i++) {
        gnutls_x509_crt_t c;
        gnutls_datum_t pem;
        char subject[32];
        unsigned char serial = (unsigned char)(i + 1);
        snprintf(subject, sizeof subject, "CN=c%u", i);
        ck_assert_int_ge(gnutls_x509_crt_init(&c), 0);
        gnutls_x509_crt_set_version(c, 3);
        gnutls_x509_crt_set_key(c, k);
        gnutls_x509_crt_set_serial(c, &serial, 1);
        gnutls_x509_crt_set_activation_time(c, time(NULL) + from);
        gnutls_x509_crt_set_expiration_time(c, time(NULL) + until);
        ck_assert_int_ge(gnutls_x509_crt_set_dn(c, subject, NULL), 0);
        ck_assert_int_ge(gnutls_x509_crt_sign2(c, c, k, GNUTLS_DIG_SHA256, 0), 0);
        ck_assert_int_ge(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &pem), 0);
        fwrite(pem.data, 1, pem.size, f);
        gnutls_free(pem.data);
        gnutls_x509_crt_deinit(c);
    }
    fclose(f);
}

/* What the log says while it is loaded. */
static const char *load(struct tls_cert **c)
{
    static char text[4096];
    int out = open(words, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), old = dup(STDERR_FILENO);
    ck_assert_int_ge(out, 0);
    ck_assert_int_ge(dup2(out, STDERR_FILENO), 0);
    log_open(LOG_WARN, 0);
    int rc = tls_load(cert, key, c, &err);
    ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
    ck_assert_msg(rc == 0, "%s", err.text);
    ssize_t n = pread(out, text, sizeof text - 1, 0);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    close(old);
    close(out);
    return text;
}

static void refuses(const char *c, const char *k, const char *says)
{
    struct tls_cert *loaded;
    int rc = tls_load(c, k, &loaded, &err);
    ck_assert_int_lt(rc, 0);
    ck_assert_ptr_null(loaded);
    ck_assert_msg(strstr(err.text, says), "\"%s\" does not say \"%s\"", err.text, says);
}

static void setup(void)
{
    gnutls_x509_privkey_t k = new_key(), strange = new_key();
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(cert, sizeof cert, "%s/cert", dir);
    snprintf(key, sizeof key, "%s/key", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    snprintf(words, sizeof words, "%s/log", dir);
    put_key(key, k);
    put_key(other, strange);
    put_chain(k, 1, -DAY, 100L * DAY);
    gnutls_x509_privkey_deinit(k);
    gnutls_x509_privkey_deinit(strange);
}

static void teardown(void)
{
    unlink(cert);
    unlink(key);
    unlink(other);
    unlink(words);
    rmdir(dir);
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
}

START_TEST(good)
{
    struct tls_cert *c, *held;
    ck_assert_str_eq(load(&c), "");
    ck_assert_uint_eq(strlen(tls_expires(c)), strlen("2027-01-31T12:00:00Z"));
    held = tls_hold(c);
    tls_let_go(&c);
    ck_assert_ptr_null(c);
    ck_assert_uint_gt(strlen(tls_expires(held)), 0);
    tls_let_go(&held);
    tls_let_go(&held);
    ck_assert_ptr_null(tls_hold(NULL));
}
END_TEST

/* What is unwise is said, and used. */
static const struct {
    long from, until;
    const char *says;
} dates[] = {{DAY, 100L * DAY, "it is not valid yet"},
             {-2 * DAY, -DAY, "it has expired"},
             {-DAY, DAY, "it expires soon"}};

START_TEST(unwise)
{
    gnutls_datum_t pem;
    gnutls_x509_privkey_t k;
    struct tls_cert *c;
    ck_assert_int_ge(gnutls_load_file(key, &pem), 0);
    ck_assert_int_ge(gnutls_x509_privkey_init(&k), 0);
    ck_assert_int_ge(gnutls_x509_privkey_import(k, &pem, GNUTLS_X509_FMT_PEM), 0);
    gnutls_free(pem.data);
    put_chain(k, 1, dates[_i].from, dates[_i].until);
    gnutls_x509_privkey_deinit(k);
    ck_assert_int_eq(chmod(key, _i ? 0600 : 0644), 0);
    const char *said = load(&c);
    ck_assert_msg(strstr(said, dates[_i].says), "%s", said);
    ck_assert_int_eq(strstr(said, "every user of this machine may open it") != NULL, _i == 0);
    tls_let_go(&c);
}
END_TEST

START_TEST(bad)
{
    static const char nonsense[] = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n";
    char nowhere[80];
    gnutls_x509_privkey_t k = new_key();
    snprintf(nowhere, sizeof nowhere, "%s/nowhere", dir);
    refuses(nowhere, key, "tls-cert: ");
    refuses(cert, nowhere, "tls-key: ");
    refuses(dir, key, "expected a PEM file");
    refuses("credential:none", key, "started by systemd");
    refuses(key, key, "tls-cert: ");
    refuses(cert, cert, "tls-key: ");
    refuses(cert, other, "not the key of the certificate");
    put(other, nonsense, strlen(nonsense), 0600);
    refuses(other, key, "tls-cert: ");
    put(other, "", 0, 0600);
    ck_assert_int_eq(truncate(other, (1 << 20) + 1), 0);
    refuses(other, key, "at most 1048576 bytes");
    put_chain(k, 17, -DAY, DAY);
    refuses(cert, key, "tls-cert: ");
    gnutls_x509_privkey_deinit(k);
}
END_TEST

START_TEST(no_memory)
{
    struct tls_cert *c;
    mem_fail_at(1);
    ck_assert_int_eq(tls_load(cert, key, &c, &err), -TRIT_ENOMEM);
    ck_assert_ptr_null(c);
    mem_fail_at(0);
}
END_TEST

/* Both ends in one thread, in turn; whether both are content. */
static bool shake(struct tls_cert *c)
{
    int fd[2], rc[2] = {GNUTLS_E_AGAIN, GNUTLS_E_AGAIN};
    gnutls_session_t end[2];
    gnutls_certificate_credentials_t own, trust;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    ck_assert_int_ge(gnutls_certificate_allocate_credentials(&own), 0);
    ck_assert_int_ge(gnutls_certificate_allocate_credentials(&trust), 0);
    gnutls_certificate_retrieve_function2 *fn =
        (gnutls_certificate_retrieve_function2 *)tls_callback();
    gnutls_certificate_set_retrieve_function2(own, fn);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_ge(
            gnutls_init(&end[i], (i ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK), 0);
        ck_assert_int_ge(gnutls_priority_set_direct(end[i], TLS_PRIORITIES, NULL), 0);
        gnutls_credentials_set(end[i], GNUTLS_CRD_CERTIFICATE, i ? trust : own);
        gnutls_transport_set_int(end[i], fd[i]);
    }
    tls_choose(end[0], c);
    for (int turn = 0; turn < 100 && (rc[0] || rc[1]); turn++)
        for (int i = 0; i < 2; i++)
            if (rc[i] == GNUTLS_E_AGAIN || (rc[i] && !gnutls_error_is_fatal(rc[i])))
                rc[i] = gnutls_handshake(end[i]);
    for (int i = 0; i < 2; i++) {
        gnutls_deinit(end[i]);
        close(fd[i]);
    }
    gnutls_certificate_free_credentials(own);
    gnutls_certificate_free_credentials(trust);
    return rc[0] == 0 && rc[1] == 0;
}

START_TEST(handshake)
{
    struct tls_cert *c;
    load(&c);
    ck_assert(shake(c));
    ck_assert(!shake(NULL));
    tls_let_go(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls");
    TCase *tc = tcase_create("tls");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, good);
    tcase_add_loop_test(tc, unwise, 0, ARRAY_LEN(dates));
    tcase_add_test(tc, bad);
    tcase_add_test(tc, no_memory);
    tcase_add_test(tc, handshake);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
