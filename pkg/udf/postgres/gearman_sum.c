/*
 * gearman_sum.c has the aggregate gman_sum. It gathers jobs, runs them many at a
 * time, and adds their results.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gearman.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

enum {
	MAX_JOBS = 256,      /* of one gman_run */
	MAX_BYTES = 1048576, /* of their functions and workloads */
	MAX_NUMBER = 1000    /* bytes of a result */
};

/* sum_state is the state of one gman_sum. */
typedef struct sum_state {
	MemoryContext jobs_context; /* of the gathered jobs; reset when they have run */
	int jobs;
	size_t bytes;
	struct gman_job job[MAX_JOBS];
	char *result[MAX_JOBS]; /* NULL: none yet */
	bool too_long;          /* a result has more than MAX_NUMBER bytes */
	bool any;               /* a job has run */
	Numeric sum;            /* NULL: 0 */
} sum_state;

/* keep_number is the gman_done_fn of gman_sum. It must not raise an error. */
static enum gman_code
keep_number(void *arg, size_t i, const char *data, size_t len)
{
	sum_state *s = arg;

	if (len > MAX_NUMBER) {
		s->too_long = true;
		return GMAN_OK;
	}
	s->result[i] = MemoryContextAllocExtended(s->jobs_context, len + 1, MCXT_ALLOC_NO_OOM);
	if (s->result[i] == NULL)
		return GMAN_MEMORY;
	memcpy(s->result[i], data, len);
	s->result[i][len] = 0;
	return GMAN_OK;
}

/* add_number adds a result to the sum. */
static void
add_number(sum_state *s, MemoryContext context, const char *result)
{
	Datum n, sum;
	MemoryContext old;

	n = DirectFunctionCall3(numeric_in, CStringGetDatum(result), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	old = MemoryContextSwitchTo(context);
	sum = s->sum == NULL ? datumCopy(n, false, -1) : DirectFunctionCall2(numeric_add, NumericGetDatum(s->sum), n);
	MemoryContextSwitchTo(old);
	if (s->sum != NULL)
		pfree(s->sum);
	s->sum = DatumGetNumeric(sum);
}

/* run_jobs runs the gathered jobs. Failed ones add nothing if gearman.on_error is null. */
static void
run_jobs(sum_state *s, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(s->jobs_context);
	struct gman *g = get_client();
	int i;

	memset(s->result, 0, sizeof s->result);
	s->too_long = false;
	s->any |= end_call(gman_run(g, s->job, s->jobs, keep_number, s));
	if (s->too_long)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
		                errmsg("gearman: a result of more than %d bytes is not a number", MAX_NUMBER)));
	for (i = 0; i < s->jobs; i++)
		if (s->result[i] != NULL)
			add_number(s, context, s->result[i]);
	MemoryContextSwitchTo(old);
	MemoryContextReset(s->jobs_context);
	s->jobs = 0;
	s->bytes = 0;
}

/* copy_utf8 returns a copy of text as UTF-8 that lives as long as the gathered jobs. */
static const char *
copy_utf8(sum_state *s, text *t, size_t *len)
{
	const char *data = utf8_argument(t, len);
	char *copy = MemoryContextAlloc(s->jobs_context, *len + 1);

	memcpy(copy, data, *len);
	return copy;
}

/* same_function reports whether the gathered jobs have the function of job. */
static bool
same_function(const sum_state *s, const struct gman_job *job)
{
	return s->jobs == 0 || (s->job[0].function_len == job->function_len &&
	                        memcmp(s->job[0].function, job->function, job->function_len) == 0);
}

PG_FUNCTION_INFO_V1(pg_gman_sum_add);

/* pg_gman_sum_add adds the job of a row to the state. NULL adds none. */
Datum
pg_gman_sum_add(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	sum_state *s;
	struct gman_job job;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "gman_sum_add: called outside an aggregate");
	s = PG_ARGISNULL(0) ? NULL : (sum_state *) PG_GETARG_POINTER(0);
	if (s == NULL) {
		s = MemoryContextAllocZero(context, sizeof *s);
		s->jobs_context = AllocSetContextCreate(context, "jobs of gman_sum", ALLOCSET_DEFAULT_SIZES);
	}
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(s);
	memset(&job, 0, sizeof job);
	job.function = utf8_argument(PG_GETARG_TEXT_PP(1), &job.function_len);
	if (s->jobs == MAX_JOBS || s->bytes > MAX_BYTES || !same_function(s, &job))
		run_jobs(s, context);
	job.function = copy_utf8(s, PG_GETARG_TEXT_PP(1), &job.function_len);
	job.workload = copy_utf8(s, PG_GETARG_TEXT_PP(2), &job.workload_len);
	s->bytes += job.function_len + job.workload_len;
	s->job[s->jobs++] = job;
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(pg_gman_sum_end);

/* pg_gman_sum_end runs the rest and returns the sum, or NULL if no job has run. */
Datum
pg_gman_sum_end(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	sum_state *s = PG_ARGISNULL(0) ? NULL : (sum_state *) PG_GETARG_POINTER(0);

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "gman_sum_end: called outside an aggregate");
	if (s == NULL)
		PG_RETURN_NULL();
	if (s->jobs > 0)
		run_jobs(s, context);
	if (!s->any || s->sum == NULL)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(s->sum);
}
