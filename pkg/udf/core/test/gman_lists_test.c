/*
 * gman_lists_test.c tests the text of lists of servers.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gman_test.h"

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
	    {"a; resize=b", NULL, "c; report=d", "c; report=d"},
	    {"a; resize=b", "", ";report=d", ";report=d"},
	    {"a", NULL, "b;c", NULL},
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

int main(void)
{
	test_lists_are_read();
	test_lists_are_merged();
	return report_failures("gman_lists_test");
}
