/*
 * gman_test.c tests the calls of the client. The fake server is one end of a pair
 * of sockets, mostly with its answers already in it.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <errno.h>
#include <pthread.h>

#include "gman_test.h"

/* scripted returns a client whose server has already sent the script. */
static struct gman *scripted(const struct script *s, int *server)
{
	struct gman *g = gman_new();
	int pair[2], size = 1 << 20;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	must((int)write(pair[1], s->bytes, s->len), "write");
	gman_set_limits(g, 200, 2000, 100000);
	CHECK(gman_set_servers(g, "127.0.0.1:1") == GMAN_OK);
	CHECK(gman_adopt(g, pair[0]) == GMAN_OK);
	*server = pair[1];
	return g;
}

static void finish(struct gman *g, int server)
{
	gman_free(g);
	close(server);
}

static void test_pieces_of_a_result_are_joined(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;

	PUT(&s, WORK_FAIL, "H:a:0"); /* late, of another job */
	PUT(&s, JOB_CREATED, "H:a:1");
	PUT(&s, WORK_STATUS, "H:a:1\0001\0002");
	PUT(&s, WORK_DATA, "H:a:1\0!dl");
	PUT(&s, WORK_WARNING, "H:a:1\0warning");
	PUT(&s, WORK_DATA, "H:a:1\0roW ");
	PUT(&s, WORK_COMPLETE, "H:a:1\0olleH");
	PUT(&s, JOB_CREATED, "H:a:2");
	PUT(&s, WORK_COMPLETE, "H:a:2\0");
	g = scripted(&s, &server);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	CHECK(is_result(&result, "!dlroW olleH"));
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	CHECK(is_result(&result, ""));
	CHECK(gman_sockets(g) == 1);
	finish(g, server);
}

static void test_nuls_are_part_of_a_result(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	PUT(&s, WORK_COMPLETE, "H:a:1\0a\0b\0");
	g = scripted(&s, &server);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	CHECK(result.len == 4 && memcmp(result.data, "a\0b\0", 4) == 0);
	finish(g, server);
}

static void test_failures_keep_the_connection(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	PUT(&s, WORK_EXCEPTION, "H:a:1\0no such file\n");
	PUT(&s, WORK_FAIL, "H:a:1"); /* gearmand sends both */
	PUT(&s, JOB_CREATED, "H:a:2");
	PUT(&s, WORK_FAIL, "H:a:2\0"); /* gearmand adds a NUL */
	PUT(&s, PACKET_ERROR, "QUEUE_ERROR\0Job queue is full");
	PUT(&s, JOB_CREATED, "H:a:3");
	PUT(&s, WORK_COMPLETE, "H:a:3\0good");
	g = scripted(&s, &server);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_FAILED);
	CHECK(is_result(&result, "no such file\n"));
	CHECK(strcmp(gman_error(g), "job H:a:1 of function reverse failed: no such file?") == 0);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_FAILED);
	CHECK(strcmp(gman_error(g), "job H:a:2 of function reverse failed") == 0);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_REFUSED);
	CHECK(strcmp(gman_error(g), "127.0.0.1:1 answers QUEUE_ERROR: Job queue is full") == 0);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_OK);
	CHECK(is_result(&result, "good"));
	finish(g, server);
}

static void test_background_returns_the_handle(void)
{
	struct script s = {.len = 0};
	char handle[GMAN_HANDLE_SIZE], sent[100];
	static const char want[] = "\0REQ\0\0\0\x20\0\0\0\x0a" "f\0key\0data";
	struct gman_job job = {"f", 1, "key", 3, "data", 4, GMAN_HIGH};
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	g = scripted(&s, &server);
	CHECK_CODE(gman_submit(g, &job, handle), GMAN_OK);
	CHECK(strcmp(handle, "H:a:1") == 0);
	CHECK(read(server, sent, sizeof sent) == sizeof want - 1 && memcmp(sent, want, sizeof want - 1) == 0);
	finish(g, server);
}

static void test_invalid_jobs_are_not_sent(void)
{
	static const char long_unique[300] = "";
	static const struct gman_job jobs[] = {
	    {"", 0, NULL, 0, "", 0, GMAN_NORMAL},
	    {"a\0b", 3, NULL, 0, "", 0, GMAN_NORMAL},
	    {"f", 1, "a\0b", 3, "", 0, GMAN_NORMAL},
	    {"f", 1, long_unique, sizeof long_unique, "", 0, GMAN_NORMAL},
	    {"f", 1, NULL, 0, "", (size_t)INT32_MAX, GMAN_NORMAL},
	};
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;
	size_t i;
	char byte;

	g = scripted(&s, &server);
	for (i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
		CHECK_CODE(gman_call(g, &jobs[i], &result), GMAN_ARGUMENT);
	CHECK(recv(server, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	finish(g, server);
}

/* count_result is a gman_done_fn that notes the order of results. */
static enum gman_code count_result(void *arg, size_t i, const char *data, size_t len)
{
	char *order = arg;

	sprintf(order + strlen(order), "%d=%.*s ", (int)i, (int)len, data);
	return GMAN_OK;
}

static void test_jobs_may_end_in_any_order(void)
{
	static const struct gman_job jobs[] = {{"f", 1, NULL, 0, "a", 1, GMAN_NORMAL},
	                                       {"f", 1, NULL, 0, "b", 1, GMAN_NORMAL},
	                                       {"f", 1, NULL, 0, "c", 1, GMAN_NORMAL}};
	struct script s = {.len = 0};
	char order[100] = "";
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	PUT(&s, JOB_CREATED, "H:a:2");
	PUT(&s, WORK_COMPLETE, "H:a:2\0B");
	PUT(&s, WORK_DATA, "H:a:1\0A");
	PUT(&s, JOB_CREATED, "H:a:3");
	PUT(&s, WORK_COMPLETE, "H:a:3\0C");
	PUT(&s, WORK_COMPLETE, "H:a:1\0A");
	g = scripted(&s, &server);
	CHECK_CODE(gman_run(g, jobs, 3, count_result, order), GMAN_OK);
	CHECK(strcmp(order, "1=B 2=C 0=AA ") == 0);
	finish(g, server);
}

static void test_a_failed_job_ends_the_run(void)
{
	static const struct gman_job jobs[] = {{"f", 1, NULL, 0, "a", 1, GMAN_NORMAL},
	                                       {"f", 1, NULL, 0, "b", 1, GMAN_NORMAL}};
	struct script s = {.len = 0};
	char order[100] = "";
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	PUT(&s, JOB_CREATED, "H:a:2");
	PUT(&s, WORK_EXCEPTION, "H:a:2\0text");
	g = scripted(&s, &server);
	CHECK_CODE(gman_run(g, jobs, 2, count_result, order), GMAN_FAILED);
	CHECK(order[0] == 0);
	CHECK(gman_sockets(g) == 0);
	finish(g, server);
}

/* check_protocol_error expects GMAN_PROTOCOL and a closed connection. */
static void check_protocol_error(const struct script *s)
{
	struct gman_bytes result;
	int server;
	struct gman *g = scripted(s, &server);

	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_PROTOCOL);
	CHECK(gman_sockets(g) == 0);
	finish(g, server);
}

static void test_bytes_that_are_not_gearman_are_errors(void)
{
	static struct script http, large, early, handle;
	char body[300];

	put_bytes(&http, "HTTP/1.1 400 Bad Request\r\n", 26);
	check_protocol_error(&http);
	put_bytes(&large, "\0RES\0\0\0\x08\x7f\xff\xff\xff", 12);
	check_protocol_error(&large);
	PUT(&early, JOB_CREATED, "H:a:1");
	PUT(&early, JOB_CREATED, "H:a:2");
	check_protocol_error(&early);
	memset(body, 'x', sizeof body);
	put_packet(&handle, JOB_CREATED, body, sizeof body);
	check_protocol_error(&handle);
}

static void test_the_limit_holds_for_joined_pieces(void)
{
	static struct script s;
	static char piece[30006] = "H:a:1";
	struct gman_bytes result;
	struct gman *g;
	int server, i;

	PUT(&s, JOB_CREATED, "H:a:1");
	for (i = 0; i < 2; i++)
		put_packet(&s, WORK_DATA, piece, sizeof piece);
	g = scripted(&s, &server);
	gman_set_limits(g, 200, 2000, 50000);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_PROTOCOL);
	CHECK(strcmp(gman_error(g), "result of job H:a:1 exceeds the limit of 50000 bytes") == 0);
	finish(g, server);
}

static void test_a_closed_connection_may_have_the_job(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	g = scripted(&s, &server);
	must(shutdown(server, SHUT_WR), "shutdown");
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_LOST);
	finish(g, server);
}

static void test_status_is_read(void)
{
	struct script s = {.len = 0};
	struct gman_status status;
	struct gman *g;
	int server;

	PUT(&s, STATUS_RES, "H:a:1\0001\0001\00050\000100");
	PUT(&s, STATUS_RES, "H:a:2\0000\0000\0000\0000");
	PUT(&s, STATUS_RES, "H:a:3\0001\0001\000x\000");
	PUT(&s, STATUS_RES, "H:a:4\0001");
	g = scripted(&s, &server);
	CHECK_CODE(gman_get_status(g, "H:a:1", &status), GMAN_OK);
	CHECK(status.known && status.running && status.numerator == 50 && status.denominator == 100);
	CHECK_CODE(gman_get_status(g, "H:a:2", &status), GMAN_OK);
	CHECK(!status.known && !status.running);
	CHECK_CODE(gman_get_status(g, "H:a:3", &status), GMAN_OK);
	CHECK(status.known && status.numerator == 0 && status.denominator == 0);
	CHECK_CODE(gman_get_status(g, "H:a:4", &status), GMAN_PROTOCOL);
	CHECK(!status.known && gman_sockets(g) == 0);
	CHECK_CODE(gman_get_status(g, "", &status), GMAN_ARGUMENT);
	CHECK_CODE(gman_get_status(g, "H:a:1\nshutdown", &status), GMAN_ARGUMENT);
	finish(g, server);
}

static void test_results_are_read(void)
{
	static const char completed[] =
	    "{\"handle\":\"H:a:1\",\"function\":\"\\\"size\\\":7\",\"state\":\"completed\",\"size\":3,\"kept\":true}\na\0b.\n";
	static const char failed[] =
	    "{\"handle\":\"H:a:1\",\"state\":\"exception\",\"error\":\"bad\",\"size\":3,\"kept\":true}\nbad.\n";
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;

	PUT(&s, WORK_FAIL, "H:a:0"); /* late, of another job */
	put_bytes(&s, completed, sizeof completed - 1);
	put_bytes(&s, failed, sizeof failed - 1);
	put_bytes(&s, "ERR UNKNOWN_JOB\r\n", 17);
	put_bytes(&s, "ERR UNKNOWN_COMMAND Unknown+server+command\r\n", 44);
	put_bytes(&s, "ERR LOADING the store\r\n", 23);
	put_bytes(&s, "{}\n", 3);
	g = scripted(&s, &server);
	CHECK_CODE(gman_get_result(g, "H:a:1", &result), GMAN_OK);
	CHECK(result.len == 3 && memcmp(result.data, "a\0b", 3) == 0);
	CHECK_CODE(gman_get_result(g, "H:a:1", &result), GMAN_FAILED);
	CHECK(is_result(&result, "bad"));
	CHECK(strcmp(gman_error(g), "job H:a:1: exception: bad") == 0);
	CHECK_CODE(gman_get_result(g, "H:a:1", &result), GMAN_NOT_FOUND);
	CHECK_CODE(gman_get_result(g, "H:a:1", &result), GMAN_NOT_FOUND);
	CHECK_CODE(gman_get_result(g, "H:a:1", &result), GMAN_REFUSED);
	CHECK_CODE(gman_get_result(g, "H:a:1", &result), GMAN_PROTOCOL);
	finish(g, server);
}

static void test_a_silent_server_ends_with_a_timeout(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;

	PUT(&s, JOB_CREATED, "H:a:1");
	g = scripted(&s, &server);
	gman_set_limits(g, 20, 30, -1);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_TIMEOUT);
	CHECK(strcmp(gman_error(g), "127.0.0.1:1 has no result within 30 ms") == 0);
	CHECK(gman_sockets(g) == 0);
	finish(g, server);
}

static int count_down(void *arg)
{
	int *left = arg;

	return --*left < 0;
}

static void test_an_interrupt_ends_the_call(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	int left = 2, server;
	struct gman_hooks hooks = {NULL, count_down, &left};
	struct gman *g;

	PUT(&s, JOB_CREATED, "H:a:1");
	g = scripted(&s, &server);
	gman_set_limits(g, -1, 0, -1);
	gman_set_hooks(g, &hooks);
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_INTERRUPTED);
	CHECK(gman_sockets(g) == 0);
	finish(g, server);
}

/* flood sends packets until the client closes. */
static void *flood(void *arg)
{
	static const char packet[] = "\0RES\0\0\0\x0c\0\0\0\x09H:a:9\0" "1\0" "1";
	int fd = *(int *)arg;

	while (send(fd, packet, sizeof packet - 1, MSG_NOSIGNAL) > 0)
		continue;
	return NULL;
}

static void test_a_server_that_never_pauses_ends_with_a_timeout(void)
{
	struct script s = {.len = 0};
	struct gman_bytes result;
	struct gman *g;
	int server;
	pthread_t thread;

	g = scripted(&s, &server);
	gman_set_limits(g, 20, 100, -1);
	must(-pthread_create(&thread, NULL, flood, &server), "pthread_create");
	CHECK_CODE(gman_call(g, &reverse, &result), GMAN_TIMEOUT);
	pthread_join(thread, NULL);
	finish(g, server);
}

int main(void)
{
	test_pieces_of_a_result_are_joined();
	test_nuls_are_part_of_a_result();
	test_failures_keep_the_connection();
	test_background_returns_the_handle();
	test_invalid_jobs_are_not_sent();
	test_jobs_may_end_in_any_order();
	test_a_failed_job_ends_the_run();
	test_bytes_that_are_not_gearman_are_errors();
	test_the_limit_holds_for_joined_pieces();
	test_a_closed_connection_may_have_the_job();
	test_status_is_read();
	test_results_are_read();
	test_a_silent_server_ends_with_a_timeout();
	test_an_interrupt_ends_the_call();
	test_a_server_that_never_pauses_ends_with_a_timeout();
	return report_failures("gman_test");
}
