/*
 * gman_mysql.c has the functions that submit jobs and ask about them.
 *
 * The server calls NAME_init at the start of each statement, NAME for each row,
 * and NAME_deinit at the end. All are called from the thread of the session, and
 * several sessions call them at the same time.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gman_mysql.h"

char udf_check_args(struct udf_init *init, struct udf_args *args, unsigned int min, unsigned int max,
                    const char *usage, char *message)
{
	unsigned int i;

	init->ptr = NULL;
	init->maybe_null = 1;
	init->const_item = 0; /* the server must not call the function once for all rows */
	if (args->arg_count < min || args->arg_count > max) {
		snprintf(message, UDF_MESSAGE_SIZE, "usage: %s", usage);
		return 1;
	}
	for (i = 0; i < args->arg_count; i++)
		args->arg_type[i] = UDF_STRING_RESULT;
	return 0;
}

int udf_get_job(const struct udf_args *args, struct gman_job *job)
{
	memset(job, 0, sizeof *job);
	if (args->args[0] == NULL || (args->arg_count > 1 && args->args[1] == NULL))
		return 0;
	job->function = args->args[0];
	job->function_len = args->lengths[0];
	if (args->arg_count > 1) {
		job->workload = args->args[1];
		job->workload_len = args->lengths[1];
	}
	if (args->arg_count > 2 && args->args[2] != NULL) {
		job->unique = args->args[2];
		job->unique_len = args->lengths[2];
	}
	return 1;
}

/* check_call is the init function of all functions here. */
static char check_call(struct udf_init *init, struct udf_args *args, unsigned int max, unsigned long max_length,
                       const char *usage, char *message)
{
	const char *wrong = udf_settings_error();

	if (udf_check_args(init, args, 1, max, usage, message))
		return 1;
	if (wrong != NULL) {
		snprintf(message, UDF_MESSAGE_SIZE, "%s", wrong);
		return 1;
	}
	init->max_length = max_length;
	return 0;
}

enum { MAX_STATUS = 128 };

#define MAX_RESULT 0xffffffffUL /* a LONGBLOB */

/* struct kept_result is the memory of a function's result. */
struct kept_result {
	size_t size;
	char data[];
};

/* keep_result copies a result to memory that stays until the function's deinit. */
static char *keep_result(struct udf_init *init, char *result, const struct gman_bytes *bytes)
{
	struct kept_result *kept = (struct kept_result *)(void *)init->ptr;

	if (bytes->len > UDF_RESULT_SIZE) {
		if (kept == NULL || kept->size < bytes->len) {
			free(kept);
			kept = malloc(sizeof *kept + bytes->len);
			init->ptr = (char *)kept;
			if (kept == NULL)
				return NULL;
			kept->size = bytes->len;
		}
		result = kept->data;
	}
	memcpy(result, bytes->data, bytes->len);
	return result;
}

/*
 * end_result ends a call with bytes as its result, which it returns. It returns
 * NULL after an error.
 */
static char *end_result(struct udf_client *c, enum gman_code code, struct udf_init *init, const struct gman_bytes *bytes,
                        char *result, unsigned long *length, unsigned char *is_null, unsigned char *error)
{
	char *kept = NULL;

	if (code == GMAN_OK) {
		*length = bytes->len;
		kept = keep_result(init, result, bytes);
		if (kept == NULL)
			udf_raise(UDF_ERROR_MEMORY, "no memory for a result", error);
	}
	(void)udf_end_call(c, code, error);
	*is_null = kept == NULL;
	return kept;
}

/* run_foreground runs a job and returns its result. */
static char *run_foreground(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                            unsigned char *is_null, unsigned char *error, enum gman_priority priority)
{
	struct gman_job job;
	struct gman_bytes bytes;
	struct udf_client *c = udf_get_job(args, &job) ? udf_start_call(error) : NULL;

	if (c == NULL) {
		*is_null = 1;
		return NULL;
	}
	job.priority = priority;
	return end_result(c, gman_call(c->gman, &job, &bytes), init, &bytes, result, length, is_null, error);
}

/* run_background submits a job and returns its handle. */
static char *run_background(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                            unsigned char *is_null, unsigned char *error, enum gman_priority priority)
{
	struct gman_job job;
	char handle[GMAN_HANDLE_SIZE];
	struct gman_bytes bytes = {handle, 0};
	struct udf_client *c = udf_get_job(args, &job) ? udf_start_call(error) : NULL;
	enum gman_code code;

	if (c == NULL) {
		*is_null = 1;
		return NULL;
	}
	job.priority = priority;
	code = gman_submit(c->gman, &job, handle);
	bytes.len = strlen(handle);
	return end_result(c, code, init, &bytes, result, length, is_null, error);
}

/*
 * get_handle copies the handle that is the first argument. It returns 0 if that
 * is NULL. A text that cannot be a handle becomes another such text.
 */
static int get_handle(const struct udf_args *args, char handle[GMAN_HANDLE_SIZE + 1])
{
	size_t len = args->lengths[0];

	if (args->args[0] == NULL)
		return 0;
	if (len > 0 && memchr(args->args[0], 0, len) != NULL)
		len = 0;
	if (len > GMAN_HANDLE_SIZE)
		len = GMAN_HANDLE_SIZE; /* still too long */
	memcpy(handle, args->args[0], len);
	handle[len] = 0;
	return 1;
}

/* ask_status returns the status of a job as a JSON object. */
static char *ask_status(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                        unsigned char *is_null, unsigned char *error, enum gman_priority unused)
{
	char handle[GMAN_HANDLE_SIZE + 1], text[MAX_STATUS];
	struct gman_status s = {0, 0, 0, 0};
	struct gman_bytes bytes = {text, 0};
	struct udf_client *c = get_handle(args, handle) ? udf_start_call(error) : NULL;
	enum gman_code code;

	(void)unused;
	if (c == NULL) {
		*is_null = 1;
		return NULL;
	}
	code = gman_get_status(c->gman, handle, &s);
	if (code == GMAN_NOT_FOUND)
		code = GMAN_OK;
	bytes.len = (size_t)snprintf(text, sizeof text, "{\"known\": %s, \"running\": %s, \"numerator\": %llu, \"denominator\": %llu}",
	                             s.known ? "true" : "false", s.running ? "true" : "false",
	                             (unsigned long long)s.numerator, (unsigned long long)s.denominator);
	return end_result(c, code, init, &bytes, result, length, is_null, error);
}

/* ask_result returns the kept result of a job, or NULL if no server keeps one. */
static char *ask_result(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                        unsigned char *is_null, unsigned char *error, enum gman_priority unused)
{
	char handle[GMAN_HANDLE_SIZE + 1];
	struct gman_bytes bytes;
	struct udf_client *c = get_handle(args, handle) ? udf_start_call(error) : NULL;

	(void)unused;
	if (c == NULL) {
		*is_null = 1;
		return NULL;
	}
	return end_result(c, gman_get_result(c->gman, handle, &bytes), init, &bytes, result, length, is_null, error);
}

/* CALL_FUNCTION defines a function with its init and deinit functions. */
#define CALL_FUNCTION(name, usage, max_args, max_length, run, priority) \
	UDF_EXPORT char name##_init(struct udf_init *init, struct udf_args *args, char *message); \
	UDF_EXPORT void name##_deinit(struct udf_init *init); \
	UDF_EXPORT char *name(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length, \
	                      unsigned char *is_null, unsigned char *error); \
	char name##_init(struct udf_init *init, struct udf_args *args, char *message) \
	{ \
		return check_call(init, args, max_args, max_length, #name usage, message); \
	} \
	void name##_deinit(struct udf_init *init) { free(init->ptr); } \
	char *name(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length, \
	           unsigned char *is_null, unsigned char *error) \
	{ \
		return run(init, args, result, length, is_null, error, priority); \
	}

#define JOB_USAGE "(function [, workload [, unique]])"
#define MAX_HANDLE (GMAN_HANDLE_SIZE - 1)

CALL_FUNCTION(gman_do, JOB_USAGE, 3, MAX_RESULT, run_foreground, GMAN_NORMAL)
CALL_FUNCTION(gman_do_high, JOB_USAGE, 3, MAX_RESULT, run_foreground, GMAN_HIGH)
CALL_FUNCTION(gman_do_low, JOB_USAGE, 3, MAX_RESULT, run_foreground, GMAN_LOW)
CALL_FUNCTION(gman_do_background, JOB_USAGE, 3, MAX_HANDLE, run_background, GMAN_NORMAL)
CALL_FUNCTION(gman_do_high_background, JOB_USAGE, 3, MAX_HANDLE, run_background, GMAN_HIGH)
CALL_FUNCTION(gman_do_low_background, JOB_USAGE, 3, MAX_HANDLE, run_background, GMAN_LOW)
CALL_FUNCTION(gman_status, "(handle)", 1, MAX_STATUS, ask_status, GMAN_NORMAL)
CALL_FUNCTION(gman_result, "(handle)", 1, MAX_RESULT, ask_result, GMAN_NORMAL)

UDF_EXPORT char gman_version_init(struct udf_init *init, struct udf_args *args, char *message);
UDF_EXPORT char *gman_version(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                              unsigned char *is_null, unsigned char *error);

char gman_version_init(struct udf_init *init, struct udf_args *args, char *message)
{
	init->max_length = sizeof GMAN_VERSION - 1;
	return udf_check_args(init, args, 0, 0, "gman_version()", message);
}

/* gman_version returns the version of the library. */
char *gman_version(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                   unsigned char *is_null, unsigned char *error)
{
	(void)init;
	(void)args;
	(void)is_null;
	(void)error;
	*length = sizeof GMAN_VERSION - 1;
	memcpy(result, GMAN_VERSION, *length);
	return result;
}
