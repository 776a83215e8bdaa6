/*
 * gman_limits_test.c tests that each wait of a call ends with its interrupt and
 * with its limit: while a name is looked up, a server connects or does not
 * answer, a large job is sent, and a result is awaited. The tests measure no
 * time: they see the limits that the client gives to hooks.wait.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gman_test_server.h"

/* struct waits is the state of a hook: it interrupts the call at the wait with number interrupt_at. */
struct waits {
	int count, interrupt_at, longest_ms, negative;
};

static int count_wait(void *arg, int fd, int events, int timeout_ms)
{
	struct waits *w = arg;
	struct pollfd p = {fd, (short)((events & GMAN_READ ? POLLIN : 0) | (events & GMAN_WRITE ? POLLOUT : 0)), 0};

	w->count++;
	w->negative += timeout_ms < 0;
	if (timeout_ms > w->longest_ms)
		w->longest_ms = timeout_ms;
	if (w->count == w->interrupt_at)
		return -1;
	return poll(&p, 1, timeout_ms);
}

/* write_program writes a shell script to a new file and returns its path. */
static const char *write_program(const char *text)
{
	static char path[64];
	int fd;

	strcpy(path, "/tmp/gman_getent.XXXXXX");
	fd = must(mkstemp(path), "mkstemp");
	must((int)write(fd, text, strlen(text)), "write");
	must(fchmod(fd, 0755), "fchmod");
	must(close(fd), "close");
	return path;
}

/*
 * check_limits makes an endless call: once for each of its
 * waits, which it interrupts, and then with short limits. make returns the
 * client.
 */
static void check_limits(int waits, struct gman *(*make)(void), const struct gman_job *job, enum gman_code want,
                         const char *error)
{
	struct gman_bytes result;
	struct waits w;
	struct gman_hooks hooks = {count_wait, NULL, &w};
	struct gman *g;
	int at;

	for (at = 1; at <= waits; at++) {
		memset(&w, 0, sizeof w);
		w.interrupt_at = at;
		g = make();
		gman_set_limits(g, 60000, 70000, -1);
		gman_set_hooks(g, &hooks);
		CHECK_CODE(gman_call(g, job, &result), GMAN_INTERRUPTED);
		CHECK(w.count == at); /* no wait after the interrupt */
		CHECK(w.longest_ms <= 70000 && w.negative == 0);
		CHECK(gman_sockets(g) == 0);
		gman_free(g);
	}
	memset(&w, 0, sizeof w);
	g = make();
	gman_set_limits(g, 40, 80, -1);
	gman_set_hooks(g, &hooks);
	CHECK_CODE(gman_call(g, job, &result), want);
	if (strstr(gman_error(g), error) == NULL) {
		printf("the error is \"%s\", want \"%s\"\n", gman_error(g), error);
		failures++;
	}
	CHECK(w.longest_ms <= 80 && w.negative == 0);
	CHECK(gman_sockets(g) == 0);
	gman_free(g);
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* no process of getent is left */
}

static const char *slow_getent;

static struct gman *make_slow_lookup(void)
{
	struct gman *g = gman_new();

	g->getent = slow_getent;
	CHECK_CODE(gman_set_servers(g, "db.example"), GMAN_OK);
	return g;
}

static void test_a_slow_lookup_ends(void)
{
	slow_getent = write_program("#!/bin/sh\nexec sleep 1000\n");
	check_limits(1, make_slow_lookup, &reverse, GMAN_NO_SERVER, "look up db.example: no answer within the connect limit");
	unlink(slow_getent);
}

static char server_address[32];

static struct gman *make_for_address(void)
{
	struct gman *g = gman_new();

	CHECK_CODE(gman_set_servers(g, server_address), GMAN_OK);
	return g;
}

static void test_a_server_that_drops_packets_ends(void)
{
	struct sockaddr_in at;
	int fds[4], i, listener = listen_on(0, server_address, &at);

	for (i = 0; i < 4; i++) {
		fds[i] = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
		must(fcntl(fds[i], F_SETFL, O_NONBLOCK), "fcntl");
		(void)connect(fds[i], (struct sockaddr *)&at, sizeof at);
	}
	check_limits(1, make_for_address, &reverse, GMAN_NO_SERVER, "no answer within the connect limit");
	for (i = 0; i < 4; i++)
		close(fds[i]);
	close(listener);
}

static void test_a_server_that_does_not_answer_ends(void)
{
	struct sockaddr_in at;
	int listener = listen_on(100, server_address, &at);

	check_limits(2, make_for_address, &reverse, GMAN_NO_SERVER, "within the connect limit");
	close(listener);
}

static int frozen[200], frozen_count;

/* make_frozen returns a client with a connection that has answered, and never does so again. */
static struct gman *make_frozen(void)
{
	struct gman *g = gman_new();
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	frozen[frozen_count++] = pair[1];
	must((int)write(pair[1], "\0RES\0\0\0\x08\0\0\0\x05H:a:1", 17), "write");
	CHECK_CODE(gman_set_servers(g, "127.0.0.1:1"), GMAN_OK);
	CHECK_CODE(gman_adopt(g, pair[0]), GMAN_OK);
	return g;
}

static void close_frozen(void)
{
	while (frozen_count > 0)
		close(frozen[--frozen_count]);
}

static void test_a_missing_result_ends(void)
{
	check_limits(1, make_frozen, &reverse, GMAN_TIMEOUT, "127.0.0.1:1 has no result within 80 ms");
	close_frozen();
}

static struct gman *make_frozen_before_handle(void)
{
	struct gman *g = make_frozen();
	char reply[17];

	must((int)recv(g->conn[0].fd, reply, sizeof reply, MSG_WAITALL), "recv");
	return g;
}

static void test_a_large_job_for_a_frozen_server_ends(void)
{
	static char workload[16 << 20];
	struct gman_job job = {"large", 5, NULL, 0, workload, sizeof workload, GMAN_NORMAL};

	check_limits(1, make_frozen_before_handle, &job, GMAN_TIMEOUT, "127.0.0.1:1 has not taken the job within 80 ms");
	close_frozen();
}

static void test_names_are_looked_up_once(void)
{
	struct sockaddr_in at;
	struct gman *g = gman_new();
	struct gman_bytes result;
	char address[32], servers[64];
	const char *getent;
	pthread_t thread;
	int listener = listen_on(8, address, &at);

	must(-pthread_create(&thread, NULL, serve, &listener), "pthread_create");
	getent = g->getent = write_program("#!/bin/sh\n[ \"$1 $2\" = 'ahosts db.example' ] || exit 2\nrm \"$0\"\n"
	                                   "echo 'no address'\necho '127.0.0.1       STREAM db.example'\necho '127.0.0.1       DGRAM'\n");
	sprintf(servers, "db.example:%d", ntohs(at.sin_port));
	CHECK_CODE(gman_set_servers(g, servers), GMAN_OK);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	CHECK(g->conn[0].addrs == 1);
	CHECK(access(getent, F_OK) != 0);
	gman_disconnect(g);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK); /* the program is gone */
	gman_free(g);
	stop_server(listener, thread);
}

static void test_names_without_an_address_are_errors(void)
{
	struct gman *g = gman_new();
	struct gman_bytes result;
	const char *getent = write_program("#!/bin/sh\nexit 2\n");

	g->getent = getent;
	CHECK_CODE(gman_set_servers(g, "db.example"), GMAN_OK);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
	CHECK(strcmp(gman_error(g), "look up db.example: no address") == 0);
	unlink(getent);
	g->getent = "/nonexistent/getent"; /* the resolver takes its place */
	CHECK_CODE(gman_set_servers(g, "127.0.0.1:1, LocalHost:1, [::1]:1"), GMAN_OK);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_NO_SERVER);
	CHECK(g->conn[0].backoff > 0 && g->conn[1].backoff > 0);
	gman_free(g);
}

static void test_a_timeout_below_the_connect_limit_holds(void)
{
	struct sockaddr_in at;
	int listener = listen_on(100, server_address, &at);
	struct waits w = {0, 0, 0, 0};
	struct gman_hooks hooks = {count_wait, NULL, &w};
	struct gman *g = make_for_address();
	struct gman_bytes result;

	gman_set_limits(g, 60000, 30, -1);
	gman_set_hooks(g, &hooks);
	CHECK(gman_call(g, &reverse, &result) != GMAN_OK);
	CHECK(w.count > 0 && w.longest_ms <= 30);
	gman_free(g);
	close(listener);
}

int main(void)
{
	test_a_slow_lookup_ends();
	test_a_server_that_drops_packets_ends();
	test_a_server_that_does_not_answer_ends();
	test_a_missing_result_ends();
	test_a_large_job_for_a_frozen_server_ends();
	test_names_are_looked_up_once();
	test_names_without_an_address_are_errors();
	test_a_timeout_below_the_connect_limit_holds();
	return report_failures("gman_limits_test");
}
