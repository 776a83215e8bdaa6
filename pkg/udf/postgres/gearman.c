/*
 * gearman.c has the SQL functions of the extension, except the aggregate.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gearman.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/numeric.h"

/* get_job fills *job from the arguments function, workload and unique key. */
static void
get_job(FunctionCallInfo fcinfo, struct gman_job *job, bool bytes, enum gman_priority priority)
{
	memset(job, 0, sizeof *job);
	job->priority = priority;
	job->function = utf8_argument(PG_GETARG_TEXT_PP(0), &job->function_len);
	if (bytes) {
		bytea *workload = PG_GETARG_BYTEA_PP(1);

		job->workload = VARDATA_ANY(workload);
		job->workload_len = VARSIZE_ANY_EXHDR(workload);
	} else {
		job->workload = utf8_argument(PG_GETARG_TEXT_PP(1), &job->workload_len);
	}
	if (!PG_ARGISNULL(2))
		job->unique = utf8_argument(PG_GETARG_TEXT_PP(2), &job->unique_len);
}

/* bytea_datum returns a copy of bytes. */
static Datum
bytea_datum(const struct gman_bytes *b)
{
	return PointerGetDatum(cstring_to_text_with_len(b->data, (int) b->len));
}

/* run_foreground runs a job and returns its result. */
static Datum
run_foreground(FunctionCallInfo fcinfo, bool bytes, enum gman_priority priority)
{
	struct gman_job job;
	struct gman_bytes result;
	struct gman *g;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	get_job(fcinfo, &job, bytes, priority);
	g = get_client();
	if (!end_call(gman_call(g, &job, &result)))
		PG_RETURN_NULL();
	return bytes ? bytea_datum(&result) : PointerGetDatum(server_text(result.data, result.len));
}

/* run_background submits a job and returns its handle. */
static Datum
run_background(FunctionCallInfo fcinfo, bool bytes, enum gman_priority priority)
{
	struct gman_job job;
	char handle[GMAN_HANDLE_SIZE];
	struct gman *g;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	get_job(fcinfo, &job, bytes, priority);
	g = get_client();
	if (!end_call(gman_submit(g, &job, handle)))
		PG_RETURN_NULL();
	return PointerGetDatum(server_text(handle, strlen(handle)));
}

/* SUBMIT_FUNCTION defines a function that submits jobs of a priority, with text or bytea. */
#define SUBMIT_FUNCTION(name, run, bytes, priority) \
	PG_FUNCTION_INFO_V1(name); \
	Datum name(PG_FUNCTION_ARGS) \
	{ \
		return run(fcinfo, bytes, priority); \
	}

SUBMIT_FUNCTION(pg_gman_do, run_foreground, false, GMAN_NORMAL)
SUBMIT_FUNCTION(pg_gman_do_high, run_foreground, false, GMAN_HIGH)
SUBMIT_FUNCTION(pg_gman_do_low, run_foreground, false, GMAN_LOW)
SUBMIT_FUNCTION(pg_gman_do_bytea, run_foreground, true, GMAN_NORMAL)
SUBMIT_FUNCTION(pg_gman_do_high_bytea, run_foreground, true, GMAN_HIGH)
SUBMIT_FUNCTION(pg_gman_do_low_bytea, run_foreground, true, GMAN_LOW)
SUBMIT_FUNCTION(pg_gman_do_background, run_background, false, GMAN_NORMAL)
SUBMIT_FUNCTION(pg_gman_do_high_background, run_background, false, GMAN_HIGH)
SUBMIT_FUNCTION(pg_gman_do_low_background, run_background, false, GMAN_LOW)
SUBMIT_FUNCTION(pg_gman_do_background_bytea, run_background, true, GMAN_NORMAL)
SUBMIT_FUNCTION(pg_gman_do_high_background_bytea, run_background, true, GMAN_HIGH)
SUBMIT_FUNCTION(pg_gman_do_low_background_bytea, run_background, true, GMAN_LOW)

PG_FUNCTION_INFO_V1(pg_gman_servers_set);

/* pg_gman_servers_set changes gearman.servers with the rights of SET. */
Datum
pg_gman_servers_set(PG_FUNCTION_ARGS)
{
	char *servers = PG_ARGISNULL(0) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *function = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *old = GetConfigOption("gearman.servers", true, false);
	char lists[GMAN_SERVERS_SIZE];

	if (gman_merge_servers(old == NULL ? "" : old, function, servers, lists) != GMAN_OK)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("gearman: servers \"%s\" cannot be set for function \"%s\"", servers,
		                       function == NULL ? "" : function)));
	(void) set_config_option("gearman.servers", lists, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
	                         GUC_ACTION_SET, true, 0, false);
	PG_RETURN_TEXT_P(cstring_to_text(lists));
}

PG_FUNCTION_INFO_V1(pg_gman_status);

/* uint64_datum returns n as a numeric. */
static Datum
uint64_datum(uint64 n)
{
	char text[24];

	snprintf(text, sizeof text, UINT64_FORMAT, n);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* pg_gman_status returns known, running, numerator and denominator of a job. */
Datum
pg_gman_status(PG_FUNCTION_ARGS)
{
	char *handle = text_to_cstring(PG_GETARG_TEXT_PP(0));
	struct gman_status status;
	struct gman *g = get_client();
	TupleDesc row;
	Datum values[4];
	bool nulls[4] = {false, false, false, false};

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE || row->natts != lengthof(values))
		elog(ERROR, "gman_status: the result must be a row of %d columns", (int) lengthof(values));
	if (!end_call(gman_get_status(g, handle, &status)))
		PG_RETURN_NULL();
	values[0] = BoolGetDatum(status.known);
	values[1] = BoolGetDatum(status.running);
	values[2] = uint64_datum(status.numerator);
	values[3] = uint64_datum(status.denominator);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}

/* get_result returns the kept result of a job, or NULL. */
static Datum
get_result(FunctionCallInfo fcinfo, bool bytes)
{
	char *handle = text_to_cstring(PG_GETARG_TEXT_PP(0));
	struct gman_bytes result;
	struct gman *g = get_client();

	if (!end_call(gman_get_result(g, handle, &result)))
		PG_RETURN_NULL();
	return bytes ? bytea_datum(&result) : PointerGetDatum(server_text(result.data, result.len));
}

PG_FUNCTION_INFO_V1(pg_gman_result);

Datum
pg_gman_result(PG_FUNCTION_ARGS)
{
	return get_result(fcinfo, false);
}

PG_FUNCTION_INFO_V1(pg_gman_result_bytea);

Datum
pg_gman_result_bytea(PG_FUNCTION_ARGS)
{
	return get_result(fcinfo, true);
}

PG_FUNCTION_INFO_V1(pg_gman_version);

Datum
pg_gman_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(GMAN_VERSION));
}
