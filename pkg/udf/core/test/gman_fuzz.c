/*
 * gman_fuzz.c sends arbitrary bytes to the client as the answers of a server,
 * as the text of lists of servers, and as the output of getent. With -DLIBFUZZER it is a target for
 * libFuzzer. Otherwise it is a program that mutates the built-in replies:
 *
 *   gman_fuzz RUNS [SEED]
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gman_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* sum_bytes is a gman_done_fn that reads all bytes of a result. */
static enum gman_code sum_bytes(void *arg, size_t i, const char *data, size_t len)
{
	unsigned *sum = arg;

	while (len > 0)
		*sum += (unsigned char)data[--len];
	*sum += (unsigned)i;
	return GMAN_OK;
}

/* check_error aborts if the text of an error is not on one line. */
static void check_error(const struct gman *g)
{
	const char *c;

	for (c = gman_error(g); *c != 0; c++)
		if ((unsigned char)*c < 0x20)
			abort();
}

/* run_call makes the call that the first byte selects. */
static void run_call(struct gman *g, uint8_t call)
{
	static const struct gman_job jobs[3] = {
	    {"reverse", 7, NULL, 0, "Hello World!", 12, GMAN_NORMAL},
	    {"reverse", 7, "unique", 6, "", 0, GMAN_HIGH},
	    {"reverse", 7, "-", 1, "x", 1, GMAN_LOW},
	};
	struct gman_bytes result = {"", 0};
	struct gman_status status;
	char handle[GMAN_HANDLE_SIZE];
	unsigned sum = 0;

	switch (call % 6) {
	case 0:
		if (gman_call(g, &jobs[0], &result) <= GMAN_FAILED)
			(void)sum_bytes(&sum, 0, result.data, result.len);
		break;
	case 1:
		(void)gman_run(g, jobs, 3, sum_bytes, &sum);
		break;
	case 2:
		(void)gman_get_status(g, "H:a:1", &status);
		break;
	case 3:
		if (gman_get_result(g, "H:a:1", &result) <= GMAN_FAILED)
			(void)sum_bytes(&sum, 0, result.data, result.len);
		break;
	case 4:
		(void)gman_echo(g, "echo", 4);
		break;
	default:
		if (gman_submit(g, &jobs[1], handle) == GMAN_OK && strlen(handle) == 0)
			abort();
	}
	check_error(g);
}

/* answer_with makes a call whose server answers with bytes and closes. */
static void answer_with(uint8_t call, const uint8_t *data, size_t size)
{
	struct gman *g = gman_new();
	int pair[2];

	if (g == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		abort();
	if (fcntl(pair[1], F_SETFL, O_NONBLOCK) != 0)
		abort();
	(void)!write(pair[1], data, size);
	(void)shutdown(pair[1], SHUT_WR);
	gman_set_limits(g, 50, 500, 4096);
	if (gman_set_servers(g, "127.0.0.1:1") != GMAN_OK || gman_adopt(g, pair[0]) != GMAN_OK)
		abort();
	run_call(g, call);
	close(pair[1]);
	gman_free(g);
}

/* read_lists reads bytes as lists of servers, and merges them. */
static void read_lists(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), out[GMAN_SERVERS_SIZE];

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	if (gman_check_servers(text) &&
	    gman_merge_servers(text, "reverse", "a:1,[::1]", out) == GMAN_OK && !gman_check_servers(out))
		abort();
	(void)gman_merge_servers("a; b=c", text, "d", out);
	(void)gman_merge_servers("a; b=c", "e", text, out);
	free(text);
}

/* read_addresses reads bytes as the output of getent. */
static void read_addresses(const uint8_t *data, size_t size)
{
	struct conn *c = calloc(1, sizeof *c);
	char *text = malloc(size + 1);

	if (c == NULL || text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	gmani_add_output(c, text);
	if (c->addrs > MAX_ADDRS)
		abort();
	free(text);
	free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 's')
		read_lists(data + 1, size - 1);
	else if (data[0] == 'g')
		read_addresses(data + 1, size - 1);
	else
		answer_with(data[0], data + 1, size - 1);
	return 0;
}

#ifndef LIBFUZZER

#define SEED(text) {(text), sizeof(text) - 1}

/* The first byte of a seed selects the call. */
static const struct {
	const char *bytes;
	size_t len;
} seeds[] = {
    SEED("\x00\0RES\0\0\0\x08\0\0\0\x05H:a:1\0RES\0\0\0\x0d\0\0\0\x0bH:a:1\0!dlro"),
    SEED("\x00\0RES\0\0\0\x08\0\0\0\x05H:a:1\0RES\0\0\0\x1c\0\0\0\x08H:a:1\0ab\0RES\0\0\0\x0d\0\0\0\x06H:a:1\0"),
    SEED("\x00\0RES\0\0\0\x08\0\0\0\x05H:a:1\0RES\0\0\0\x19\0\0\0\x0bH:a:1\0wrong\0RES\0\0\0\x0e\0\0\0\x05H:a:1"),
    SEED("\x00\0RES\0\0\0\x13\0\0\0\x10QUEUE_ERROR\0full"),
    SEED("\x01\0RES\0\0\0\x08\0\0\0\x05H:a:1\0RES\0\0\0\x08\0\0\0\x05H:a:2\0RES\0\0\0\x08\0\0\0\x05H:a:3"
         "\0RES\0\0\0\x0d\0\0\0\x07H:a:2\0x\0RES\0\0\0\x0d\0\0\0\x07H:a:1\0y\0RES\0\0\0\x0d\0\0\0\x07H:a:3\0z"),
    SEED("\x02\0RES\0\0\0\x14\0\0\0\x10H:a:1\0" "1\0" "1\0" "50\0" "100"),
    SEED("\x03{\"handle\":\"H:a:1\",\"state\":\"completed\",\"ended_ms\":1,\"size\":3,\"kept\":true}\nabc.\n"),
    SEED("\x03{\"handle\":\"H:a:1\",\"state\":\"failed\",\"error\":\"a\\\"b\",\"size\":0,\"kept\":true}\n.\n"),
    SEED("\x03" "ERR UNKNOWN_JOB\r\n"),
    SEED("\x04\0RES\0\0\0\x11\0\0\0\x04" "echo"),
    SEED("\x05\0RES\0\0\0\x08\0\0\0\x05H:a:1"),
    SEED("g192.0.2.1      STREAM db\n192.0.2.1      DGRAM\n2001:db8::1  STREAM\n::1 STREAM\n"),
    SEED("slocalhost, db2:4731; resize=img1,img2; report=[::1]:4732"),
};

/* next_random is xorshift64. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* mutate changes up to 4 places of data: bytes, cuts, repetitions and sizes. */
static size_t mutate(uint8_t *data, size_t size, size_t cap, uint64_t *state)
{
	int n = (int)(next_random(state) % 5);

	for (; n > 0 && size > 1; n--) {
		size_t at = 1 + next_random(state) % (size - 1), len;

		switch (next_random(state) % 5) {
		case 0:
			data[at] = (uint8_t)next_random(state);
			break;
		case 1:
			data[at] ^= (uint8_t)(1u << next_random(state) % 8);
			break;
		case 2:
			size = at;
			break;
		case 3: /* insert a copy of the bytes from at */
			len = size - at < cap - size ? size - at : cap - size;
			memmove(data + at + len, data + at, size - at);
			size += len;
			break;
		default: /* remove some bytes */
			len = next_random(state) % (size - at);
			memmove(data + at, data + at + len, size - at - len);
			size -= len;
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	long runs = argc > 1 ? strtol(argv[1], NULL, 10) : 10000, i;
	uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 88172645463325252u;
	size_t count = sizeof seeds / sizeof seeds[0];
	uint8_t data[4096];

	for (i = 0; i < runs; i++) {
		size_t seed = (size_t)i % count, size = seeds[seed].len;

		memcpy(data, seeds[seed].bytes, size);
		if ((size_t)i >= count) /* the first round is without changes */
			size = mutate(data, size, sizeof data, &state);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("gman_fuzz: %ld runs\n", runs);
	return 0;
}

#endif
