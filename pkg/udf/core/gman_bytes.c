/*
 * gman_bytes.c has buffers, the headers of packets, and the texts of errors.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gman_internal.h"

/* utf8_length returns the length of the character at text, or 0 for bytes that are no character. */
static size_t utf8_length(const unsigned char *text, size_t len)
{
	size_t n = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;
	size_t i;

	if (n == 0 || n > len)
		return 0;
	for (i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return n;
}

/*
 * gmani_clean copies text to out as valid UTF-8 on one line, with a NUL at the
 * end, and returns the number of bytes. It cuts text that does not fit.
 */
size_t gmani_clean(char *out, size_t size, const char *text, size_t len)
{
	size_t i = 0, n = 0;

	while (i < len) {
		size_t c = utf8_length((const unsigned char *)text + i, len - i);
		int printable = c > 1 || (c == 1 && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f);

		if (n + (c > 0 ? c : 1) >= size)
			break;
		if (printable)
			memcpy(out + n, text + i, c);
		else
			out[n] = '?';
		n += c > 0 ? c : 1;
		i += c > 0 ? c : 1;
	}
	out[n] = 0;
	return n;
}

/* gmani_set_error sets the text of the error of g, and returns code. */
enum gman_code gmani_set_error(struct gman *g, enum gman_code code, const char *format, ...)
{
	char text[2 * GMAN_ERROR_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	gmani_clean(g->error, sizeof g->error, text, strlen(text));
	return code;
}

/* gmani_set_server_error sets the text of an ERROR packet: a code, a NUL, and a text. */
enum gman_code gmani_set_server_error(struct gman *g, const struct conn *c, const struct packet *p)
{
	const char *nul = memchr(p->body, 0, p->len);
	size_t code = nul == NULL ? p->len : (size_t)(nul - p->body);
	size_t text = nul == NULL ? 0 : p->len - code - 1;

	return gmani_set_error(g, GMAN_REFUSED, "%s:%d answers %.*s%s%.*s", c->host, c->port,
	                       (int)(code < 100 ? code : 100), p->body, text > 0 ? ": " : "",
	                       (int)(text < 300 ? text : 300), text > 0 ? nul + 1 : "");
}

/* gmani_reserve makes room for len more bytes behind b->end. It returns 0 without memory. */
int gmani_reserve(struct buffer *b, size_t len)
{
	size_t cap = b->cap;
	char *data;

	if (b->cap - b->end >= len)
		return 1;
	if (b->start > 0) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->cap - b->end >= len)
		return 1;
	if (cap == 0)
		cap = FIRST_BUFFER;
	while (cap - b->end < len) {
		if (cap > SIZE_MAX / 2)
			return 0;
		cap *= 2;
	}
	data = realloc(b->data, cap);
	if (data == NULL)
		return 0;
	b->data = data;
	b->cap = cap;
	return 1;
}

/* gmani_append appends bytes to b. It returns 0 without memory. */
int gmani_append(struct buffer *b, const char *data, size_t len)
{
	if (!gmani_reserve(b, len))
		return 0;
	if (len > 0)
		memcpy(b->data + b->end, data, len);
	b->end += len;
	return 1;
}

void gmani_free_buffer(struct buffer *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

static uint32_t read_uint32(const char *text)
{
	const unsigned char *b = (const unsigned char *)text;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void gmani_put_uint32(char *out, uint32_t n)
{
	out[0] = (char)(n >> 24);
	out[1] = (char)(n >> 16);
	out[2] = (char)(n >> 8);
	out[3] = (char)n;
}

/* gmani_put_header writes the header of a request with a body of len bytes. */
void gmani_put_header(char *out, uint32_t type, size_t len)
{
	memcpy(out, "\0REQ", 4);
	gmani_put_uint32(out + 4, type);
	gmani_put_uint32(out + 8, (uint32_t)len);
}

/*
 * gmani_next_packet takes a packet from the received bytes. It returns 0 if it
 * has not arrived whole, and -1 with an error if the bytes are no packet. The
 * packet is valid until the next gmani_read.
 */
int gmani_next_packet(struct gman *g, struct conn *c, struct packet *p)
{
	size_t have = c->in.end - c->in.start, len;
	const char *b;

	if (have < HEADER_SIZE)
		return 0;
	b = c->in.data + c->in.start;
	if (memcmp(b, "\0RES", 4) != 0) {
		gmani_set_error(g, GMAN_PROTOCOL, "receive from %s:%d: not a Gearman packet", c->host, c->port);
		return -1;
	}
	len = read_uint32(b + 8);
	if (len > g->max_reply + GMAN_HANDLE_SIZE) {
		gmani_set_error(g, GMAN_PROTOCOL, "receive from %s:%d: reply of %zu bytes exceeds the limit of %zu",
		                c->host, c->port, len, g->max_reply);
		return -1;
	}
	if (have - HEADER_SIZE < len)
		return 0;
	p->type = read_uint32(b + 4);
	p->body = b + HEADER_SIZE;
	p->len = len;
	c->in.start += HEADER_SIZE + len;
	return 1;
}
