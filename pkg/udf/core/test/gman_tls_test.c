/*
 * gman_tls_test.c tests encrypted connections: fake servers with OpenSSL listen
 * on loopback. Without GMAN_TLS it tests that encryption is refused.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gman_test_server.h"

#ifdef GMAN_TLS

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

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

/* struct tls_server is a fake server. client, unless NULL, is the only accepted client. */
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

/* answer_requests answers a client until it closes. A large body is skipped. */
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

/* new_client returns a client for a server of name. */
static struct gman *new_client(const struct tls_server *s, const char *name, const struct gman_tls *tls)
{
	struct gman *g = gman_new();
	char servers[64];

	sprintf(servers, "%s:%d", name, ntohs(s->at.sin_port));
	CHECK_CODE(gman_set_servers(g, servers), GMAN_OK);
	CHECK_CODE(gman_set_tls(g, tls), GMAN_OK);
	gman_set_limits(g, 10000, 20000, -1);
	return g;
}

/* check_call checks the result or the error of a job. */
static void check_call(const struct tls_server *s, const char *name, const struct gman_tls *tls, const char *error)
{
	struct gman *g = new_client(s, name, tls);
	struct gman_bytes result;

	if (error == NULL) {
		CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
		CHECK(is_result(&result, "done"));
	} else {
		CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
		if (strstr(gman_error(g), error) == NULL) {
			printf("%s: the error is \"%s\", want \"%s\"\n", name, gman_error(g), error);
			failures++;
		}
		CHECK(gman_sockets(g) == 0);
	}
	gman_free(g);
}

static void test_certificates_are_verified(void)
{
	static struct tls_server named, numbered, stranger;
	struct gman_tls system = {1, GMAN_VERIFY_NAME, "", "", ""}, none = system, name = system, number = system, chain = system;

	start_tls_server(&named, "DNS:localhost", NULL);
	start_tls_server(&numbered, "IP:127.0.0.1", NULL);
	start_tls_server(&stranger, "DNS:db.example, IP:127.0.0.2", NULL);
	name.ca = named.id.path;
	number.ca = numbered.id.path;
	chain.ca = stranger.id.path;
	none.verify = GMAN_VERIFY_NONE;
	check_call(&named, "localhost", &name, NULL);
	check_call(&named, "127.0.0.1", &name, "IP address mismatch");
	check_call(&named, "localhost", &system, "self");
	check_call(&named, "localhost", &number, "self");
	check_call(&numbered, "127.0.0.1", &number, NULL);
	check_call(&numbered, "localhost", &number, "ostname mismatch");
	check_call(&stranger, "localhost", &chain, "ostname mismatch");
	check_call(&stranger, "127.0.0.1", &chain, "IP address mismatch");
	chain.verify = GMAN_VERIFY_CHAIN;
	check_call(&stranger, "localhost", &chain, NULL);
	check_call(&stranger, "127.0.0.1", &chain, NULL);
	check_call(&named, "localhost", &chain, "self");
	check_call(&named, "localhost", &none, NULL);
	check_call(&stranger, "127.0.0.1", &none, NULL);
	stop_tls_server(&named);
	stop_tls_server(&numbered);
	stop_tls_server(&stranger);
}

static void test_clients_can_have_a_certificate(void)
{
	static struct tls_server s;
	struct identity client;
	struct gman_tls tls = {1, GMAN_VERIFY_NAME, s.id.path, "", ""};

	make_identity(&client, "DNS:client");
	start_tls_server(&s, "DNS:localhost", &client);
	check_call(&s, "localhost", &tls, "");
	tls.cert = client.path;
	check_call(&s, "localhost", &tls, NULL);
	tls.key = client.path;
	check_call(&s, "localhost", &tls, NULL);
	stop_tls_server(&s);
	free_identity(&client);
}

static void test_large_workloads_are_encrypted(void)
{
	static char workload[16 << 20];
	static const struct gman_job closing = {"close", 5, NULL, 0, "", 0, GMAN_NORMAL};
	struct gman_job job = {"large", 5, NULL, 0, workload, sizeof workload, GMAN_NORMAL};
	static struct tls_server s;
	struct gman_tls tls = {1, GMAN_VERIFY_NAME, s.id.path, NULL, NULL};
	struct gman_bytes result;
	struct gman *g;
	int i;

	start_tls_server(&s, "DNS:localhost", NULL);
	g = new_client(&s, "localhost", &tls);
	CHECK_CODE(gman_call(g, &job, &result), GMAN_OK);
	for (i = 0; i < 100; i++)
		CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	CHECK_CODE(gman_call(g, &closing, &result), GMAN_LOST);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	tls.on = 0; /* the server expects TLS */
	gman_set_limits(g, 400, 20000, -1);
	CHECK_CODE(gman_set_tls(g, &tls), GMAN_OK);
	CHECK(gman_sockets(g) == 0);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
	gman_free(g);
	stop_tls_server(&s);
}

static void test_a_server_without_tls_is_an_error(void)
{
	struct tls_server plain;
	struct gman_tls tls = {1, GMAN_VERIFY_NONE, NULL, NULL, NULL};

	plain.listener = listen_on(8, plain.address, &plain.at);
	must(-pthread_create(&plain.thread, NULL, serve, &plain.listener), "pthread_create");
	{
		struct gman *g = new_client(&plain, "localhost", &tls);
		struct gman_bytes result;

		gman_set_limits(g, 400, 20000, -1);
		CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
		CHECK(strstr(gman_error(g), "TLS handshake with localhost") != NULL);
		gman_free(g);
	}
	stop_server(plain.listener, plain.thread);
}

/* count_down is a hook.wait that interrupts the call when *arg waits are over. */
static int count_down(void *arg, int fd, int events, int timeout_ms)
{
	int *left = arg;

	(void)fd;
	(void)events;
	(void)timeout_ms;
	return --*left < 0 ? -1 : 1;
}

static void test_a_handshake_ends(void)
{
	struct tls_server frozen;
	struct gman_tls tls = {1, GMAN_VERIFY_NONE, NULL, NULL, NULL};
	struct gman_bytes result;
	struct gman_hooks hooks = {NULL, NULL, NULL};
	struct gman *g;
	int left = 3;

	frozen.listener = listen_on(8, frozen.address, &frozen.at); /* the system accepts, nobody answers */
	g = new_client(&frozen, "127.0.0.1", &tls);
	gman_set_limits(g, 400, 20000, -1);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
	CHECK(strstr(gman_error(g), "TLS handshake with 127.0.0.1") != NULL);
	CHECK(strstr(gman_error(g), "no answer within the connect limit") != NULL);
	gman_set_limits(g, 60000, 0, -1);
	hooks.wait = count_down;
	hooks.arg = &left;
	gman_set_hooks(g, &hooks);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_INTERRUPTED);
	CHECK(left == -1);
	CHECK(gman_sockets(g) == 0);
	gman_free(g);
	close(frozen.listener);
}

static void test_files_that_cannot_be_used_are_errors(void)
{
	struct identity id;
	struct gman *g = gman_new();
	struct gman_tls tls = {1, GMAN_VERIFY_NAME, "/nonexistent", NULL, NULL};
	FILE *out;

	CHECK_CODE(gman_set_tls(g, &tls), GMAN_ARGUMENT);
	CHECK(strstr(gman_error(g), "read trusted certificates of /nonexistent: ") != NULL);
	CHECK(g->tls == NULL);
	make_identity(&id, "DNS:client");
	tls.ca = NULL;
	tls.cert = "/nonexistent";
	CHECK_CODE(gman_set_tls(g, &tls), GMAN_ARGUMENT);
	CHECK(strstr(gman_error(g), "read certificate /nonexistent: ") != NULL);
	/* A key with a passphrase must not ask for it. */
	out = fopen(id.path, "w");
	must_tls(PEM_write_X509(out, id.certificate), "write the certificate");
	must_tls(PEM_write_PrivateKey(out, id.key, EVP_aes_128_cbc(), (unsigned char *)"secret", 6, NULL, NULL), "write the key");
	fclose(out);
	tls.cert = id.path;
	CHECK_CODE(gman_set_tls(g, &tls), GMAN_ARGUMENT);
	CHECK(strstr(gman_error(g), "read key ") != NULL);
	free_identity(&id);
	gman_free(g);
}

int main(void)
{
	CHECK(gman_has_tls());
	test_certificates_are_verified();
	test_clients_can_have_a_certificate();
	test_large_workloads_are_encrypted();
	test_a_server_without_tls_is_an_error();
	test_a_handshake_ends();
	test_files_that_cannot_be_used_are_errors();
	return report_failures("gman_tls_test");
}

#else

int main(void)
{
	struct gman *g = gman_new();
	struct gman_tls tls = {0, GMAN_VERIFY_NAME, NULL, NULL, NULL};

	CHECK(!gman_has_tls());
	CHECK_CODE(gman_set_tls(g, &tls), GMAN_OK);
	tls.on = 1;
	CHECK_CODE(gman_set_tls(g, &tls), GMAN_ARGUMENT);
	gman_free(g);
	return report_failures("gman_tls_test");
}

#endif
