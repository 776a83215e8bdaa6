/*
 * gman_tls_test.c tests encrypted connections: fake servers with OpenSSL listen
 * on loopback. Without GMAN_TLS it tests that encryption is refused.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <poll.h>

#include "gman_test_server.h"

#ifdef GMAN_TLS

#include "gman_test_tls.h"

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

/* interrupt_blocked_write is a hook.wait that interrupts the call when nothing can be sent. */
static int interrupt_blocked_write(void *arg, int fd, int events, int timeout_ms)
{
	struct pollfd p = {fd, (short)((events & GMAN_READ ? POLLIN : 0) | (events & GMAN_WRITE ? POLLOUT : 0)), 0};
	int *blocked = arg;

	if ((events & GMAN_WRITE) != 0 && poll(&p, 1, 100) == 0) {
		++*blocked;
		return -1;
	}
	return poll(&p, 1, timeout_ms);
}

static void test_a_large_job_for_a_frozen_server_ends(void)
{
	static char workload[16 << 20];
	struct gman_job job = {"freeze", 6, NULL, 0, workload, sizeof workload, GMAN_NORMAL};
	static struct tls_server s;
	struct gman_tls tls = {1, GMAN_VERIFY_NAME, s.id.path, NULL, NULL};
	int blocked = 0;
	struct gman_hooks hooks = {interrupt_blocked_write, NULL, &blocked};
	struct gman_bytes result;
	struct gman *g;

	must(pipe(freeze), "pipe");
	start_tls_server(&s, "DNS:localhost", NULL);
	g = new_client(&s, "localhost", &tls);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	gman_set_limits(g, 10000, 300, -1);
	CHECK_CODE(gman_call(g, &job, &result), GMAN_TIMEOUT);
	CHECK(strstr(gman_error(g), "has not taken the job within 300 ms") != NULL);
	CHECK(gman_sockets(g) == 0);
	must((int)write(freeze[1], "", 1), "write");
	gman_set_limits(g, 10000, 0, -1);
	gman_set_hooks(g, &hooks);
	CHECK_CODE(gman_call(g, &job, &result), GMAN_INTERRUPTED);
	CHECK(blocked == 1);
	CHECK(gman_sockets(g) == 0);
	must((int)write(freeze[1], "", 1), "write");
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	gman_free(g);
	stop_tls_server(&s);
	close(freeze[0]);
	close(freeze[1]);
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
	test_a_large_job_for_a_frozen_server_ends();
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
