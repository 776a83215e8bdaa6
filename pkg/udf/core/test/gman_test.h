/*
 * gman_test.h has the checks and the scripts of fake servers that the tests of
 * the client share.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GMAN_TEST_H
#define GMAN_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gman_internal.h"

static int failures;

#define CHECK(condition) check((condition) != 0, #condition, __func__, __LINE__)
#define CHECK_CODE(got, want) check_code(got, want, __func__, __LINE__, g)

static inline void check(int ok, const char *condition, const char *function, int line)
{
	if (ok)
		return;
	printf("%s:%d: not true: %s\n", function, line, condition);
	failures++;
}

static inline void check_code(enum gman_code got, enum gman_code want, const char *function, int line, const struct gman *g)
{
	if (got == want)
		return;
	printf("%s:%d: code %d (%s), want %d\n", function, line, (int)got, gman_error(g), (int)want);
	failures++;
}

/* must ends the program if a system call has failed. */
static inline int must(int result, const char *operation)
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

static inline void put_bytes(struct script *s, const void *data, size_t len)
{
	memcpy(s->bytes + s->len, data, len);
	s->len += len;
}

/* put_packet appends a reply with a body. */
static inline void put_packet(struct script *s, unsigned type, const void *body, size_t len)
{
	unsigned char head[12] = {0, 'R', 'E', 'S', 0, 0, 0, (unsigned char)type, 0, 0, 0, 0};

	head[10] = (unsigned char)(len >> 8);
	head[11] = (unsigned char)len;
	put_bytes(s, head, sizeof head);
	put_bytes(s, body, len);
}

#define PUT(s, type, body) put_packet(s, type, body, sizeof(body) - 1)

static const struct gman_job reverse __attribute__((unused)) = {"reverse", 7, NULL, 0, "Hello World!", 12, GMAN_NORMAL};

static inline int is_result(const struct gman_bytes *b, const char *want)
{
	return b->len == strlen(want) && memcmp(b->data, want, b->len) == 0;
}

/* report_failures prints the result of a program, and returns its exit code. */
static inline int report_failures(const char *program)
{
	if (failures > 0) {
		printf("%s: %d failures\n", program, failures);
		return 1;
	}
	printf("%s: ok\n", program);
	return 0;
}

#endif
