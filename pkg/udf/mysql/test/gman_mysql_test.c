/*
 * gman_mysql_test.c tests the functions as a database server calls them.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "statement.h"

#define FUNCTION(name) {name##_init, name##_deinit, name}
static const struct function servers_set = FUNCTION(gman_servers_set), setting = FUNCTION(gman_setting),
                             do_normal = FUNCTION(gman_do), do_background = FUNCTION(gman_do_background),
                             get_status = FUNCTION(gman_status), get_result = FUNCTION(gman_result);

static void set_servers(int port)
{
	char servers[64];
	struct outcome o;

	snprintf(servers, sizeof servers, "127.0.0.1:%d", port);
	o = call_strings(&servers_set, servers, NULL, NULL);
	CHECK(is_text(&o, servers));
}

static void test_jobs(void)
{
	struct outcome o = call_strings(&do_normal, "reverse", "Hello World!", NULL);
	struct arguments a;
	static const struct function others[] = {FUNCTION(gman_do_high), FUNCTION(gman_do_low), FUNCTION(gman_do_high_background),
	                                         FUNCTION(gman_do_low_background)};
	size_t i;

	CHECK(is_text(&o, "!dlroW olleH"));
	o = call_strings(&do_background, "reverse", "x", "unique");
	CHECK(!o.null && memcmp(o.text, "H:fake:", 7) == 0);
	for (i = 0; i < 4; i++) {
		o = call_strings(&others[i], "reverse", "ab", NULL);
		CHECK(i < 2 ? is_text(&o, "ba") : memcmp(o.text, "H:fake:", 7) == 0);
	}
	o = call_strings(&do_normal, "echo", NULL, NULL);
	CHECK(is_text(&o, ""));
	memset(&a, 0, sizeof a);
	put_string(&a, "reverse");
	put_argument(&a, "a\0b", 3);
	o = call(&do_normal, &a, 2);
	CHECK(!o.null && o.length == 3 && memcmp(o.text, "b\0a", 3) == 0);
}

static void test_arguments(void)
{
	int before = jobs_submitted();
	struct outcome o = call_strings(&do_normal, NULL, NULL, NULL);
	struct arguments a;

	CHECK(o.null && o.error == 0);
	o = call_strings(&do_normal, "reverse", NULL, "unique"); /* a NULL as workload */
	CHECK(o.null && o.error == 0);
	o = call_strings(&do_normal, "", NULL, NULL);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
	o = call_strings(&do_background, "", NULL, NULL);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
	memset(&a, 0, sizeof a);
	o = call(&do_normal, &a, 1);
	CHECK(o.refused && strcmp(o.text, "usage: gman_do(function [, workload [, unique]])") == 0);
	put_string(&a, "a");
	put_string(&a, "b");
	o = call(&get_status, &a, 1);
	CHECK(o.refused);
	put_string(&a, "c");
	o = call(&setting, &a, 1);
	CHECK(o.refused);
	put_string(&a, "d");
	o = call(&do_normal, &a, 1);
	CHECK(o.refused);
	CHECK(jobs_submitted() == before);
}

/* test_large keeps results of growing sizes in one statement. */
static void test_large(void)
{
	struct arguments a;
	size_t sizes[] = {UDF_RESULT_SIZE, UDF_RESULT_SIZE + 1, 100000, 5, 3000000}, i;
	char *large = malloc(3000000), result[UDF_RESULT_SIZE], message[UDF_MESSAGE_SIZE];
	struct udf_init init;
	unsigned long length;
	unsigned char is_null, error = 0;

	if (large == NULL)
		abort();
	memset(large, 'x', 3000000);
	memset(&a, 0, sizeof a);
	put_string(&a, "echo");
	put_argument(&a, large, 0);
	CHECK(gman_do_init(&init, &a.args, message) == 0);
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const char *text;

		a.lengths[1] = sizes[i];
		text = gman_do(&init, &a.args, result, &length, &is_null, &error);
		CHECK(text != NULL && length == sizes[i] && memcmp(text, large, length) == 0);
	}
	gman_do_deinit(&init);
	free(large);
}

/* test_memory sees that a client without a call keeps no large result. */
static void test_memory(int port)
{
	static char large[3000000];
	struct gman_job job = {"echo", 4, NULL, 0, large, sizeof large, GMAN_NORMAL};
	struct gman *g = gman_new();
	struct gman_bytes bytes;
	size_t before = gman_memory(g);
	char servers[64];
	int i;

	snprintf(servers, sizeof servers, "127.0.0.1:%d", port);
	CHECK_CODE(gman_set_servers(g, servers), GMAN_OK);
	for (i = 0; i < 2; i++) {
		CHECK_CODE(gman_call(g, &job, &bytes), GMAN_OK);
		CHECK(bytes.len == sizeof large && gman_memory(g) > sizeof large);
		gman_free_result(g);
		CHECK(gman_memory(g) < before + 20000);
		CHECK(gman_sockets(g) == 1);
	}
	gman_free(g);
}

static void test_questions(void)
{
	char handle[GMAN_HANDLE_SIZE + 10];
	struct arguments a;
	struct outcome o = call_strings(&get_status, "H:fake:1", NULL, NULL);

	CHECK(is_text(&o, "{\"known\": true, \"running\": true, \"numerator\": 3, \"denominator\": 7}"));
	o = call_strings(&get_status, "H:none", NULL, NULL);
	CHECK(is_text(&o, "{\"known\": false, \"running\": false, \"numerator\": 0, \"denominator\": 0}"));
	o = call_strings(&get_status, NULL, NULL, NULL);
	CHECK(o.null && o.error == 0);
	o = call_strings(&get_result, NULL, NULL, NULL);
	CHECK(o.null && o.error == 0);
	memset(handle, 'h', sizeof handle - 1);
	handle[sizeof handle - 1] = 0;
	o = call_strings(&get_status, handle, NULL, NULL);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
	memset(&a, 0, sizeof a);
	put_argument(&a, "H:fake:1\0x", 10);
	o = call(&get_result, &a, 1);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
	o = call_strings(&get_status, "", NULL, NULL);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
}

static void test_failures(int port)
{
	struct outcome o = call_strings(&do_normal, "fail", "x", NULL);

	CHECK(is_error(&o, UDF_ERROR_FAILED));
	o = call_strings(&setting, "timeout", "50ms", NULL);
	CHECK(is_text(&o, "50ms"));
	o = call_strings(&do_normal, "hang", "x", NULL);
	CHECK(is_error(&o, UDF_ERROR_TIMEOUT));
	o = call_strings(&setting, "timeout", "0", NULL);
	CHECK(is_text(&o, "0ms"));
	if (sql_kills) {
		sql_kill(1);
		o = call_strings(&do_normal, "hang", "x", NULL);
		CHECK(is_error(&o, UDF_ERROR_INTERRUPTED));
		sql_kill(0);
	}
	o = call_strings(&setting, "timeout", "10s", NULL);
	CHECK(is_text(&o, "10s"));
	o = call_strings(&servers_set, "127.0.0.1:1", NULL, NULL);
	CHECK(is_text(&o, "127.0.0.1:1"));
	o = call_strings(&do_background, "reverse", "x", NULL);
	CHECK(is_error(&o, UDF_ERROR_NO_SERVER));
	o = call_strings(&setting, "on_error", "NULL", NULL);
	CHECK(is_text(&o, "null"));
	o = call_strings(&do_background, "reverse", "x", NULL);
	CHECK(o.null && o.error == (sql_warnings ? UDF_ERROR_NO_SERVER + 100000 : 0));
	o = call_strings(&do_background, "", "x", NULL);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
	o = call_strings(&setting, "on_error", "error", NULL);
	CHECK(is_text(&o, "error"));
	set_servers(port);
}

static void test_settings(int port)
{
	static const struct {
		const char *name, *value, *want; /* want NULL: an error */
	} tests[] = {
	    {"timeout", "1500", "1500ms"},
	    {"timeout", "120 s", "2min"},
	    {"TIMEOUT", "2h", "2h"},
	    {"timeout", "-1", NULL},
	    {"timeout", "", NULL},
	    {"timeout", "1.5s", NULL},
	    {"timeout", "99999999999", NULL},
	    {"timeout", "597h", NULL},
	    {"timeout", "10s", "10s"},
	    {"connect_timeout", "0", NULL},
	    {"connect_timeout", "250ms", "250ms"},
	    {"connect_timeout", "1s", "1s"},
	    {"max_result", "16MB", "16MB"},
	    {"max_result", "100", "100kB"},
	    {"max_result", "100B", "100B"},
	    {"max_result", "0", NULL},
	    {"max_result", "2GB", NULL},
	    {"max_result", "256MB", "256MB"},
	    {"on_error", "maybe", NULL},
	    {"nothing", "1", NULL},
	    {"a name that is longer than all the names of settings", "1", NULL},
	    {"tls", "on", NULL},
	    {"tls_verify", "none", NULL},
	    {"tls_ca", "/etc/passwd", NULL},
	    {"servers", "a;b", NULL},
	    {"servers", "a:1; reverse=b", "a:1; reverse=b"},
	};
	size_t i;
	struct outcome o;

	for (i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		o = call_strings(&setting, tests[i].name, tests[i].value, NULL);
		CHECK(tests[i].want == NULL ? is_error(&o, UDF_ERROR_ARGUMENT) : is_text(&o, tests[i].want));
	}
	o = call_strings(&setting, "timeout", NULL, NULL);
	CHECK(is_text(&o, "10s"));
	o = call_strings(&servers_set, "c", "reverse", NULL);
	CHECK(is_text(&o, "a:1; reverse=c"));
	o = call_strings(&servers_set, NULL, "reverse", NULL);
	CHECK(is_text(&o, "a:1"));
	o = call_strings(&servers_set, "a/b", NULL, NULL);
	CHECK(is_error(&o, UDF_ERROR_ARGUMENT));
	set_servers(port);
}

/* add_up runs gman_sum for workloads up to a NULL, and reports whether the sum is want. */
static int add_up(const char *function, const char *const *workloads, long long want, unsigned int want_error)
{
	struct arguments a;
	struct udf_init init;
	char message[UDF_MESSAGE_SIZE];
	unsigned char is_null = 0, error = 0;
	long long sum;
	unsigned int number;

	memset(&a, 0, sizeof a);
	put_string(&a, function);
	put_string(&a, "");
	if (gman_sum_init(&init, &a.args, message))
		return 0;
	gman_sum_clear(&init, &is_null, &error);
	for (; *workloads != NULL; workloads++) {
		a.values[1] = NULL;
		gman_sum_add(&init, &a.args, &is_null, &error); /* adds none */
		a.values[1] = ((union { const char *in; char *out; }){*workloads}).out;
		a.lengths[1] = strlen(*workloads);
		gman_sum_add(&init, &a.args, &is_null, &error);
	}
	sum = gman_sum(&init, &a.args, &is_null, &error);
	number = sql_error();
	gman_sum_deinit(&init);
	if (want_error != 0)
		return is_null && (sql_errors ? number == want_error : error == 1);
	return number == 0 && !error && !is_null && sum == want;
}

#define ADD_UP(function, want, error, ...) add_up(function, (const char *const[]){__VA_ARGS__, NULL}, want, error)

static void test_sum(void)
{
	struct arguments a;
	struct udf_init init;
	char message[UDF_MESSAGE_SIZE], number[16];
	unsigned char is_null = 0, error = 0;
	int i;

	CHECK(ADD_UP("number", 42, 0, "1", " 41\n"));
	CHECK(ADD_UP("number", 0, 0, "-0", "+0"));
	CHECK(ADD_UP("number", -3, 0, "-1", "-2"));
	CHECK(ADD_UP("number", 9223372036854775807, 0, "9223372036854775807"));
	CHECK(ADD_UP("number", -9223372036854775807 - 1, 0, "-9223372036854775808"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_OUT_OF_RANGE, "9223372036854775808"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_OUT_OF_RANGE, "-9223372036854775809"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_OUT_OF_RANGE, "9223372036854775807", "1"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_OUT_OF_RANGE, "99999999999999999999999999999999999999999999999999999999999999999999"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_NOT_A_NUMBER, "1.5"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_NOT_A_NUMBER, ""));
	CHECK(ADD_UP("number", 0, UDF_ERROR_NOT_A_NUMBER, "1", "x"));
	CHECK(ADD_UP("number", 0, UDF_ERROR_NOT_A_NUMBER, "-"));
	CHECK(ADD_UP("fail", 0, UDF_ERROR_FAILED, "1", "2"));

	/* 1000 jobs in a group, with uniques and two functions, after a group that is dropped. */
	memset(&a, 0, sizeof a);
	put_string(&a, "number");
	put_argument(&a, number, 0);
	put_string(&a, "unique");
	CHECK(gman_sum_init(&init, &a.args, message) == 0);
	a.lengths[1] = (unsigned long)snprintf(number, sizeof number, "7");
	gman_sum_reset(&init, &a.args, &is_null, &error);
	gman_sum_clear(&init, &is_null, &error);
	for (i = 1; i <= 1000; i++) {
		a.lengths[1] = (unsigned long)snprintf(number, sizeof number, "%d", i);
		a.lengths[2] = i % 3 == 0 ? 6 : 0;
		a.values[0] = ((union { const char *in; char *out; }){i % 200 == 0 ? "echo" : "number"}).out;
		a.lengths[0] = strlen(a.values[0]);
		gman_sum_add(&init, &a.args, &is_null, &error);
	}
	CHECK(gman_sum(&init, &a.args, &is_null, &error) == 500500 && !is_null && sql_error() == 0);
	gman_sum_clear(&init, &is_null, &error);
	CHECK(gman_sum(&init, &a.args, &is_null, &error) == 0 && is_null);
	gman_sum_deinit(&init);
}

/* call_many is a session: it calls functions of all kinds, and changes settings. */
static void *call_many(void *arg)
{
	int i, port = *(const int *)arg;

	for (i = 0; i < 60; i++) {
		struct outcome o = call_strings(&do_normal, "reverse", "Hello World!", NULL);

		CHECK(is_text(&o, "!dlroW olleH"));
		o = call_strings(&do_background, "reverse", "x", NULL);
		CHECK(!o.null);
		if (i % 20 == 0)
			set_servers(port);
		o = call_strings(&setting, "timeout", "10s", NULL);
		CHECK(is_text(&o, "10s"));
	}
	return NULL;
}

/* test_threads calls the functions from more threads than clients are kept, and counts those afterwards. */
static void test_threads(int port)
{
	enum { THREADS = 64 };
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, call_many, &port) != 0)
			abort();
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < 3000 && job_connections() > UDF_MAX_IDLE_CLIENTS; i++)
		usleep(10000); /* the job server closes its end later */
	CHECK(job_connections() <= UDF_MAX_IDLE_CLIENTS);
}

static void test_version(void)
{
	static const struct function version = {gman_version_init, gman_servers_set_deinit, gman_version};
	struct arguments a;
	struct outcome o;

	memset(&a, 0, sizeof a);
	o = call(&version, &a, 1);
	CHECK(is_text(&o, GMAN_VERSION));
}

/* test_environment sees that a wrong variable is an error of each statement. */
static void test_environment(void)
{
	struct outcome o = call_strings(&do_normal, "reverse", "x", NULL);

	CHECK(o.refused && strcmp(o.text, "gearman: GEARMAN_TIMEOUT=soon is not 0 or a time such as 500ms or 10s") == 0);
	o = call_strings(&setting, "connect_timeout", NULL, NULL);
	CHECK(is_text(&o, "300ms"));
	o = call_strings(&setting, "servers", NULL, NULL);
	CHECK(is_text(&o, "db1:4731,db2"));
	o = call_strings(&setting, "tls", NULL, NULL);
	CHECK(is_text(&o, gman_has_tls() ? "on" : "off"));
	o = call_strings(&setting, "tls_verify", NULL, NULL);
	CHECK(is_text(&o, "chain"));
	o = call_strings(&setting, "tls_ca", NULL, NULL);
	CHECK(is_text(&o, "/etc/ca.pem"));
}

int main(int argc, char **argv)
{
	int port, status;
	pid_t child;

	if (argc > 1) {
		test_environment();
		return report_failures("environment");
	}
	child = must(fork(), "fork");
	if (child == 0) {
		setenv("GEARMAN_TIMEOUT", "soon", 1);
		setenv("GEARMAN_CONNECT_TIMEOUT", "300ms", 1);
		setenv("GEARMAN_TLS", gman_has_tls() ? "ON" : "off", 1);
		setenv("GEARMAN_TLS_VERIFY", "chain", 1);
		setenv("GEARMAN_TLS_CA", "/etc/ca.pem", 1);
		setenv("GEARMAN_SERVERS", "db1:4731,db2", 1);
		must(execl(argv[0], argv[0], "environment", (char *)NULL), "exec");
	}
	must(waitpid(child, &status, 0), "waitpid");
	CHECK(status == 0);
	unsetenv("GEARMAN_SERVERS");
	port = start_job_server();
	set_servers(port);
	test_jobs();
	test_arguments();
	test_large();
	test_memory(port);
	test_questions();
	test_failures(port);
	test_settings(port);
	test_sum();
	test_threads(port);
	test_version();
	return report_failures(argv[0]);
}
