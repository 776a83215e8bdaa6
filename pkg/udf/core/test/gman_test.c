/*
 * gman_test.c tests the Gearman client with fake servers. Most are one end of a
 * pair of sockets with the answers already in it. Those that need an address are
 * listeners on loopback, with a thread that answers.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gman.h"

static int failures;

#define CHECK(condition) check((condition) != 0, #condition, __func__, __LINE__)
#define CHECK_CODE(got, want) check_code(got, want, __func__, __LINE__, g)

static void check(int ok, const char *condition, const char *function, int line)
{
	if (ok)
		return;
	printf("%s:%d: not true: %s\n", function, line, condition);
	failures++;
}

static void check_code(enum gman_code got, enum gman_code want, const char *function, int line, const struct gman *g)
{
	if (got == want)
		return;
	printf("%s:%d: code %d (%s), want %d\n", function, line, (int)got, gman_error(g), (int)want);
	failures++;
}

/* must ends the program if a system call has failed. */
static int must(int result, const char *operation)
{
	if (result < 0) {
		perror(operation);
		exit(2);
	}
	return result;
}

/* script is the list of packets that a fake server sends. */
struct script {
	char bytes[65536];
	size_t len;
};

static void put_bytes(struct script *s, const void *data, size_t len)
{
	memcpy(s->bytes + s->len, data, len);
	s->len += len;
}

/* put_packet appends a reply with a body. */
static void put_packet(struct script *s, unsigned type, const void *body, size_t len)
{
	unsigned char head[12] = {0, 'R', 'E', 'S', 0, 0, 0, (unsigned char)type, 0, 0, 0, 0};

	head[10] = (unsigned char)(len >> 8);
	head[11] = (unsigned char)len;
	put_bytes(s, head, sizeof head);
	put_bytes(s, body, len);
}

#define PUT(s, type, body) put_packet(s, type, body, sizeof(body) - 1)

enum {
	JOB_CREATED = 8,
	WORK_STATUS = 12,
	WORK_COMPLETE = 13,
	WORK_FAIL = 14,
	ECHO_RES = 17,
	PACKET_ERROR = 19,
	STATUS_RES = 20,
	WORK_EXCEPTION = 25,
	WORK_DATA = 28,
	WORK_WARNING = 29
};

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

static const struct gman_job reverse = {"reverse", 7, NULL, 0, "Hello World!", 12, GMAN_NORMAL};

static int is_result(const struct gman_bytes *b, const char *want)
{
	return b->len == strlen(want) && memcmp(b->data, want, b->len) == 0;
}

static void test_lists_are_read(void)
{
	static const struct {
		const char *text;
		int ok;
	} tests[] = {
	    {"", 1},
	    {"localhost", 1},
	    {"localhost:4730, db2 db3:1,", 1},
	    {"[::1], [fe80::1%eth0]:4731", 1},
	    {"a; resize=b,c; report = d:4732 ;", 1},
	    {"; resize=b", 1},
	    {"a:", 0},
	    {"a:0", 0},
	    {"a:65536", 0},
	    {"a:4730x", 0},
	    {"::1", 0},
	    {"[::1", 0},
	    {"[]", 0},
	    {"a/b", 0},
	    {"a; b", 0},
	    {"a; =b", 0},
	    {"a; resize=", 0},
	    {"a; resize=b; resize=c", 0},
	    {"a b\001", 0},
	};
	size_t i;
	char long_host[400], many[2000] = "";

	for (i = 0; i < sizeof tests / sizeof tests[0]; i++)
		if (gman_check_servers(tests[i].text) != tests[i].ok) {
			printf("gman_check_servers(\"%s\") is not %d\n", tests[i].text, tests[i].ok);
			failures++;
		}
	memset(long_host, 'a', sizeof long_host - 1);
	long_host[sizeof long_host - 1] = 0;
	CHECK(!gman_check_servers(long_host));
	for (i = 0; i < GMAN_MAX_SERVERS; i++)
		sprintf(many + strlen(many), "h%d,", (int)i);
	CHECK(gman_check_servers(many));
	strcat(many, "one-more");
	CHECK(!gman_check_servers(many));
}

static void test_lists_are_merged(void)
{
	static const struct {
		const char *lists, *function, *servers, *want;
	} tests[] = {
	    {"", NULL, "localhost", "localhost"},
	    {"a,b", NULL, "c", "c"},
	    {"a", "resize", "b c", "a; resize=b c"},
	    {"a; resize=b", "resize", "c", "a; resize=c"},
	    {"a; resize=b; report=d", "resize", "", "a; report=d"},
	    {"a; resize=b", NULL, "c", "c; resize=b"},
	    {"a; resize = b", "report", "c", "a; resize=b; report=c"},
	    {"a", "resize", "b;c=d", NULL},
	    {"a", "re=size", "b", NULL},
	    {"a", "resize ", "b", NULL},
	    {"a", "resize", "b/", NULL},
	};
	size_t i;
	char out[GMAN_SERVERS_SIZE];

	for (i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		enum gman_code code = gman_merge_servers(tests[i].lists, tests[i].function, tests[i].servers, out);
		int ok = tests[i].want == NULL ? code == GMAN_ARGUMENT : code == GMAN_OK && strcmp(out, tests[i].want) == 0;

		if (!ok) {
			printf("merge %d: code %d, \"%s\"\n", (int)i, (int)code, out);
			failures++;
		}
	}
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
	CHECK(is_result(&result, "!dlroW olleH"));
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_FAILED);
	CHECK(is_result(&result, "no such file\n"));
	CHECK(strcmp(gman_error(g), "job H:a:1 of function reverse failed: no such file?") == 0);
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_FAILED);
	CHECK(strcmp(gman_error(g), "job H:a:2 of function reverse failed") == 0);
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_REFUSED);
	CHECK(strcmp(gman_error(g), "127.0.0.1:1 answers QUEUE_ERROR: Job queue is full") == 0);
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
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
	CHECK_CODE(gman_do_background(g, &job, handle), GMAN_OK);
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
		CHECK_CODE(gman_do(g, &jobs[i], &result), GMAN_ARGUMENT);
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

	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_PROTOCOL);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_PROTOCOL);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_LOST);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_TIMEOUT);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_INTERRUPTED);
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
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_TIMEOUT);
	pthread_join(thread, NULL);
	finish(g, server);
}

/* listen_on opens a listener on loopback and writes its address. */
static int listen_on(int backlog, char address[32], struct sockaddr_in *at)
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
	socklen_t len = sizeof *at;

	memset(at, 0, sizeof *at);
	at->sin_family = AF_INET;
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)at, sizeof *at), "bind");
	must(listen(fd, backlog), "listen");
	must(getsockname(fd, (struct sockaddr *)at, &len), "getsockname");
	sprintf(address, "127.0.0.1:%d", ntohs(at->sin_port));
	return fd;
}

/* read_all reads len bytes. It returns 0 at the end of the stream. */
static int read_all(int fd, void *data, size_t len)
{
	char *at = data;

	while (len > 0) {
		ssize_t n = read(fd, at, len);

		if (n <= 0)
			return 0;
		at += n;
		len -= (size_t)n;
	}
	return 1;
}

/*
 * serve accepts connections one after the other until *arg is closed. It answers
 * ECHO_REQ, and a foreground job with the result "done", except that it closes
 * the connection at a job of the function close.
 */
static void *serve(void *arg)
{
	int listener = *(int *)arg, fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		unsigned char head[12];
		static char body[1 << 17];

		while (read_all(fd, head, sizeof head)) {
			size_t len = (size_t)head[9] << 16 | (size_t)head[10] << 8 | head[11];
			struct script s = {.len = 0};

			if (!read_all(fd, body, len < sizeof body ? len : sizeof body))
				break;
			for (; len > sizeof body; len -= sizeof body)
				if (!read_all(fd, body, len - sizeof body < sizeof body ? len - sizeof body : sizeof body))
					break;
			if (head[7] == 16)
				put_packet(&s, ECHO_RES, body, len);
			if (head[7] == 7) {
				if (memcmp(body, "close", 6) == 0)
					break;
				PUT(&s, JOB_CREATED, "H:f:1");
				PUT(&s, WORK_COMPLETE, "H:f:1\0done");
			}
			if (s.len > 0 && send(fd, s.bytes, s.len, MSG_NOSIGNAL) < 0)
				break;
		}
		close(fd);
	}
	return NULL;
}

/* stop_server ends serve when its clients have closed. */
static void stop_server(int listener, pthread_t thread)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
}

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
	gman_set_limits(g, 100, 5000, -1);
	CHECK_CODE(gman_set_servers(g, servers), GMAN_OK);
	for (i = 0; i < 10; i++) {
		CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
		CHECK(is_result(&result, "done"));
	}
	CHECK(gman_sockets(g) == 1);
	must(fcntl(fds[0], F_SETFL, O_NONBLOCK), "fcntl");
	for (tries = 0; (i = accept(fds[0], NULL, NULL)) >= 0; tries++)
		close(i);
	CHECK(tries >= 1 && tries < 5); /* it is tried last after a failure */
	{
		struct gman_job other = {"other", 5, NULL, 0, "", 0, GMAN_NORMAL};

		CHECK_CODE(gman_do(g, &other, &result), GMAN_NO_SERVER);
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
		CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
		CHECK_CODE(gman_do(g, &closing, &result), GMAN_LOST);
		CHECK(strstr(gman_error(g), "it may have the job") != NULL);
		CHECK(gman_sockets(g) == 0);
	}
	CHECK_CODE(gman_echo(g, "a\0b", 3), GMAN_OK);
	CHECK_CODE(gman_set_servers(g, address), GMAN_OK);
	CHECK(gman_sockets(g) == 1); /* the same servers */
	gman_disconnect(g);
	CHECK(gman_sockets(g) == 0);
	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_OK);
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
	CHECK_CODE(gman_do(g, &job, &result), GMAN_OK);
	CHECK(is_result(&result, "done"));
	gman_free(g);
	stop_server(listener, thread);
}

static void test_without_servers_nothing_is_sent(void)
{
	struct gman *g = gman_new();
	struct gman_bytes result;

	CHECK_CODE(gman_do(g, &reverse, &result), GMAN_NO_SERVER);
	CHECK(strcmp(gman_error(g), "no servers are set") == 0);
	CHECK_CODE(gman_set_servers(g, "a:b"), GMAN_ARGUMENT);
	CHECK_CODE(gman_adopt(g, 0), GMAN_ARGUMENT);
	gman_free(g);
	gman_free(NULL);
}

int main(void)
{
	test_lists_are_read();
	test_lists_are_merged();
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
	test_a_list_fails_over();
	test_the_next_call_connects_again();
	test_a_large_workload_is_sent_in_parts();
	test_without_servers_nothing_is_sent();
	if (failures > 0) {
		printf("gman_test: %d failures\n", failures);
		return 1;
	}
	printf("gman_test: ok\n");
	return 0;
}
