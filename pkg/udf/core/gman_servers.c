/*
 * gman_servers.c reads and changes the text of lists of servers. The form of
 * the text is that of gman_set_servers.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <stdio.h>
#include <string.h>

#include "gman_internal.h"

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static int is_separator(char c) { return c == ',' || is_blank(c); }

/* is_host_byte reports whether a host name or an address may have the byte c. */
static int is_host_byte(char c, int bracketed)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_' || (bracketed && (c == ':' || c == '%'));
}

/* parse_port reads a port from digits. It returns 0 for any other text. */
static int parse_port(const char *text, size_t len)
{
	int port = 0;
	size_t i;

	if (len == 0 || len > 5)
		return 0;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		port = port * 10 + (text[i] - '0');
	}
	return port <= 65535 ? port : 0;
}

/* add_server adds a server to the last list, and once to the servers. */
static int add_server(struct server_lists *l, const char *host, size_t len, int port)
{
	int i;

	for (i = 0; i < l->servers; i++)
		if (l->server[i].port == port && strlen(l->server[i].host) == len &&
		    memcmp(l->server[i].host, host, len) == 0)
			break;
	if (i == l->servers) {
		if (l->servers == GMAN_MAX_SERVERS)
			return 0;
		memcpy(l->server[i].host, host, len);
		l->server[i].host[len] = 0;
		l->server[i].port = port;
		l->servers++;
	}
	if (l->entries == MAX_LIST_ENTRIES)
		return 0;
	l->entry[l->entries++] = (uint8_t)i;
	l->list[l->lists - 1].count++;
	return 1;
}

/* parse_server reads one server, and adds it to the last list. */
static int parse_server(struct server_lists *l, const char *text, size_t len)
{
	const char *host = text;
	size_t host_len, i;
	int bracketed = text[0] == '[', port = GMAN_DEFAULT_PORT;

	if (bracketed) {
		const char *end = memchr(text, ']', len);

		if (end == NULL)
			return 0;
		host = text + 1;
		host_len = (size_t)(end - host);
		text = end + 1;
		len -= host_len + 2;
	} else {
		const char *colon = memchr(text, ':', len);

		host_len = colon == NULL ? len : (size_t)(colon - text);
		text += host_len;
		len -= host_len;
	}
	if (len > 0 && (text[0] != ':' || (port = parse_port(text + 1, len - 1)) == 0))
		return 0;
	if (host_len == 0 || host_len >= GMAN_HOST_SIZE || host[0] == '-')
		return 0;
	for (i = 0; i < host_len; i++)
		if (!is_host_byte(host[i], bracketed))
			return 0;
	return add_server(l, host, host_len, port);
}

/* parse_list reads the servers of one list. */
static int parse_list(struct server_lists *l, const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t end = i;

		while (end < len && !is_separator(text[end]))
			end++;
		if (end > i && !parse_server(l, text + i, end - i))
			return 0;
		i = end + 1;
	}
	return 1;
}

/* add_list starts the list of a function. A function has only one list. */
static int add_list(struct server_lists *l, size_t function, size_t len)
{
	int i;
	struct list *new = &l->list[l->lists];

	if (len > GMAN_MAX_FUNCTION || l->lists > GMAN_MAX_SERVERS)
		return 0;
	for (i = 0; i < l->lists; i++)
		if (l->list[i].function_len == len &&
		    memcmp(l->text + l->list[i].function, l->text + function, len) == 0)
			return 0;
	new->function = function;
	new->function_len = len;
	new->first = l->entries;
	new->count = 0;
	l->lists++;
	return 1;
}

/* parse_part reads the text between two semicolons. */
static int parse_part(struct server_lists *l, size_t start, size_t len)
{
	const char *equals;
	size_t name;

	if (l->lists == 0)
		return add_list(l, start, 0) && parse_list(l, l->text + start, len);
	while (len > 0 && is_blank(l->text[start])) {
		start++;
		len--;
	}
	if (len == 0)
		return 1;
	equals = memchr(l->text + start, '=', len);
	if (equals == NULL)
		return 0;
	name = (size_t)(equals - (l->text + start));
	len -= name + 1;
	while (name > 0 && is_blank(l->text[start + name - 1]))
		name--;
	return name > 0 && add_list(l, start, name) && parse_list(l, equals + 1, len) &&
	       l->list[l->lists - 1].count > 0;
}

/* gmani_parse_servers fills *l. It returns GMAN_ARGUMENT if text is no list. */
enum gman_code gmani_parse_servers(struct server_lists *l, const char *text)
{
	size_t len = strlen(text), start = 0;

	if (len >= sizeof l->text)
		return GMAN_ARGUMENT;
	memset(l, 0, sizeof *l);
	memcpy(l->text, text, len + 1);
	for (;;) {
		const char *end = strchr(l->text + start, ';');
		size_t part = end == NULL ? len - start : (size_t)(end - (l->text + start));

		if (!parse_part(l, start, part))
			return GMAN_ARGUMENT;
		if (end == NULL)
			return GMAN_OK;
		start += part + 1;
	}
}

int gman_check_servers(const char *servers)
{
	struct server_lists l;

	return gmani_parse_servers(&l, servers) == GMAN_OK;
}

/* gmani_find_list returns the list of a function, or the first one. */
const struct list *gmani_find_list(const struct server_lists *l, const char *function, size_t len)
{
	int i;

	for (i = 1; i < l->lists; i++)
		if (l->list[i].function_len == len &&
		    memcmp(l->text + l->list[i].function, function, len) == 0)
			return &l->list[i];
	return &l->list[0];
}

/* write_list appends a list to out. It returns 0 if it does not fit. */
static int write_list(char *out, const char *function, size_t function_len, const char *servers,
                      size_t len)
{
	size_t used = strlen(out);
	int n;

	n = function_len > 0 ? snprintf(out + used, GMAN_SERVERS_SIZE - used, "; %.*s=%.*s",
	                                (int)function_len, function, (int)len, servers)
	                     : snprintf(out + used, GMAN_SERVERS_SIZE - used, "%.*s", (int)len, servers);
	return n >= 0 && (size_t)n < GMAN_SERVERS_SIZE - used;
}

/* list_text returns the text of the servers of a list of l. */
static const char *list_text(const struct server_lists *l, const struct list *list, size_t *len)
{
	const char *text = l->text + list->function;

	if (list->function_len > 0)
		text = strchr(text + list->function_len, '=') + 1;
	while (is_blank(*text))
		text++;
	*len = strcspn(text, ";");
	while (*len > 0 && is_blank(text[*len - 1]))
		--*len;
	return text;
}

enum gman_code gman_merge_servers(const char *lists, const char *function, const char *servers,
                                  char out[GMAN_SERVERS_SIZE])
{
	struct server_lists old, new;
	size_t function_len = function == NULL ? 0 : strlen(function), len = strlen(servers);
	int i, replaced = 0;

	if (function_len > GMAN_MAX_FUNCTION || len >= GMAN_SERVERS_SIZE)
		return GMAN_ARGUMENT;
	if (function_len == 0 && strchr(servers, ';') != NULL) {
		memcpy(out, servers, len + 1);
		return gmani_parse_servers(&new, out);
	}
	if (function_len > 0 && (strpbrk(function, "=;") != NULL || is_blank(function[0]) ||
	                         is_blank(function[function_len - 1])))
		return GMAN_ARGUMENT;
	if (strpbrk(servers, ";=") != NULL || gmani_parse_servers(&old, lists) != GMAN_OK ||
	    gmani_parse_servers(&new, servers) != GMAN_OK)
		return GMAN_ARGUMENT;
	out[0] = 0;
	for (i = 0; i < old.lists; i++) {
		const struct list *list = &old.list[i];
		const char *name = old.text + list->function;
		size_t text_len;
		const char *text = list_text(&old, list, &text_len);

		if (list->function_len == function_len && memcmp(name, function == NULL ? "" : function,
		                                                  function_len) == 0) {
			replaced = 1;
			if (new.entries == 0 && function_len > 0)
				continue;
			text = servers;
			text_len = len;
		}
		if (!write_list(out, name, list->function_len, text, text_len))
			return GMAN_ARGUMENT;
	}
	if (!replaced && new.entries > 0 && !write_list(out, function, function_len, servers, len))
		return GMAN_ARGUMENT;
	return gmani_parse_servers(&new, out);
}
