/*
 * gman_conn.c keeps the connections of a client: it connects with a limit,
 * tests that a server answers, waits through the hooks, sends and receives.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gman_internal.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SO_NOSIGPIPE takes its place */
#endif

/* gmani_now returns the time in milliseconds. It never goes back. */
int64_t gmani_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0 /* a program that another thread starts meanwhile inherits the socket */
#endif

/* set_errno_error is gmani_set_error for a system call that failed with number. */
static enum gman_code set_errno_error(struct gman *g, enum gman_code code, const struct conn *c,
                                      const char *operation, int number)
{
	return gmani_set_error(g, code, "%s %s:%d: %s", operation, c->host, c->port, strerror(number));
}

/* gmani_close closes a connection. Received bytes stay readable until the next call. */
void gmani_close(struct conn *c)
{
	gmani_tls_close(c);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* gmani_fail closes a connection, so that its server is tried last for a while. */
enum gman_code gmani_fail(struct conn *c)
{
	gmani_close(c);
	c->backoff = c->backoff == 0 ? FIRST_BACKOFF_MS : c->backoff * 2;
	if (c->backoff > MAX_BACKOFF_MS)
		c->backoff = MAX_BACKOFF_MS;
	c->retry_at = gmani_now() + c->backoff;
	c->addrs = 0; /* the name may have another address now */
	return GMAN_NO_SERVER;
}

/*
 * check_interrupt reports interrupts and the end of the call's time while fd never makes
 * the call wait: a server may send without a pause.
 */
static enum gman_code check_interrupt(struct gman *g, int fd)
{
	int64_t now = gmani_now();

	if (now - g->checked < GMAN_SLICE_MS)
		return GMAN_OK;
	g->checked = now;
	if (now >= g->deadline)
		return gmani_set_error(g, GMAN_TIMEOUT, "no answer in time");
	if (g->hooks.wait != NULL ? g->hooks.wait(g->hooks.arg, fd, GMAN_READ, 0) < 0
	                          : g->hooks.interrupted != NULL && g->hooks.interrupted(g->hooks.arg))
		return gmani_set_error(g, GMAN_INTERRUPTED, "interrupted");
	return GMAN_OK;
}

/* gmani_wait waits until fd may be ready for events. */
enum gman_code gmani_wait(struct gman *g, int fd, int events, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline == NO_DEADLINE ? -1 : deadline - gmani_now();
		int n;

		if (deadline != NO_DEADLINE && left <= 0)
			return gmani_set_error(g, GMAN_TIMEOUT, "no answer in time");
		if (left > INT32_MAX)
			left = INT32_MAX;
		if (g->hooks.wait != NULL) {
			n = g->hooks.wait(g->hooks.arg, fd, events, (int)left);
		} else {
			struct pollfd p = {fd, 0, 0};

			if (g->hooks.interrupted != NULL && g->hooks.interrupted(g->hooks.arg))
				return gmani_set_error(g, GMAN_INTERRUPTED, "interrupted");
			if (events & GMAN_READ)
				p.events |= POLLIN;
			if (events & GMAN_WRITE)
				p.events |= POLLOUT;
			n = poll(&p, 1, left < 0 || left > GMAN_SLICE_MS ? GMAN_SLICE_MS : (int)left);
			if (n < 0 && errno != EINTR)
				return gmani_set_error(g, GMAN_LOST, "poll failed");
			if (n < 0)
				n = 0;
		}
		if (n < 0)
			return gmani_set_error(g, GMAN_INTERRUPTED, "interrupted");
		g->checked = gmani_now();
		if (n > 0)
			return GMAN_OK;
	}
}

/* gmani_wait_conn is gmani_wait for a connection: TLS may have to read before it can write. */
enum gman_code gmani_wait_conn(struct gman *g, const struct conn *c, int events, int64_t deadline)
{
	int needs = 0;

	if (events & GMAN_READ)
		needs |= c->read_needs != 0 ? c->read_needs : GMAN_READ;
	if (events & GMAN_WRITE)
		needs |= c->write_needs != 0 ? c->write_needs : GMAN_WRITE;
	return gmani_wait(g, c->fd, needs, deadline);
}

/* send_parts sends bytes once. *n is 0 if the system takes none without waiting. */
static enum gman_code send_parts(struct gman *g, struct conn *c, struct iovec *part, int parts, size_t *n)
{
	struct msghdr m;
	ssize_t sent;

	*n = 0;
	if (c->ssl != NULL)
		return gmani_tls_write(g, c, part, parts, n);
	memset(&m, 0, sizeof m);
	m.msg_iov = part;
	m.msg_iovlen = (size_t)parts;
	do
		sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return set_errno_error(g, GMAN_LOST, c, "send to", errno);
	*n = sent < 0 ? 0 : (size_t)sent;
	return GMAN_OK;
}

/*
 * gmani_write sends as much of the parts as the system takes without waiting,
 * and removes the sent bytes from them. *parts is 0 when all is sent.
 */
enum gman_code gmani_write(struct gman *g, struct conn *c, struct iovec *part, int *parts)
{
	while (*parts > 0) {
		size_t sent;
		enum gman_code code = send_parts(g, c, part, *parts, &sent);

		if (code != GMAN_OK || sent == 0)
			return code;
		while (*parts > 0 && sent >= part[0].iov_len) {
			sent -= part[0].iov_len;
			--*parts;
			memmove(part, part + 1, (size_t)*parts * sizeof part[0]);
		}
		if (*parts > 0) {
			part[0].iov_base = (char *)part[0].iov_base + sent;
			part[0].iov_len -= sent;
			code = check_interrupt(g, c->fd);
			if (code != GMAN_OK)
				return code;
		}
	}
	return GMAN_OK;
}

/* gmani_write_all sends bytes, and waits for room. */
enum gman_code gmani_write_all(struct gman *g, struct conn *c, const char *data, size_t len,
                               int64_t deadline)
{
	union {
		const char *in;
		char *out;
	} bytes = {data};
	struct iovec part = {bytes.out, len};
	int parts = 1;

	for (;;) {
		enum gman_code code = gmani_write(g, c, &part, &parts);

		if (code != GMAN_OK || parts == 0)
			return code;
		code = gmani_wait_conn(g, c, GMAN_WRITE, deadline);
		if (code != GMAN_OK)
			return code;
	}
}

/* receive reads bytes once. *n is 0 if none has arrived. */
static enum gman_code receive(struct gman *g, struct conn *c, char *data, size_t size, size_t *n)
{
	ssize_t got;

	*n = 0;
	if (c->ssl != NULL)
		return gmani_tls_read(g, c, data, size, n);
	do
		got = recv(c->fd, data, size, 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return gmani_set_error(g, GMAN_LOST, "receive from %s:%d: the server closed the connection", c->host, c->port);
	if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return set_errno_error(g, GMAN_LOST, c, "receive from", errno);
	*n = got < 0 ? 0 : (size_t)got;
	return GMAN_OK;
}

/*
 * gmani_read reads the bytes that have arrived without waiting. *some is 0 if
 * there are none.
 */
enum gman_code gmani_read(struct gman *g, struct conn *c, int *some)
{
	size_t n;
	enum gman_code code;

	*some = 0;
	if (c->in.start == c->in.end)
		c->in.start = c->in.end = 0;
	if (c->in.end == c->in.cap && !gmani_reserve(&c->in, 1))
		return gmani_set_error(g, GMAN_MEMORY, "no memory for a reply from %s:%d", c->host, c->port);
	code = receive(g, c, c->in.data + c->in.end, c->in.cap - c->in.end, &n);
	if (code != GMAN_OK || n == 0)
		return code;
	c->in.end += n;
	c->answered = gmani_now();
	*some = 1;
	return check_interrupt(g, c->fd);
}

/* gmani_read_packet waits for a packet. */
enum gman_code gmani_read_packet(struct gman *g, struct conn *c, struct packet *p, int64_t deadline)
{
	for (;;) {
		int some, got = gmani_next_packet(g, c, p);
		enum gman_code code;

		if (got != 0)
			return got > 0 ? GMAN_OK : GMAN_PROTOCOL;
		code = gmani_read(g, c, &some);
		if (code == GMAN_OK && (!some || c->answered >= deadline))
			code = gmani_wait_conn(g, c, GMAN_READ, deadline);
		if (code != GMAN_OK)
			return code;
	}
}

/* open_socket returns a socket that does not block, or -1. */
static int open_socket(int family)
{
	int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
		close(fd);
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef SO_NOSIGPIPE
	(void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
	return fd;
}

/* connect_address connects to one address of a server. */
static enum gman_code connect_address(struct gman *g, struct conn *c, int i, int64_t deadline)
{
	enum gman_code code;
	int failure = 0;
	socklen_t len = sizeof failure;

	c->in.start = c->in.end = 0;
	c->fd = open_socket(c->addr[i].ss_family);
	if (c->fd < 0)
		return set_errno_error(g, GMAN_NO_SERVER, c, "open a socket for", errno);
	if (connect(c->fd, (struct sockaddr *)&c->addr[i], c->addr_len[i]) == 0)
		return GMAN_OK;
	if (errno != EINPROGRESS && errno != EINTR) {
		code = set_errno_error(g, GMAN_NO_SERVER, c, "connect to", errno);
		gmani_close(c);
		return code;
	}
	code = gmani_wait(g, c->fd, GMAN_WRITE, deadline);
	if (code == GMAN_OK && (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0 || failure != 0))
		code = set_errno_error(g, GMAN_NO_SERVER, c, "connect to", failure);
	if (code == GMAN_TIMEOUT)
		gmani_set_error(g, code, "connect to %s:%d: no answer within the connect limit", c->host, c->port);
	if (code != GMAN_OK)
		gmani_close(c);
	return code;
}

/* connect_server connects to the first address of a server that can be reached. */
static enum gman_code connect_server(struct gman *g, struct conn *c, int64_t deadline)
{
	enum gman_code code = gmani_resolve(g, c, deadline);
	int i;

	if (code != GMAN_OK)
		return code;
	for (i = 0; i < c->addrs; i++) {
		int64_t now = gmani_now(), share = (deadline - now) / (c->addrs - i);

		code = connect_address(g, c, i, now + (share > 0 ? share : 1));
		if (code == GMAN_OK || code == GMAN_INTERRUPTED)
			return code;
	}
	return code;
}

/*
 * test_server sends an ECHO_REQ and waits for its answer. A new connection asks
 * for exceptions before that.
 */
static enum gman_code test_server(struct gman *g, struct conn *c, int new, int64_t deadline)
{
	static const char option[] = "exceptions";
	char out[HEADER_SIZE + HEADER_SIZE + sizeof option + 8], token[8];
	size_t len = 0;
	struct packet p;
	enum gman_code code;

	if (new) {
		gmani_put_header(out, OPTION_REQ, sizeof option - 1);
		memcpy(out + HEADER_SIZE, option, sizeof option - 1);
		len = HEADER_SIZE + sizeof option - 1;
	}
	g->echoes++;
	gmani_put_uint32(token, (uint32_t)(g->echoes >> 32));
	gmani_put_uint32(token + 4, (uint32_t)g->echoes);
	gmani_put_header(out + len, ECHO_REQ, sizeof token);
	memcpy(out + len + HEADER_SIZE, token, sizeof token);
	len += HEADER_SIZE + sizeof token;
	code = gmani_write_all(g, c, out, len, deadline);
	while (code == GMAN_OK) {
		code = gmani_read_packet(g, c, &p, deadline);
		if (code == GMAN_OK && p.type == ECHO_RES && p.len == sizeof token &&
		    memcmp(p.body, token, sizeof token) == 0)
			return GMAN_OK;
	}
	if (code == GMAN_TIMEOUT)
		gmani_set_error(g, code, "%s:%d does not answer within the connect limit", c->host, c->port);
	return code;
}

/* is_closed reports whether the server has closed a kept connection. */
static int is_closed(struct conn *c)
{
	char byte;
	ssize_t n;

	if (c->ssl != NULL)
		return gmani_tls_is_closed(c);
	n = recv(c->fd, &byte, 1, MSG_PEEK);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/*
 * gmani_ready connects c, or tests its kept connection. It returns
 * GMAN_NO_SERVER if another server must be tried, and GMAN_INTERRUPTED.
 */
enum gman_code gmani_ready(struct gman *g, struct conn *c)
{
	int64_t now = gmani_now(), deadline = now + g->connect_ms;
	enum gman_code code;

	if (deadline > g->deadline)
		deadline = g->deadline;
	if (c->fd >= 0 && now - c->answered <= IDLE_MS && !is_closed(c))
		return GMAN_OK;
	code = GMAN_LOST;
	if (c->fd >= 0 && now - c->answered > IDLE_MS)
		code = test_server(g, c, 0, now + (deadline - now) / 2); /* the rest is for a new connection */
	if (code != GMAN_OK && code != GMAN_INTERRUPTED) {
		gmani_close(c);
		code = connect_server(g, c, deadline);
		if (code == GMAN_OK && g->tls != NULL)
			code = gmani_tls_connect(g, c, deadline);
		if (code == GMAN_OK)
			code = test_server(g, c, 1, deadline);
	}
	if (code == GMAN_OK) {
		c->backoff = c->retry_at = 0;
		return code;
	}
	if (code == GMAN_INTERRUPTED) {
		gmani_close(c);
		return code;
	}
	return gmani_fail(c);
}
