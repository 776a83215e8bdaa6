/*
 * gman_tls.c encrypts connections with OpenSSL 1.1.1 or later. Without GMAN_TLS
 * the library has no OpenSSL in it, and connections cannot be encrypted.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gman_internal.h"

#ifdef GMAN_TLS

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE takes its place */
#endif

enum { MAX_RECORD = 16384 }; /* bytes of a record of TLS */

/* Packets have a length, so the end of a connection needs no proof. OpenSSL 1.1.1 asks for none. */
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
#define NO_PROOF_OF_END SSL_OP_IGNORE_UNEXPECTED_EOF
#else
#define NO_PROOF_OF_END 0
#endif

int gman_has_tls(void) { return 1; }

/*
 * OpenSSL's own BIO for sockets uses write, which raises SIGPIPE. The functions
 * below are the methods of a BIO that uses send.
 */
static int bio_write(BIO *bio, const char *data, int len)
{
	struct conn *c = BIO_get_data(bio);
	ssize_t n = send(c->fd, data, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	c->tls_errno = n < 0 ? errno : 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct conn *c = BIO_get_data(bio);
	ssize_t n = recv(c->fd, data, (size_t)size, 0);

	BIO_clear_retry_flags(bio);
	c->tls_errno = n < 0 ? errno : 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

/* new_bio_method returns the methods of the BIO, or NULL without memory. */
static BIO_METHOD *new_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "gman");

	if (m != NULL && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
	    BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* no_passphrase refuses encrypted keys: OpenSSL would ask at the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

/* set_library_error sets an error with the reason from OpenSSL, and empties OpenSSL's errors. */
static enum gman_code set_library_error(struct gman *g, enum gman_code code, const char *operation, const char *object)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	gmani_set_error(g, code, "%s %s: %s", operation, object, reason == NULL ? "cannot be used" : reason);
	ERR_clear_error();
	return code;
}

static int is_set(const char *text) { return text != NULL && text[0] != 0; }

/* read_files reads the certificates and the key of the settings. */
static enum gman_code read_files(struct gman *g, SSL_CTX *ctx, const struct gman_tls *tls)
{
	const char *key = is_set(tls->key) ? tls->key : tls->cert;

	if (is_set(tls->ca) && SSL_CTX_load_verify_locations(ctx, tls->ca, NULL) != 1)
		return set_library_error(g, GMAN_ARGUMENT, "read trusted certificates of", tls->ca);
	if (!is_set(tls->ca) && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return set_library_error(g, GMAN_ARGUMENT, "read trusted certificates of", "the system");
	if (is_set(tls->cert) && SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
		return set_library_error(g, GMAN_ARGUMENT, "read certificate", tls->cert);
	if (is_set(key) && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return set_library_error(g, GMAN_ARGUMENT, "read key", key);
	return GMAN_OK;
}

/* set_options sets the options of ctx, and reads the files. */
static enum gman_code set_options(struct gman *g, SSL_CTX *ctx, const struct gman_tls *tls)
{
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return set_library_error(g, GMAN_ARGUMENT, "prepare", "TLS 1.2");
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | NO_PROOF_OF_END);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                          SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, tls->verify == GMAN_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	return read_files(g, ctx, tls);
}

enum gman_code gman_set_tls(struct gman *g, const struct gman_tls *tls)
{
	SSL_CTX *ctx = NULL;
	BIO_METHOD *bio = NULL;

	if (tls->on) {
		enum gman_code code;

		ERR_clear_error();
		ctx = SSL_CTX_new(TLS_client_method());
		bio = new_bio_method();
		code = ctx == NULL || bio == NULL ? set_library_error(g, GMAN_MEMORY, "prepare", "TLS") : set_options(g, ctx, tls);
		if (code != GMAN_OK) {
			SSL_CTX_free(ctx);
			BIO_meth_free(bio);
			return code;
		}
	}
	gmani_free_tls(g);
	g->tls = ctx;
	g->bio = bio;
	g->verify = tls->verify;
	return GMAN_OK;
}

/* gmani_free_tls closes the connections and frees the settings of TLS. */
void gmani_free_tls(struct gman *g)
{
	gman_disconnect(g);
	SSL_CTX_free(g->tls);
	BIO_meth_free(g->bio);
	g->tls = NULL;
	g->bio = NULL;
}

/*
 * convert_failure returns GMAN_OK if an operation of c must wait, and stores the
 * event in *needs. Otherwise it sets an error of code.
 */
static enum gman_code convert_failure(struct gman *g, struct conn *c, enum gman_code code, const char *operation,
                                      int result, int *needs)
{
	char server[GMAN_HOST_SIZE + 8];
	long verified = SSL_get_verify_result(c->ssl);
	int failure = SSL_get_error(c->ssl, result);

	if (failure == SSL_ERROR_WANT_READ || failure == SSL_ERROR_WANT_WRITE) {
		*needs = failure == SSL_ERROR_WANT_READ ? GMAN_READ : GMAN_WRITE;
		return GMAN_OK;
	}
	(void)snprintf(server, sizeof server, "%s:%d", c->host, c->port);
	if (!SSL_is_init_finished(c->ssl) && verified != X509_V_OK && g->verify != GMAN_VERIFY_NONE) {
		gmani_set_error(g, code, "%s %s: %s", operation, server, X509_verify_cert_error_string(verified));
		ERR_clear_error();
		return code;
	}
	if (failure == SSL_ERROR_SSL)
		return set_library_error(g, code, operation, server);
	ERR_clear_error();
	return gmani_set_error(g, code, "%s %s: %s", operation, server,
	                       c->tls_errno != 0 ? strerror(c->tls_errno) : "the server closed the connection");
}

/* set_name sets the name or the address that the certificate of a server must have. */
static int set_name(const struct gman *g, struct conn *c)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(c->host);
	int numeric = address != NULL;

	ASN1_OCTET_STRING_free(address);
	if (!numeric && SSL_set_tlsext_host_name(c->ssl, c->host) != 1)
		return 0;
	if (g->verify != GMAN_VERIFY_NAME)
		return 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return numeric ? X509_VERIFY_PARAM_set1_ip_asc(param, c->host) == 1
	               : X509_VERIFY_PARAM_set1_host(param, c->host, 0) == 1;
}

/* start_tls gives c an SSL, or returns 0 without memory. */
static int start_tls(struct gman *g, struct conn *c)
{
	BIO *bio;

	c->read_needs = c->write_needs = 0;
	c->ssl = SSL_new(g->tls);
	bio = BIO_new(g->bio);
	if (c->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		return 0;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_connect_state(c->ssl);
	return set_name(g, c);
}

/* gmani_tls_connect makes the handshake of a new connection. */
enum gman_code gmani_tls_connect(struct gman *g, struct conn *c, int64_t deadline)
{
	ERR_clear_error();
	if (!start_tls(g, c))
		return set_library_error(g, GMAN_MEMORY, "start TLS with", c->host);
	for (;;) {
		int needs = 0, result = SSL_do_handshake(c->ssl);
		enum gman_code code;

		if (result == 1)
			return GMAN_OK;
		code = convert_failure(g, c, GMAN_NO_SERVER, "TLS handshake with", result, &needs);
		if (code == GMAN_OK)
			code = gmani_wait(g, c->fd, needs, deadline);
		if (code == GMAN_TIMEOUT)
			gmani_set_error(g, code, "TLS handshake with %s:%d: no answer within the connect limit", c->host, c->port);
		if (code != GMAN_OK)
			return code;
	}
}

/* gmani_tls_close frees the SSL of c. It sends the end of the stream if the socket takes it. */
void gmani_tls_close(struct conn *c)
{
	if (c->ssl == NULL)
		return;
	ERR_clear_error();
	if (SSL_is_init_finished(c->ssl))
		(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	SSL_free(c->ssl);
	c->ssl = NULL;
	c->read_needs = c->write_needs = 0;
}

/* gmani_tls_is_closed reports whether the server has closed a connection. */
int gmani_tls_is_closed(struct conn *c)
{
	char byte;
	int result, failure;

	ERR_clear_error();
	result = SSL_peek(c->ssl, &byte, 1);
	failure = result > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, result);
	ERR_clear_error();
	return failure != SSL_ERROR_NONE && failure != SSL_ERROR_WANT_READ && failure != SSL_ERROR_WANT_WRITE;
}

/* gmani_tls_read reads the bytes of one record. *n is 0 if none has arrived. */
enum gman_code gmani_tls_read(struct gman *g, struct conn *c, char *data, size_t size, size_t *n)
{
	int result;

	ERR_clear_error();
	c->read_needs = 0;
	result = SSL_read_ex(c->ssl, data, size, n);
	if (result == 1)
		return GMAN_OK;
	*n = 0;
	return convert_failure(g, c, GMAN_LOST, "receive from", result, &c->read_needs);
}

/*
 * gmani_tls_write sends one record. *n is 0 if the system takes none without
 * waiting. The next call must then have the same bytes. Small parts are joined,
 * so that a small job needs one record.
 */
enum gman_code gmani_tls_write(struct gman *g, struct conn *c, const struct iovec *part, int parts, size_t *n)
{
	char joined[MAX_RECORD];
	const void *data = part[0].iov_base;
	size_t len = part[0].iov_len;
	int result;

	if (parts == 2 && part[0].iov_len + part[1].iov_len <= sizeof joined) {
		memcpy(joined, part[0].iov_base, part[0].iov_len);
		memcpy(joined + len, part[1].iov_base, part[1].iov_len);
		data = joined;
		len += part[1].iov_len;
	}
	ERR_clear_error();
	c->write_needs = 0;
	result = SSL_write_ex(c->ssl, data, len, n);
	if (result == 1)
		return GMAN_OK;
	*n = 0;
	return convert_failure(g, c, GMAN_LOST, "send to", result, &c->write_needs);
}

#else

int gman_has_tls(void) { return 0; }

enum gman_code gman_set_tls(struct gman *g, const struct gman_tls *tls)
{
	if (tls->on)
		return gmani_set_error(g, GMAN_ARGUMENT, "connections cannot be encrypted: the library was built without OpenSSL");
	return GMAN_OK;
}

void gmani_free_tls(struct gman *g) { (void)g; }

void gmani_tls_close(struct conn *c) { (void)c; }

/* Without OpenSSL no connection has an SSL, and nobody calls the functions below. */
static enum gman_code refuse(struct gman *g) { return gmani_set_error(g, GMAN_ARGUMENT, "there is no TLS"); }

enum gman_code gmani_tls_connect(struct gman *g, struct conn *c, int64_t deadline)
{
	(void)c;
	(void)deadline;
	return refuse(g);
}

int gmani_tls_is_closed(struct conn *c)
{
	(void)c;
	return 1;
}

enum gman_code gmani_tls_read(struct gman *g, struct conn *c, char *data, size_t size, size_t *n)
{
	(void)c;
	(void)data;
	(void)size;
	(void)n;
	return refuse(g);
}

enum gman_code gmani_tls_write(struct gman *g, struct conn *c, const struct iovec *part, int parts, size_t *n)
{
	(void)c;
	(void)part;
	(void)parts;
	(void)n;
	return refuse(g);
}

#endif
