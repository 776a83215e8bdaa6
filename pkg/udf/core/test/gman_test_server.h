/*
 * gman_test_server.h has the fake servers on loopback that tests of connections
 * share.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GMAN_TEST_SERVER_H
#define GMAN_TEST_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

#include "gman_test.h"

/* listen_on opens a listener on loopback and writes its address. */
static inline int listen_on(int backlog, char address[32], struct sockaddr_in *at)
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
static inline int read_all(int fd, void *data, size_t len)
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
 * add_answer appends the answer to a request: the echo of ECHO_REQ, and the
 * result "done" for a foreground job. It returns 0 for a job of the function
 * close, whose connection must be closed.
 */
static inline int add_answer(struct script *s, int type, const char *body, size_t len)
{
	if (type == 16)
		put_packet(s, ECHO_RES, body, len);
	if (type == 7) {
		if (len >= 6 && memcmp(body, "close", 6) == 0)
			return 0;
		PUT(s, JOB_CREATED, "H:f:1");
		PUT(s, WORK_COMPLETE, "H:f:1\0done");
	}
	return 1;
}

/* serve answers connections to the listener *arg, one after the other, until it is closed. */
static inline void *serve(void *arg)
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
			if (!add_answer(&s, head[7], body, len))
				break;
			if (s.len > 0 && send(fd, s.bytes, s.len, MSG_NOSIGNAL) < 0)
				break;
		}
		close(fd);
	}
	return NULL;
}

/* stop_server ends serve when its clients have closed. */
static inline void stop_server(int listener, pthread_t thread)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
}

#endif
