/*
 * gman_mysql_sum.c has the aggregate gman_sum. It gathers jobs, runs them many at
 * a time, and adds their results, which must be whole numbers.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gman_mysql.h"

enum {
	MAX_JOBS = 256,      /* of one gman_run */
	MAX_BYTES = 1048576, /* of their functions, workloads and uniques */
	MAX_DIGITS = 64      /* bytes of a result */
};

/* struct sum_state is the state of gman_sum in a group of rows. */
struct sum_state {
	size_t jobs, bytes;
	struct gman_job job[MAX_JOBS];
	char *memory[MAX_JOBS]; /* of the job's bytes */
	long long sum;
	int any;                /* a job has run */
	int failed;             /* an error was raised */
	unsigned int wrong;     /* the number of an error in a result, or 0 */
	char wrong_text[MAX_DIGITS + 64];
};

static struct sum_state *get_state(const struct udf_init *init) { return (struct sum_state *)(void *)init->ptr; }

/* parse_number reads a whole number with blanks around it. It returns the number of an error, or 0. */
static unsigned int parse_number(const char *text, size_t len, long long *n)
{
	unsigned long long value = 0, limit = LLONG_MAX;
	size_t i = 0;
	int negative = 0, digits = 0, too_large = 0;

	while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n'))
		i++;
	if (i < len && (text[i] == '-' || text[i] == '+')) {
		negative = text[i] == '-';
		limit += (unsigned long long)negative;
		i++;
	}
	for (; i < len && text[i] >= '0' && text[i] <= '9'; i++, digits++) {
		unsigned int digit = (unsigned int)(text[i] - '0');

		too_large |= value > (limit - digit) / 10;
		value = too_large ? 0 : value * 10 + digit;
	}
	while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n'))
		i++;
	if (i < len || digits == 0)
		return UDF_ERROR_NOT_A_NUMBER;
	if (too_large)
		return UDF_ERROR_OUT_OF_RANGE;
	*n = negative ? -(long long)(value - (value > 0)) - (value > 0) : (long long)value;
	return 0;
}

/* add_result is the gman_done_fn of gman_sum. */
static enum gman_code add_result(void *arg, size_t i, const char *data, size_t len)
{
	struct sum_state *s = arg;
	long long n = 0;

	(void)i;
	s->any = 1;
	if (s->wrong != 0)
		return GMAN_OK;
	s->wrong = parse_number(data, len, &n);
	if (s->wrong == 0 && __builtin_add_overflow(s->sum, n, &s->sum))
		s->wrong = UDF_ERROR_OUT_OF_RANGE;
	if (s->wrong == UDF_ERROR_OUT_OF_RANGE)
		snprintf(s->wrong_text, sizeof s->wrong_text, "the sum exceeds a BIGINT");
	else if (s->wrong != 0)
		snprintf(s->wrong_text, sizeof s->wrong_text, "result \"%.*s\" is not a whole number",
		         (int)(len < MAX_DIGITS ? len : MAX_DIGITS), data);
	return GMAN_OK;
}

static void drop_jobs(struct sum_state *s)
{
	while (s->jobs > 0)
		free(s->memory[--s->jobs]);
	s->bytes = 0;
}

/* run_jobs runs the gathered jobs. Failed ones add nothing if on_error is null. */
static void run_jobs(struct sum_state *s, unsigned char *error)
{
	struct udf_client *c;
	enum gman_code code;

	if (s->jobs == 0)
		return;
	c = udf_start_call(error);
	if (c == NULL) {
		s->failed = 1;
		drop_jobs(s);
		return;
	}
	code = gman_run(c->gman, s->job, s->jobs, add_result, s);
	s->failed |= code != GMAN_OK && (!c->on_error_null || code == GMAN_ARGUMENT || code == GMAN_INTERRUPTED);
	(void)udf_end_call(c, code, error);
	if (s->wrong != 0 && !s->failed) {
		s->failed = 1;
		udf_raise(s->wrong, s->wrong_text, error);
	}
	drop_jobs(s);
}

static int same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* must_run_first reports whether the gathered jobs must run before job is gathered. */
static int must_run_first(const struct sum_state *s, const struct gman_job *job)
{
	size_t i;

	if (s->jobs == 0)
		return 0;
	if (s->jobs == MAX_JOBS || s->bytes > MAX_BYTES ||
	    !same_bytes(s->job[0].function, s->job[0].function_len, job->function, job->function_len))
		return 1;
	for (i = 0; i < s->jobs && job->unique_len > 0; i++)
		if (same_bytes(s->job[i].unique, s->job[i].unique_len, job->unique, job->unique_len))
			return 1;
	return 0;
}

/* gather_job keeps a copy of job. It returns 0 without memory. */
static int gather_job(struct sum_state *s, struct gman_job job)
{
	size_t bytes = job.function_len + job.workload_len + job.unique_len;
	char *memory = malloc(bytes + 1);

	if (memory == NULL)
		return 0;
	memcpy(memory, job.function, job.function_len);
	job.function = memory;
	if (job.workload_len > 0)
		memcpy(memory + job.function_len, job.workload, job.workload_len);
	job.workload = memory + job.function_len;
	if (job.unique_len > 0)
		memcpy(memory + job.function_len + job.workload_len, job.unique, job.unique_len);
	job.unique = memory + job.function_len + job.workload_len;
	s->bytes += bytes;
	s->memory[s->jobs] = memory;
	s->job[s->jobs++] = job;
	return 1;
}

UDF_EXPORT char gman_sum_init(struct udf_init *init, struct udf_args *args, char *message);
UDF_EXPORT void gman_sum_deinit(struct udf_init *init);
UDF_EXPORT void gman_sum_clear(struct udf_init *init, unsigned char *is_null, unsigned char *error);
UDF_EXPORT void gman_sum_add(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error);
UDF_EXPORT void gman_sum_reset(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error);
UDF_EXPORT long long gman_sum(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error);

char gman_sum_init(struct udf_init *init, struct udf_args *args, char *message)
{
	const char *wrong = udf_settings_error();

	if (udf_check_args(init, args, 2, 3, "gman_sum(function, workload [, unique])", message))
		return 1;
	init->ptr = wrong == NULL ? calloc(1, sizeof(struct sum_state)) : NULL;
	if (init->ptr == NULL)
		snprintf(message, UDF_MESSAGE_SIZE, "%s", wrong == NULL ? "no memory" : wrong);
	return init->ptr == NULL;
}

void gman_sum_deinit(struct udf_init *init)
{
	drop_jobs(get_state(init));
	free(init->ptr);
}

/* gman_sum_clear begins a group of rows. */
void gman_sum_clear(struct udf_init *init, unsigned char *is_null, unsigned char *error)
{
	struct sum_state *s = get_state(init);

	(void)is_null;
	(void)error;
	drop_jobs(s);
	s->sum = 0;
	s->any = 0;
	s->failed = 0;
	s->wrong = 0;
}

/* gman_sum_add gathers the job of a row. NULL adds none. */
void gman_sum_add(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error)
{
	struct sum_state *s = get_state(init);
	struct gman_job job;

	(void)is_null;
	if (s->failed || !udf_get_job(args, &job))
		return;
	if (must_run_first(s, &job))
		run_jobs(s, error);
	if (!s->failed && !gather_job(s, job)) {
		s->failed = 1;
		udf_raise(UDF_ERROR_MEMORY, "no memory for a job", error);
	}
}

/* gman_sum_reset begins a group with its first row, for servers that do not call gman_sum_clear. */
void gman_sum_reset(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error)
{
	gman_sum_clear(init, is_null, error);
	gman_sum_add(init, args, is_null, error);
}

/* gman_sum runs the rest and returns the sum, or NULL if no job has run. */
long long gman_sum(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error)
{
	struct sum_state *s = get_state(init);

	(void)args;
	if (!s->failed)
		run_jobs(s, error);
	*is_null = s->failed || !s->any;
	return *is_null ? 0 : s->sum;
}
