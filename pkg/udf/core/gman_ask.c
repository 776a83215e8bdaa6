/*
 * gman_ask.c asks servers about jobs: their status and results; and for an echo.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <stdio.h>
#include <string.h>

#include "gman_internal.h"

/* ask is a question to one server. It returns GMAN_NOT_FOUND to ask the next one. */
typedef enum gman_code (*ask_fn)(struct gman *g, struct conn *c, void *arg);

/* ask_servers asks the servers in turn, those that were away lately last. */
static enum gman_code ask_servers(struct gman *g, ask_fn ask, void *arg)
{
	enum gman_code code = GMAN_NO_SERVER, last = GMAN_NO_SERVER;
	int64_t now = gmani_now();
	char tried[GMAN_MAX_SERVERS] = {0};
	int pass, i;

	if (g->lists.servers == 0)
		return gmani_set_error(g, GMAN_NO_SERVER, "no servers are set");
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < g->lists.servers; i++) {
			struct conn *c = &g->conn[i];

			if (tried[i] || (pass == 0 && c->retry_at > now))
				continue;
			tried[i] = 1;
			code = gmani_ready(g, c);
			if (code == GMAN_OK)
				code = ask(g, c, arg);
			if (code == GMAN_NOT_FOUND)
				last = code;
			else if (code != GMAN_NO_SERVER)
				return code;
		}
	}
	return last;
}

/* check_handle returns GMAN_ARGUMENT for a text that cannot be a handle. */
static enum gman_code check_handle(struct gman *g, const char *handle)
{
	size_t i, len = strlen(handle);

	if (len == 0 || len >= GMAN_HANDLE_SIZE)
		return gmani_set_error(g, GMAN_ARGUMENT, "a handle has 1 to %d bytes, not %zu", GMAN_HANDLE_SIZE - 1, len);
	for (i = 0; i < len; i++)
		if (handle[i] <= ' ' || handle[i] > '~')
			return gmani_set_error(g, GMAN_ARGUMENT, "\"%s\" is not a handle", handle);
	return GMAN_OK;
}

/* close_failed closes a connection whose question has no answer. */
static enum gman_code close_failed(struct conn *c, enum gman_code code)
{
	if (code == GMAN_LOST)
		return gmani_fail(c); /* a question can be asked again */
	if (code != GMAN_OK)
		gmani_close(c);
	return code;
}

/* ask_packet sends a request and waits for an answer of the type want, or an ERROR. */
static enum gman_code ask_packet(struct gman *g, struct conn *c, uint32_t type, const char *body, size_t len,
                                 uint32_t want, struct packet *p)
{
	char head[HEADER_SIZE];
	enum gman_code code;

	gmani_put_header(head, type, len);
	code = gmani_write_all(g, c, head, sizeof head, g->deadline);
	if (code == GMAN_OK)
		code = gmani_write_all(g, c, body, len, g->deadline);
	do {
		if (code == GMAN_OK)
			code = gmani_read_packet(g, c, p, g->deadline);
		if (code != GMAN_OK)
			return close_failed(c, code);
		if (p->type == PACKET_ERROR)
			return gmani_set_server_error(g, c, p);
	} while (p->type != want);
	return GMAN_OK;
}

/* struct status_question is the argument of ask_status. */
struct status_question {
	const char *handle;
	struct gman_status *status;
};

/*
 * next_number reads a field up to a NUL or the end. Workers may send texts that
 * are no numbers as progress: the digits at its beginning count. It returns 0
 * without a field.
 */
static int next_number(const char **at, const char *end, uint64_t *n)
{
	const char *p = *at;

	*n = 0;
	if (p > end)
		return 0;
	while (p < end && *p >= '0' && *p <= '9' && *n <= (UINT64_MAX - 9) / 10)
		*n = *n * 10 + (uint64_t)(*p++ - '0');
	while (p < end && *p != 0)
		p++;
	*at = p + 1; /* after the last field: end + 1 */
	return 1;
}

/* ask_status is the ask_fn of gman_get_status. */
static enum gman_code ask_status(struct gman *g, struct conn *c, void *arg)
{
	struct status_question *q = arg;
	size_t handle = strlen(q->handle);
	struct packet p;
	uint64_t known = 0, running = 0;
	const char *at, *end;
	enum gman_code code = ask_packet(g, c, GET_STATUS, q->handle, handle, STATUS_RES, &p);

	if (code != GMAN_OK)
		return code;
	at = p.body + handle + 1;
	end = p.body + p.len;
	if (p.len <= handle || memcmp(p.body, q->handle, handle) != 0 || p.body[handle] != 0 ||
	    !next_number(&at, end, &known) || !next_number(&at, end, &running) ||
	    !next_number(&at, end, &q->status->numerator) || !next_number(&at, end, &q->status->denominator)) {
		gmani_close(c);
		return gmani_set_error(g, GMAN_PROTOCOL, "%s:%d sends a status that cannot be read", c->host, c->port);
	}
	q->status->known = known != 0;
	q->status->running = running != 0;
	return q->status->known ? GMAN_OK : GMAN_NOT_FOUND;
}

enum gman_code gman_get_status(struct gman *g, const char *handle, struct gman_status *status)
{
	struct status_question q = {handle, status};
	enum gman_code code;

	memset(status, 0, sizeof *status);
	if (check_handle(g, handle) != GMAN_OK)
		return GMAN_ARGUMENT;
	gmani_start_call(g);
	code = ask_servers(g, ask_status, &q);
	if (code == GMAN_OK)
		return code;
	memset(status, 0, sizeof *status);
	return code == GMAN_NOT_FOUND ? GMAN_OK : code;
}

/* struct bytes_question is the argument of ask_echo. */
struct bytes_question {
	const char *data;
	size_t len;
};

/* ask_echo is the ask_fn of gman_echo. */
static enum gman_code ask_echo(struct gman *g, struct conn *c, void *arg)
{
	struct bytes_question *q = arg;
	struct packet p = {0, "", 0};
	enum gman_code code = ask_packet(g, c, ECHO_REQ, q->data, q->len, ECHO_RES, &p);

	if (code != GMAN_OK)
		return code;
	if (p.len != q->len || (p.len > 0 && memcmp(p.body, q->data, p.len) != 0)) {
		gmani_close(c);
		return gmani_set_error(g, GMAN_PROTOCOL, "%s:%d echoes other bytes", c->host, c->port);
	}
	return GMAN_OK;
}

enum gman_code gman_echo(struct gman *g, const void *data, size_t len)
{
	struct bytes_question q = {data, len};

	if (len > g->max_reply || len > INT32_MAX)
		return gmani_set_error(g, GMAN_ARGUMENT, "%zu bytes exceed the limit", len);
	gmani_start_call(g);
	return ask_servers(g, ask_echo, &q);
}

/* skip_packets drops late packets of earlier jobs before a line. Only they begin with a NUL. */
static enum gman_code skip_packets(struct gman *g, struct conn *c)
{
	struct packet p;

	while (c->in.start < c->in.end && c->in.data[c->in.start] == 0) {
		int got = gmani_next_packet(g, c, &p);

		if (got <= 0)
			return got == 0 ? GMAN_OK : GMAN_PROTOCOL;
	}
	return GMAN_OK;
}

/* read_line waits for a line. *line is without its end, and valid until the next gmani_read. */
static enum gman_code read_line(struct gman *g, struct conn *c, const char **line, size_t *len)
{
	*line = "";
	*len = 0;
	for (;;) {
		enum gman_code code = skip_packets(g, c);
		size_t have = c->in.end - c->in.start;
		const char *start = have > 0 ? c->in.data + c->in.start : "";
		const char *end = have > 0 && start[0] != 0 ? memchr(start, '\n', have) : NULL;
		int some;

		if (code != GMAN_OK)
			return code;

		if (end != NULL) {
			*line = start;
			*len = (size_t)(end - start);
			c->in.start += *len + 1;
			if (*len > 0 && start[*len - 1] == '\r')
				--*len;
			return GMAN_OK;
		}
		if (have > MAX_LINE && start[0] != 0)
			return gmani_set_error(g, GMAN_PROTOCOL, "%s:%d sends a line of more than %d bytes", c->host, c->port,
			                       MAX_LINE);
		code = gmani_read(g, c, &some);
		if (code == GMAN_OK && !some)
			code = gmani_wait_conn(g, c, GMAN_READ, g->deadline);
		if (code != GMAN_OK)
			return code;
	}
}

/* read_bytes waits until n bytes have arrived. They start at c->in.start. */
static enum gman_code read_bytes(struct gman *g, struct conn *c, size_t n)
{
	while (c->in.end - c->in.start < n) {
		int some;
		enum gman_code code = gmani_read(g, c, &some);

		if (code == GMAN_OK && !some)
			code = gmani_wait_conn(g, c, GMAN_READ, g->deadline);
		if (code != GMAN_OK)
			return code;
	}
	return GMAN_OK;
}

/* skip_string returns the end of a JSON string whose opening quote is before at. */
static const char *skip_string(const char *at, const char *end)
{
	while (at < end && *at != '"')
		at += *at == '\\' && at + 1 < end ? 2 : 1;
	return at < end ? at : NULL;
}

/*
 * find_field finds a field of a flat JSON object. The value is the text of a
 * number or a word, or the inside of a string, with its escapes.
 */
static int find_field(const char *at, const char *end, const char *name, const char **value, size_t *len)
{
	while (at < end && (at = memchr(at, '"', (size_t)(end - at))) != NULL) {
		const char *key = at + 1, *key_end = skip_string(key, end), *close;

		if (key_end == NULL || key_end + 1 >= end || key_end[1] != ':')
			return 0;
		at = key_end + 2;
		if (at < end && *at == '"') {
			*value = at + 1;
			close = skip_string(*value, end);
			if (close == NULL)
				return 0;
			at = close + 1;
		} else {
			*value = close = at;
			while (close < end && *close != ',' && *close != '}')
				close++;
			at = close;
		}
		*len = (size_t)(close - *value);
		if ((size_t)(key_end - key) == strlen(name) && memcmp(key, name, strlen(name)) == 0)
			return 1;
	}
	return 0;
}

static int is_text(const char *text, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(text, want, len) == 0;
}

/* struct result_question is the argument of ask_result. */
struct result_question {
	const char *handle;
	struct gman_bytes *result;
};

/* read_result reads the bytes after the line of an outcome, and judges the outcome. */
static enum gman_code read_result(struct gman *g, struct conn *c, struct result_question *q, const char *line,
                                  size_t len)
{
	const char *end = line + len, *value, *at;
	char state[16], why[300] = "";
	size_t n;
	uint64_t size;
	enum gman_code code;

	if (!find_field(line, end, "state", &value, &n) || n >= sizeof state)
		return gmani_set_error(g, GMAN_PROTOCOL, "%s:%d sends an outcome that cannot be read", c->host, c->port);
	memcpy(state, value, n);
	state[n] = 0;
	if (find_field(line, end, "error", &value, &n))
		gmani_clean(why, sizeof why, value, n);
	if (!find_field(line, end, "size", &value, &n) || (at = value, !next_number(&at, value + n, &size)))
		return gmani_set_error(g, GMAN_PROTOCOL, "%s:%d sends an outcome without a size", c->host, c->port);
	if (size > g->max_reply)
		return gmani_set_error(g, GMAN_PROTOCOL, "result of job %s exceeds the limit of %zu bytes", q->handle,
		                       g->max_reply);
	code = read_bytes(g, c, (size_t)size + 2);
	if (code != GMAN_OK)
		return code;
	if (memcmp(c->in.data + c->in.start + size, ".\n", 2) != 0)
		return gmani_set_error(g, GMAN_PROTOCOL, "%s:%d sends a result without its end", c->host, c->port);
	q->result->data = c->in.data + c->in.start;
	q->result->len = (size_t)size;
	c->in.start += (size_t)size + 2;
	if (is_text(state, strlen(state), "completed"))
		return GMAN_OK;
	gmani_set_error(g, GMAN_FAILED, "job %s: %s%s%s", q->handle, state, why[0] != 0 ? ": " : "", why);
	return GMAN_FAILED;
}

/* ask_result is the ask_fn of gman_get_result. */
static enum gman_code ask_result(struct gman *g, struct conn *c, void *arg)
{
	struct result_question *q = arg;
	char request[GMAN_HANDLE_SIZE + 16];
	const char *line;
	size_t len;
	int n = snprintf(request, sizeof request, "result %s\n", q->handle);
	enum gman_code code;

	code = gmani_write_all(g, c, request, (size_t)n, g->deadline);
	if (code == GMAN_OK)
		code = read_line(g, c, &line, &len);
	if (code != GMAN_OK)
		return close_failed(c, code);
	if (len >= 4 && memcmp(line, "ERR ", 4) == 0) {
		if (is_text(line, len, "ERR UNKNOWN_JOB") || (len > 19 && memcmp(line, "ERR UNKNOWN_COMMAND", 19) == 0))
			return gmani_set_error(g, GMAN_NOT_FOUND, "no server keeps a result of job %s", q->handle);
		return gmani_set_error(g, GMAN_REFUSED, "%s:%d answers %.*s", c->host, c->port,
		                       (int)(len < 300 ? len : 300), line);
	}
	code = read_result(g, c, q, line, len);
	return code == GMAN_FAILED ? code : close_failed(c, code);
}

enum gman_code gman_get_result(struct gman *g, const char *handle, struct gman_bytes *result)
{
	struct result_question q = {handle, result};
	enum gman_code code;

	result->data = "";
	result->len = 0;
	if (check_handle(g, handle) != GMAN_OK)
		return GMAN_ARGUMENT;
	gmani_start_call(g);
	code = ask_servers(g, ask_result, &q);
	if (code == GMAN_NOT_FOUND)
		gmani_set_error(g, code, "no server keeps a result of job %s", handle);
	return code;
}
