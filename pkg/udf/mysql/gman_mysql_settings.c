/*
 * gman_mysql_settings.c keeps the settings that all sessions share, and has the
 * functions gman_servers_set and gman_setting that change them. Their first
 * values are those of the server's environment: GEARMAN_SERVERS for servers,
 * and so on. No statement changes the settings of TLS: every user may call the
 * functions, and could read files by their errors.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gman_mysql.h"

static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t settings_read = PTHREAD_ONCE_INIT;
static struct udf_settings settings;
static char settings_error[UDF_MESSAGE_SIZE]; /* empty: none */

/* struct unit is a unit of time or of size, in milliseconds or bytes. */
struct unit {
	const char *name;
	int64_t factor;
};

/* The first unit of a list is that of a number without one. */
static const struct unit time_units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit size_units[] = {{"kB", 1024}, {"MB", 1048576}, {"GB", 1073741824}, {"B", 1}, {NULL, 0}};

/* parse_amount reads a whole number and its unit. It returns -1 for any other text. */
static int64_t parse_amount(const char *text, const struct unit *units)
{
	int64_t n = 0;
	int digits = 0;

	for (; *text >= '0' && *text <= '9'; text++, digits++)
		n = n <= INT32_MAX ? n * 10 + (*text - '0') : n;
	while (*text == ' ')
		text++;
	if (digits == 0 || n > INT32_MAX)
		return -1;
	if (*text == 0)
		return n * units->factor;
	for (; units->name != NULL; units++)
		if (strcmp(text, units->name) == 0)
			return n * units->factor;
	return -1;
}

/* format_amount writes an amount with the largest unit that needs no fraction. */
static void format_amount(char *out, size_t size, int64_t amount, const struct unit *units)
{
	const struct unit *best = NULL, *u;

	for (u = units; u->name != NULL; u++)
		if (amount % u->factor == 0 && amount >= u->factor && (best == NULL || u->factor > best->factor))
			best = u;
	if (best == NULL)
		best = units; /* 0 */
	snprintf(out, size, "%lld%s", (long long)(amount / best->factor), best->name);
}

/* A setting reads its value from text, and writes it. The lock is held, except at the start. */
struct setting {
	const char *name, *variable;
	int (*set)(const char *text); /* returns 0 if text is not a value */
	void (*get)(char *out, size_t size);
	const char *want; /* the values, for an error */
	int fixed;        /* only the environment sets it */
};

/* replace_servers sets the text of all lists. */
static int replace_servers(const char *text)
{
	if (!gman_check_servers(text))
		return 0;
	snprintf(settings.servers, sizeof settings.servers, "%s", text);
	settings.version++;
	return 1;
}

static void get_servers(char *out, size_t size) { snprintf(out, size, "%s", settings.servers); }

static int set_timeout(const char *text)
{
	int64_t n = parse_amount(text, time_units);

	if (n < 0 || n > INT32_MAX)
		return 0;
	settings.timeout_ms = (int)n;
	return 1;
}

static void get_timeout(char *out, size_t size) { format_amount(out, size, settings.timeout_ms, time_units); }

static int set_connect_timeout(const char *text)
{
	int64_t n = parse_amount(text, time_units);

	if (n < 1 || n > INT32_MAX)
		return 0;
	settings.connect_ms = (int)n;
	return 1;
}

static void get_connect_timeout(char *out, size_t size) { format_amount(out, size, settings.connect_ms, time_units); }

static int set_max_result(const char *text)
{
	int64_t n = parse_amount(text, size_units);

	if (n < 1 || n > 1073741824)
		return 0;
	settings.max_result = n;
	return 1;
}

static void get_max_result(char *out, size_t size) { format_amount(out, size, settings.max_result, size_units); }

static int set_on_error(const char *text)
{
	int null = strcasecmp(text, "null") == 0;

	if (!null && strcasecmp(text, "error") != 0)
		return 0;
	settings.on_error_null = null;
	return 1;
}

static void get_on_error(char *out, size_t size) { snprintf(out, size, "%s", settings.on_error_null ? "null" : "error"); }

static int set_tls(const char *text)
{
	int on = strcasecmp(text, "on") == 0;

	if ((!on && strcasecmp(text, "off") != 0) || (on && !gman_has_tls()))
		return 0;
	settings.tls = on;
	return 1;
}

static void get_tls(char *out, size_t size) { snprintf(out, size, "%s", settings.tls ? "on" : "off"); }

static const char *const verify_names[] = {[GMAN_VERIFY_NAME] = "name", [GMAN_VERIFY_CHAIN] = "chain", [GMAN_VERIFY_NONE] = "none"};

static int set_tls_verify(const char *text)
{
	unsigned int i;

	for (i = 0; i < sizeof verify_names / sizeof verify_names[0]; i++) {
		if (strcasecmp(text, verify_names[i]) == 0) {
			settings.tls_verify = (enum gman_verify)i;
			return 1;
		}
	}
	return 0;
}

static void get_tls_verify(char *out, size_t size) { snprintf(out, size, "%s", verify_names[settings.tls_verify]); }

/* set_path keeps the name of a file. */
static int set_path(char *out, const char *text)
{
	int n = snprintf(out, UDF_PATH_SIZE, "%s", text);

	return n >= 0 && n < UDF_PATH_SIZE;
}

static int set_tls_ca(const char *text) { return set_path(settings.tls_ca, text); }
static int set_tls_cert(const char *text) { return set_path(settings.tls_cert, text); }
static int set_tls_key(const char *text) { return set_path(settings.tls_key, text); }
static void get_tls_ca(char *out, size_t size) { snprintf(out, size, "%s", settings.tls_ca); }
static void get_tls_cert(char *out, size_t size) { snprintf(out, size, "%s", settings.tls_cert); }
static void get_tls_key(char *out, size_t size) { snprintf(out, size, "%s", settings.tls_key); }

static const struct setting all_settings[] = {
	{"servers", "GEARMAN_SERVERS", replace_servers, get_servers, "a list such as localhost,db2:4731", 0},
	{"timeout", "GEARMAN_TIMEOUT", set_timeout, get_timeout, "0 or a time such as 500ms or 10s", 0},
	{"connect_timeout", "GEARMAN_CONNECT_TIMEOUT", set_connect_timeout, get_connect_timeout, "a time such as 500ms or 10s", 0},
	{"max_result", "GEARMAN_MAX_RESULT", set_max_result, get_max_result, "a size such as 16MB, at most 1GB", 0},
	{"on_error", "GEARMAN_ON_ERROR", set_on_error, get_on_error, "error or null", 0},
	{"tls", "GEARMAN_TLS", set_tls, get_tls, "off, or on where the library was built with OpenSSL", 1},
	{"tls_verify", "GEARMAN_TLS_VERIFY", set_tls_verify, get_tls_verify, "name, chain or none", 1},
	{"tls_ca", "GEARMAN_TLS_CA", set_tls_ca, get_tls_ca, "the name of a file", 1},
	{"tls_cert", "GEARMAN_TLS_CERT", set_tls_cert, get_tls_cert, "the name of a file", 1},
	{"tls_key", "GEARMAN_TLS_KEY", set_tls_key, get_tls_key, "the name of a file", 1},
};

enum { SETTINGS = sizeof all_settings / sizeof all_settings[0] };

/* read_environment sets the first values. It runs once. */
static void read_environment(void)
{
	size_t i;

	replace_servers("localhost");
	settings.timeout_ms = GMAN_TIMEOUT_MS;
	settings.connect_ms = GMAN_CONNECT_MS;
	settings.max_result = GMAN_MAX_REPLY;
	for (i = 0; i < SETTINGS; i++) {
		const char *value = getenv(all_settings[i].variable);

		if (value != NULL && *value != 0 && !all_settings[i].set(value) && settings_error[0] == 0)
			snprintf(settings_error, sizeof settings_error, "gearman: %s=%.200s is not %s", all_settings[i].variable,
			         value, all_settings[i].want);
	}
}

struct udf_settings *udf_lock_settings(void)
{
	pthread_once(&settings_read, read_environment);
	pthread_mutex_lock(&settings_lock);
	return &settings;
}

void udf_unlock_settings(void) { pthread_mutex_unlock(&settings_lock); }

struct gman_tls udf_tls_settings(void)
{
	struct gman_tls tls = {settings.tls, settings.tls_verify, settings.tls_ca, settings.tls_cert, settings.tls_key};

	return tls;
}

const char *udf_settings_error(void)
{
	pthread_once(&settings_read, read_environment);
	return settings_error[0] != 0 ? settings_error : NULL;
}

/*
 * copy_text copies an argument with a NUL at its end. It returns 0 if the text
 * does not fit or has a NUL.
 */
static int copy_text(const struct udf_args *args, unsigned int i, char *out, size_t size)
{
	size_t len = i < args->arg_count && args->args[i] != NULL ? args->lengths[i] : 0;

	if (len >= size || (len > 0 && memchr(args->args[i], 0, len) != NULL))
		return 0;
	if (len > 0)
		memcpy(out, args->args[i], len);
	out[len] = 0;
	return 1;
}

/* keep_settings_text makes room for the text of a setting, which is the result of both functions. */
static char keep_settings_text(struct udf_init *init, char *message)
{
	init->max_length = GMAN_SERVERS_SIZE - 1;
	init->ptr = malloc(GMAN_SERVERS_SIZE);
	if (init->ptr == NULL)
		snprintf(message, UDF_MESSAGE_SIZE, "no memory");
	return init->ptr == NULL;
}

UDF_EXPORT char gman_servers_set_init(struct udf_init *init, struct udf_args *args, char *message);
UDF_EXPORT void gman_servers_set_deinit(struct udf_init *init);
UDF_EXPORT char *gman_servers_set(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                                  unsigned char *is_null, unsigned char *error);

char gman_servers_set_init(struct udf_init *init, struct udf_args *args, char *message)
{
	return udf_check_args(init, args, 1, 2, "gman_servers_set(servers [, function])", message) ||
	       keep_settings_text(init, message);
}

void gman_servers_set_deinit(struct udf_init *init) { free(init->ptr); }

/* gman_servers_set changes the list of all functions or of one, and returns all lists. */
char *gman_servers_set(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                       unsigned char *is_null, unsigned char *error)
{
	char servers[GMAN_SERVERS_SIZE] = "", function[GMAN_MAX_FUNCTION + 1] = "", lists[GMAN_SERVERS_SIZE];
	char text[GMAN_ERROR_SIZE];
	struct udf_settings *s;
	int ok;

	(void)result;
	ok = copy_text(args, 0, servers, sizeof servers) && copy_text(args, 1, function, sizeof function);
	s = udf_lock_settings();
	ok = ok && gman_merge_servers(s->servers, function, servers, lists) == GMAN_OK && replace_servers(lists);
	udf_unlock_settings();
	if (!ok) {
		snprintf(text, sizeof text, "servers \"%.300s\" cannot be set for function \"%.100s\"", servers, function);
		udf_raise(UDF_ERROR_ARGUMENT, text, error);
		*is_null = 1;
		return NULL;
	}
	*length = strlen(lists);
	memcpy(init->ptr, lists, *length);
	return init->ptr;
}

UDF_EXPORT char gman_setting_init(struct udf_init *init, struct udf_args *args, char *message);
UDF_EXPORT void gman_setting_deinit(struct udf_init *init);
UDF_EXPORT char *gman_setting(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                              unsigned char *is_null, unsigned char *error);

char gman_setting_init(struct udf_init *init, struct udf_args *args, char *message)
{
	return udf_check_args(init, args, 1, 2, "gman_setting(name [, value])", message) ||
	       keep_settings_text(init, message);
}

void gman_setting_deinit(struct udf_init *init) { free(init->ptr); }

/* find_setting returns the setting that the first argument names, or NULL. */
static const struct setting *find_setting(const struct udf_args *args)
{
	char name[32];
	size_t i;

	if (!copy_text(args, 0, name, sizeof name))
		return NULL;
	for (i = 0; i < SETTINGS; i++)
		if (strcasecmp(name, all_settings[i].name) == 0)
			return &all_settings[i];
	return NULL;
}

/* gman_setting returns the value of a setting, after a change if there are two arguments. */
char *gman_setting(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                   unsigned char *is_null, unsigned char *error)
{
	const struct setting *setting = find_setting(args);
	char value[GMAN_SERVERS_SIZE], text[GMAN_ERROR_SIZE];
	int ok;

	(void)result;
	if (setting == NULL) {
		udf_raise(UDF_ERROR_ARGUMENT,
		          "the settings are servers, timeout, connect_timeout, max_result, on_error, "
		          "tls, tls_verify, tls_ca, tls_cert and tls_key",
		          error);
		*is_null = 1;
		return NULL;
	}
	ok = args->arg_count == 1 || (args->args[1] != NULL && copy_text(args, 1, value, sizeof value));
	if (args->arg_count > 1 && setting->fixed) {
		snprintf(text, sizeof text, "%s can only be set by %s in the environment of this server", setting->name,
		         setting->variable);
		udf_raise(UDF_ERROR_ARGUMENT, text, error);
		*is_null = 1;
		return NULL;
	}
	(void)udf_lock_settings();
	ok = ok && (args->arg_count == 1 || setting->set(value));
	if (ok)
		setting->get(value, sizeof value);
	udf_unlock_settings();
	if (!ok) {
		snprintf(text, sizeof text, "%s must be %s", setting->name, setting->want);
		udf_raise(UDF_ERROR_ARGUMENT, text, error);
		*is_null = 1;
		return NULL;
	}
	*length = strlen(value);
	memcpy(init->ptr, value, *length);
	return init->ptr;
}
