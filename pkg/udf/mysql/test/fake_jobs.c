/*
 * fake_jobs.c is a job server for tests.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"
#include "gman_test.h"

static int submitted, connections;

int jobs_submitted(void) { return __atomic_load_n(&submitted, __ATOMIC_SEQ_CST); }

int job_connections(void) { return __atomic_load_n(&connections, __ATOMIC_SEQ_CST); }

/* receive fills a buffer. It returns 0 at the end of the connection. */
static int receive(int fd, char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = recv(fd, data, len, 0);

		if (n <= 0)
			return 0;
		data += n;
		len -= (size_t)n;
	}
	return 1;
}

/* reply sends a packet of up to two parts. */
static void reply(int fd, unsigned type, const char *first, size_t first_len, const char *second, size_t second_len)
{
	uint32_t len = (uint32_t)(first_len + second_len), big = htonl(len);
	char *out = malloc(12 + len);

	if (out == NULL)
		abort();
	memcpy(out, "\0RES\0\0\0", 8);
	out[7] = (char)type;
	memcpy(out + 8, &big, 4);
	memcpy(out + 12, first, first_len);
	if (second_len > 0)
		memcpy(out + 12 + first_len, second, second_len);
	(void)!send(fd, out, 12 + len, MSG_NOSIGNAL);
	free(out);
}

static void reverse_bytes(char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len / 2; i++) {
		char c = data[i];

		data[i] = data[len - 1 - i];
		data[len - 1 - i] = c;
	}
}

/* submit answers a SUBMIT_JOB packet. */
static void submit(int fd, char *body, size_t len, int background)
{
	const char *function = body, *unique = body + strlen(body) + 1;
	char *workload = body + strlen(function) + strlen(unique) + 2, handle[32];
	size_t size = len - (size_t)(workload - body);
	size_t handle_size = (size_t)snprintf(handle, sizeof handle, "H:fake:%d", __atomic_add_fetch(&submitted, 1, __ATOMIC_SEQ_CST));

	reply(fd, JOB_CREATED, handle, handle_size, NULL, 0);
	if (background)
		return;
	handle_size++; /* a NUL is between the handle and the data */
	if (strcmp(function, "reverse") == 0)
		reverse_bytes(workload, size);
	if (strcmp(function, "reverse") == 0 || strcmp(function, "echo") == 0 || strcmp(function, "number") == 0)
		reply(fd, WORK_COMPLETE, handle, handle_size, workload, size);
	if (strcmp(function, "fail") == 0)
		reply(fd, WORK_FAIL, handle, handle_size - 1, NULL, 0);
}

/* serve_connection answers the packets of a client. */
static void *serve_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char head[12];

	while (receive(fd, head, sizeof head)) {
		uint32_t len;
		char *body;

		memcpy(&len, head + 8, 4);
		len = ntohl(len);
		body = calloc(1, (size_t)len + 1);
		if (body == NULL)
			abort();
		if (!receive(fd, body, len)) {
			free(body);
			break;
		}
		switch (head[7]) {
		case 16: /* ECHO_REQ */
			reply(fd, ECHO_RES, body, len, NULL, 0);
			break;
		case 15: { /* GET_STATUS */
			static const char rest[] = "\0001\0001\0003\0007";

			if (strcmp(body, "H:none") == 0)
				reply(fd, STATUS_RES, body, len, "\0000\0000\0000\0000", 8);
			else
				reply(fd, STATUS_RES, body, len, rest, sizeof rest - 1);
			break;
		}
		case 7:  /* SUBMIT_JOB, _HIGH, _LOW */
		case 21:
		case 33:
			submit(fd, body, len, 0);
			break;
		case 18: /* and their background forms */
		case 32:
		case 34:
			submit(fd, body, len, 1);
			break;
		default:
			break;
		}
		free(body);
	}
	close(fd);
	__atomic_sub_fetch(&connections, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *accept_connections(void *arg)
{
	int listener = (int)(intptr_t)arg;

	for (;;) {
		int fd = accept(listener, NULL, NULL), on = 1;
		pthread_t thread;

		if (fd < 0)
			return NULL;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		__atomic_add_fetch(&connections, 1, __ATOMIC_SEQ_CST);
		if (pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) != 0)
			abort();
		pthread_detach(thread);
	}
}

int start_job_server(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;
	pthread_t thread;
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

	memset(&addr, 0, sizeof addr);
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)&addr, sizeof addr), "bind");
	must(listen(fd, 128), "listen");
	must(getsockname(fd, (struct sockaddr *)&addr, &len), "getsockname");
	if (pthread_create(&thread, NULL, accept_connections, (void *)(intptr_t)fd) != 0)
		abort();
	pthread_detach(thread);
	return ntohs(addr.sin_port);
}
