/*
 * gman_net_test.c tests connections of the client: fake servers listen on
 * loopback, and a thread answers for those that work.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <fcntl.h>

#include "gman_test_server.h"

static void test_a_list_fails_over(void)
{
	char closed[32], frozen[32], full[32], good[32], servers[300];
	struct sockaddr_in at;
	int fds[6], listener, i, tries;
	struct gman *g = gman_new();
	struct gman_bytes result;
	pthread_t thread;

	close(listen_on(1, closed, &at));
	fds[0] = listen_on(8, frozen, &at); /* the system accepts, nobody answers */
	fds[1] = listen_on(0, full, &at);   /* the system drops packets when it is full */
	for (i = 2; i < 6; i++) {
		fds[i] = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
		must(fcntl(fds[i], F_SETFL, O_NONBLOCK), "fcntl");
		(void)connect(fds[i], (struct sockaddr *)&at, sizeof at);
	}
	listener = listen_on(8, good, &at);
	must(-pthread_create(&thread, NULL, serve, &listener), "pthread_create");
	sprintf(servers, "%s, %s, %s; reverse=%s,%s,%s,%s", closed, frozen, full, closed, frozen, full, good);
	gman_set_limits(g, 400, 20000, -1);
	CHECK_CODE(gman_set_servers(g, servers), GMAN_OK);
	for (i = 0; i < 10; i++) {
		CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
		CHECK(is_result(&result, "done"));
	}
	CHECK(gman_sockets(g) == 1);
	must(fcntl(fds[0], F_SETFL, O_NONBLOCK), "fcntl");
	for (tries = 0; (i = accept(fds[0], NULL, NULL)) >= 0; tries++)
		close(i);
	CHECK(tries >= 1 && tries < 5); /* it is tried last after a failure */
	{
		struct gman_job other = {"other", 5, NULL, 0, "", 0, GMAN_NORMAL};

		CHECK_CODE(gman_call(g, &other, &result), GMAN_NO_SERVER);
	}
	gman_free(g);
	stop_server(listener, thread);
	for (i = 0; i < 6; i++)
		close(fds[i]);
}

static void test_the_next_call_connects_again(void)
{
	static const struct gman_job closing = {"close", 5, NULL, 0, "", 0, GMAN_NORMAL};
	struct sockaddr_in at;
	struct gman *g = gman_new();
	struct gman_bytes result;
	char address[32];
	pthread_t thread;
	int listener = listen_on(8, address, &at), i;

	must(-pthread_create(&thread, NULL, serve, &listener), "pthread_create");
	CHECK_CODE(gman_set_servers(g, address), GMAN_OK);
	for (i = 0; i < 2; i++) {
		CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
		CHECK_CODE(gman_call(g, &closing, &result), GMAN_LOST);
		CHECK(strstr(gman_error(g), "it may have the job") != NULL);
		CHECK(gman_sockets(g) == 0);
	}
	CHECK_CODE(gman_echo(g, "a\0b", 3), GMAN_OK);
	CHECK_CODE(gman_set_servers(g, address), GMAN_OK);
	CHECK(gman_sockets(g) == 1); /* the same servers */
	gman_disconnect(g);
	CHECK(gman_sockets(g) == 0);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	gman_free(g);
	stop_server(listener, thread);
}

static void test_a_large_workload_is_sent_in_parts(void)
{
	static char workload[8 << 20];
	struct gman_job job = {"large", 5, NULL, 0, workload, sizeof workload, GMAN_NORMAL};
	struct sockaddr_in at;
	struct gman *g = gman_new();
	struct gman_bytes result;
	char address[32];
	pthread_t thread;
	int listener = listen_on(8, address, &at);

	must(-pthread_create(&thread, NULL, serve, &listener), "pthread_create");
	CHECK_CODE(gman_set_servers(g, address), GMAN_OK);
	CHECK_CODE(gman_call(g, &job, &result), GMAN_OK);
	CHECK(is_result(&result, "done"));
	gman_free(g);
	stop_server(listener, thread);
}

static void test_without_servers_nothing_is_sent(void)
{
	struct gman *g = gman_new();
	struct gman_bytes result;

	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
	CHECK(strcmp(gman_error(g), "no servers are set") == 0);
	CHECK_CODE(gman_set_servers(g, "a:b"), GMAN_ARGUMENT);
	CHECK_CODE(gman_adopt(g, 0), GMAN_ARGUMENT);
	gman_free(g);
	gman_free(NULL);
}

int main(void)
{
	test_a_list_fails_over();
	test_the_next_call_connects_again();
	test_a_large_workload_is_sent_in_parts();
	test_without_servers_nothing_is_sent();
	return report_failures("gman_net_test");
}
