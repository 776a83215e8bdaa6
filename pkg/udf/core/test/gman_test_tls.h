/*
 * gman_test_tls.h has the fake servers with OpenSSL, and their certificates.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GMAN_TEST_TLS_H
#define GMAN_TEST_TLS_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "gman_test_server.h"

/* struct identity is a certificate that signs itself, and its key, in one file. */
struct identity {
	char path[40];
	EVP_PKEY *key;
	X509 *certificate;
};

static void must_tls(int ok, const char *operation)
{
	if (ok > 0)
		return;
	printf("%s: %s\n", operation, ERR_reason_error_string(ERR_peek_last_error()));
	exit(2);
}

static EVP_PKEY *new_key(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;

	must_tls(EVP_PKEY_keygen_init(ctx), "keygen_init");
	must_tls(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1), "set the curve");
	must_tls(EVP_PKEY_keygen(ctx, &key), "keygen");
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* make_identity makes a certificate for names such as "DNS:localhost". */
static void make_identity(struct identity *id, const char *names)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	X509 *x = id->certificate = X509_new();
	FILE *out;

	id->key = new_key();
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"gman", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, id->key);
	must_tls(extension != NULL && X509_add_ext(x, extension, -1), "add names");
	X509_EXTENSION_free(extension);
	must_tls(X509_sign(x, id->key, EVP_sha256()), "sign");
	strcpy(id->path, "/tmp/gman_tls.XXXXXX");
	out = fdopen(must(mkstemp(id->path), "mkstemp"), "w");
	must_tls(PEM_write_X509(out, x), "write the certificate");
	must_tls(PEM_write_PrivateKey(out, id->key, NULL, NULL, 0, NULL, NULL), "write the key");
	fclose(out);
}

static void free_identity(struct identity *id)
{
	unlink(id->path);
	X509_free(id->certificate);
	EVP_PKEY_free(id->key);
}

/* struct tls_server is a fake server. */
struct tls_server {
	int listener;
	char address[32];
	struct sockaddr_in at;
	struct identity id;
	SSL_CTX *ctx;
	pthread_t thread;
};

static int tls_read_all(SSL *ssl, void *data, size_t len)
{
	size_t n;

	for (; len > 0; len -= n) {
		if (SSL_read_ex(ssl, data, len, &n) != 1)
			return 0;
		data = (char *)data + n;
	}
	return 1;
}

/* freeze[0] has a byte when the server goes on after a job of the function freeze. */
static int freeze[2];

/*
 * answer_requests answers a client until it closes. A large body is skipped. The
 * server reads no more of a large job of the function freeze.
 */
static void answer_requests(SSL *ssl)
{
	unsigned char head[12];
	static char body[1 << 16];

	while (tls_read_all(ssl, head, sizeof head)) {
		size_t len = (size_t)head[8] << 24 | (size_t)head[9] << 16 | (size_t)head[10] << 8 | head[11];
		size_t left = len < sizeof body ? 0 : len - sizeof body, n;
		struct script s = {.len = 0};

		if (!tls_read_all(ssl, body, len - left))
			return;
		if (left > 0 && memcmp(body, "freeze", 7) == 0) {
			must((int)read(freeze[0], body, 1), "read");
			return;
		}
		for (; left > 0; left -= n) {
			static char rest[1 << 16];

			n = left < sizeof rest ? left : sizeof rest;
			if (!tls_read_all(ssl, rest, n))
				return;
		}
		if (!add_answer(&s, head[7], body, len))
			return;
		if (s.len > 0 && SSL_write(ssl, s.bytes, (int)s.len) <= 0)
			return;
	}
}

static void *serve_tls(void *arg)
{
	struct tls_server *s = arg;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		SSL *ssl = SSL_new(s->ctx);

		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			answer_requests(ssl);
			(void)SSL_shutdown(ssl);
		}
		ERR_clear_error();
		SSL_free(ssl);
		close(fd);
	}
	return NULL;
}

/* start_tls_server starts a server. Clients need the certificate of client unless that is NULL. */
static void start_tls_server(struct tls_server *s, const char *names, const struct identity *client)
{
	make_identity(&s->id, names);
	s->ctx = SSL_CTX_new(TLS_server_method());
	must_tls(SSL_CTX_use_certificate(s->ctx, s->id.certificate), "use the certificate");
	must_tls(SSL_CTX_use_PrivateKey(s->ctx, s->id.key), "use the key");
	if (client != NULL) {
		must_tls(SSL_CTX_load_verify_locations(s->ctx, client->path, NULL), "trust the client");
		SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	s->listener = listen_on(8, s->address, &s->at);
	must(-pthread_create(&s->thread, NULL, serve_tls, s), "pthread_create");
}

static void stop_tls_server(struct tls_server *s)
{
	stop_server(s->listener, s->thread);
	SSL_CTX_free(s->ctx);
	free_identity(&s->id);
}

#endif
