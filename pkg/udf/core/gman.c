/*
 * gman.c makes and frees clients, and sets their hooks, limits and servers.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "gman_internal.h"

/* GMAN_GETENT is the program that looks up host names. */
#ifndef GMAN_GETENT
#define GMAN_GETENT "/usr/bin/getent"
#endif

struct gman *gman_new(void)
{
	struct gman *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->getent = GMAN_GETENT;
	gman_set_limits(g, -1, -1, -1);
	(void)gmani_parse_servers(&g->lists, "");
	return g;
}

void gman_disconnect(struct gman *g)
{
	int i;

	for (i = 0; i < g->lists.servers; i++) {
		gmani_close(&g->conn[i]);
		gmani_free_buffer(&g->conn[i].in);
	}
}

void gman_free(struct gman *g)
{
	int i;

	if (g == NULL)
		return;
	gmani_end_getent(g);
	gman_disconnect(g);
	gmani_free_tls(g);
	for (i = 0; i < GMAN_WINDOW; i++)
		gmani_free_buffer(&g->slot[i].data);
	free(g);
}

void gman_set_hooks(struct gman *g, const struct gman_hooks *hooks) { g->hooks = *hooks; }

void gman_set_limits(struct gman *g, int connect_ms, int timeout_ms, int64_t max_reply)
{
	g->connect_ms = connect_ms > 0 ? connect_ms : GMAN_CONNECT_MS;
	g->timeout_ms = timeout_ms >= 0 ? timeout_ms : GMAN_TIMEOUT_MS;
	g->max_reply = max_reply <= 0 ? GMAN_MAX_REPLY : max_reply > INT32_MAX - 65536 ? INT32_MAX - 65536 : (size_t)max_reply;
}

enum gman_code gman_set_servers(struct gman *g, const char *servers)
{
	struct server_lists lists;
	int i;

	if (strcmp(servers, g->lists.text) == 0)
		return GMAN_OK;
	if (gmani_parse_servers(&lists, servers) != GMAN_OK)
		return gmani_set_error(g, GMAN_ARGUMENT, "\"%s\" is not a list of servers", servers);
	gman_disconnect(g);
	g->lists = lists;
	for (i = 0; i < lists.servers; i++) {
		memset(&g->conn[i], 0, sizeof g->conn[i]);
		memcpy(g->conn[i].host, lists.server[i].host, sizeof g->conn[i].host);
		g->conn[i].port = lists.server[i].port;
		g->conn[i].fd = -1;
	}
	return GMAN_OK;
}

const char *gman_error(const struct gman *g) { return g->error; }

int gman_sockets(const struct gman *g)
{
	int i, n = 0;

	for (i = 0; i < g->lists.servers; i++)
		n += g->conn[i].fd >= 0;
	return n;
}

enum gman_code gman_adopt(struct gman *g, int fd)
{
	struct conn *c = &g->conn[g->lists.entry[0]];

	if (g->lists.entries == 0)
		return gmani_set_error(g, GMAN_ARGUMENT, "no servers are set");
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
		return gmani_set_error(g, GMAN_ARGUMENT, "the socket cannot be used");
	gmani_close(c);
	c->in.start = c->in.end = 0;
	c->fd = fd;
	c->answered = gmani_now();
	return GMAN_OK;
}

/* reset_buffer empties a buffer, and frees it if it has more than kept bytes. */
static void reset_buffer(struct buffer *b, size_t kept)
{
	if (b->cap > kept)
		gmani_free_buffer(b);
	b->start = b->end = 0;
}

/* reset_buffers is reset_buffer for all buffers, except those with bytes that are not read yet. */
static void reset_buffers(struct gman *g, size_t kept)
{
	int i;

	for (i = 0; i < g->lists.servers; i++)
		if (g->conn[i].fd < 0 || g->conn[i].in.start == g->conn[i].in.end)
			reset_buffer(&g->conn[i].in, kept);
	for (i = 0; i < GMAN_WINDOW; i++)
		reset_buffer(&g->slot[i].data, kept);
}

void gman_free_result(struct gman *g) { reset_buffers(g, FIRST_BUFFER); }

size_t gman_memory(const struct gman *g)
{
	size_t n = sizeof *g;
	int i;

	for (i = 0; i < g->lists.servers; i++)
		n += g->conn[i].in.cap;
	for (i = 0; i < GMAN_WINDOW; i++)
		n += g->slot[i].data.cap;
	return n;
}

/* start_call begins the time of a call, and frees the result of the last one. */
void gmani_start_call(struct gman *g)
{
	int i;

	g->checked = gmani_now();
	g->deadline = g->timeout_ms > 0 ? g->checked + g->timeout_ms : NO_DEADLINE;
	g->error[0] = 0;
	for (i = 0; i < GMAN_WINDOW; i++)
		g->slot[i].used = 0;
	reset_buffers(g, KEPT_BUFFER);
}
