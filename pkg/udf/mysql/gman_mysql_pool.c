/*
 * gman_mysql_pool.c keeps the Gearman clients that all sessions share. A call
 * takes the client that was used last, or a new one, and gives it back at its
 * end. So there are as many clients as calls at the same time, and at most
 * UDF_MAX_IDLE_CLIENTS that no call uses. They are closed after UDF_IDLE_MS
 * while other calls go on, and when the server unloads the library.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gman_mysql.h"

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct udf_client *idle[UDF_MAX_IDLE_CLIENTS]; /* the longest idle first */
static int idle_clients;

static void free_client(struct udf_client *c)
{
	if (c == NULL)
		return;
	gman_free(c->gman);
	free(c);
}

/* free_pool runs when the library is unloaded. */
__attribute__((destructor)) static void free_pool(void)
{
	while (idle_clients > 0)
		free_client(idle[--idle_clients]);
}

/* now_ms returns a time in milliseconds that never goes back. */
static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* is_interrupted is a hook of the clients. */
static int is_interrupted(void *arg)
{
	const struct udf_client *c = arg;

	return udf_is_killed(c->session);
}

static struct udf_client *new_client(void)
{
	struct udf_client *c = calloc(1, sizeof *c);
	struct gman_hooks hooks = {NULL, is_interrupted, c};

	if (c == NULL)
		return NULL;
	c->gman = gman_new();
	if (c->gman == NULL) {
		free(c);
		return NULL;
	}
	gman_set_hooks(c->gman, &hooks);
	return c;
}

/* pop_client returns the client that was used last, or a new one. */
static struct udf_client *pop_client(void)
{
	struct udf_client *c = NULL;

	pthread_mutex_lock(&pool_lock);
	if (idle_clients > 0)
		c = idle[--idle_clients];
	pthread_mutex_unlock(&pool_lock);
	return c != NULL ? c : new_client();
}

/* push_client keeps a client, and closes one that is superfluous or too long idle. */
static void push_client(struct udf_client *c)
{
	struct udf_client *old = NULL;

	gman_free_result(c->gman);
	c->session = NULL;
	c->idle_since = now_ms();
	pthread_mutex_lock(&pool_lock);
	if (idle_clients == UDF_MAX_IDLE_CLIENTS ||
	    (idle_clients > 0 && c->idle_since - idle[0]->idle_since > UDF_IDLE_MS)) {
		old = idle[0];
		idle_clients--;
		memmove(idle, idle + 1, (size_t)idle_clients * sizeof idle[0]);
	}
	idle[idle_clients++] = c;
	pthread_mutex_unlock(&pool_lock);
	free_client(old);
}

/* apply_settings gives c the settings of now. */
static enum gman_code apply_settings(struct udf_client *c)
{
	char servers[GMAN_SERVERS_SIZE];
	const struct udf_settings *s = udf_lock_settings();
	unsigned long version = s->version;
	int changed = c->version != version;
	enum gman_code code = GMAN_OK;

	if (changed)
		memcpy(servers, s->servers, sizeof servers);
	c->on_error_null = s->on_error_null;
	gman_set_limits(c->gman, s->connect_ms, s->timeout_ms, s->max_result);
	udf_unlock_settings();
	if (!c->has_tls) {
		const struct gman_tls tls = udf_tls_settings();

		code = gman_set_tls(c->gman, &tls);
		c->has_tls = code == GMAN_OK;
	}
	if (code == GMAN_OK && changed)
		code = gman_set_servers(c->gman, servers);
	if (code == GMAN_OK)
		c->version = version;
	return code;
}

struct udf_client *udf_start_call(unsigned char *error)
{
	struct udf_client *c = pop_client();
	enum gman_code code;

	if (c == NULL) {
		udf_raise(UDF_ERROR_MEMORY, "no memory for a client", error);
		return NULL;
	}
	c->session = udf_current_session();
	udf_begin_wait(c->session);
	code = apply_settings(c);
	if (code != GMAN_OK) {
		(void)udf_end_call(c, code, error);
		return NULL;
	}
	return c;
}

/* error_number returns the number of the error of a failed call. */
static unsigned int error_number(enum gman_code code)
{
	switch (code) {
	case GMAN_FAILED:
		return UDF_ERROR_FAILED;
	case GMAN_TIMEOUT:
		return UDF_ERROR_TIMEOUT;
	case GMAN_REFUSED:
		return UDF_ERROR_REFUSED;
	case GMAN_NO_SERVER:
		return UDF_ERROR_NO_SERVER;
	case GMAN_LOST:
		return UDF_ERROR_LOST;
	case GMAN_MEMORY:
		return UDF_ERROR_MEMORY;
	case GMAN_ARGUMENT:
		return UDF_ERROR_ARGUMENT;
	case GMAN_INTERRUPTED:
		return UDF_ERROR_INTERRUPTED;
	default:
		return UDF_ERROR_PROTOCOL;
	}
}

int udf_end_call(struct udf_client *c, enum gman_code code, unsigned char *error)
{
	udf_end_wait(c->session);
	if (code != GMAN_OK && code != GMAN_NOT_FOUND) {
		if (c->on_error_null && code != GMAN_ARGUMENT && code != GMAN_INTERRUPTED)
			udf_warn(error_number(code), gman_error(c->gman));
		else
			udf_raise(error_number(code), gman_error(c->gman), error);
	}
	push_client(c);
	return code == GMAN_OK;
}
