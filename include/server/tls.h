/* SPDX-License-Identifier: MIT */
/*
 * tls.h - a certificate and its key, for the connections that begin while it is in use.
 *
 * libmicrohttpd reads certificates once, when it starts; so that they can be renewed while it runs,
 * GnuTLS asks us for one at each handshake instead.  A connection keeps the certificate that was in
 * use when it was accepted, so a new one never takes anything from under a handshake.
 *
 * TLS 1.2 and 1.3, forward secrecy only (RFC 9325).  Loop thread only.
 */
#ifndef TRIT_TLS_H
#define TRIT_TLS_H

#include <stdbool.h>

struct tls_cert;
struct trit_error;

/* For MHD_OPTION_HTTPS_PRIORITIES. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE"

/*
 * Read a PEM file with the certificate and those that lead to its authority, and one with its
 * private key, which has no password.  "credential:NAME" is as in keys.h.  Negative with *err,
 * which names file and reason, when either cannot be used or they do not belong together.  What is
 * merely unwise (a key that everybody can read, a certificate that is out of date) is logged.
 * Gives *cert, held once.
 */
int tls_load(const char *cert_path, const char *key_path, struct tls_cert **cert,
             struct trit_error *err);

/* Hold it, and let it go; the last one frees it.  NULL is no certificate. */
struct tls_cert *tls_hold(struct tls_cert *cert);
void tls_let_go(struct tls_cert **cert);

/* Until when it is valid, for the log: "2027-01-31T12:00:00Z". */
const char *tls_expires(const struct tls_cert *cert);

/* In libmicrohttpd's types: MHD_OPTION_HTTPS_CERT_CALLBACK, which looks for the tls_cert that
 * tls_choose has set for a session. */
void *tls_callback(void);
void tls_choose(void *gnutls_session, struct tls_cert *cert);

#endif
