-- The extension gearman: Gearman jobs from SQL.
--
-- Only a superuser can create it, because the functions reach other machines. A
-- job runs with the rights of its worker, so no role may submit or read jobs
-- until it gets EXECUTE on the functions: see the end of this file. A trigger can
-- spare roles that privilege: give its function SECURITY DEFINER and a
-- search_path of its own.

\echo Use "CREATE EXTENSION gearman" to load this file. \quit

-- gman_servers_set sets the job servers of the session, for all functions or for
-- one, and returns the whole list. It changes the setting gearman.servers, and
-- needs the right to change that.
CREATE FUNCTION gman_servers_set(servers text, function text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_servers_set' LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- The functions below wait for the result of a job. One with text sends the
-- workload as UTF-8, and expects such a result; one with bytea sends and returns
-- the bytes as they are. NULL as function or workload sends no job and returns
-- NULL.
CREATE FUNCTION gman_do(function text, workload text DEFAULT '', unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION gman_do(function text, workload bytea, unique_key text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'pg_gman_do_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION gman_do_high(function text, workload text DEFAULT '', unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_high' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION gman_do_high(function text, workload bytea, unique_key text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'pg_gman_do_high_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION gman_do_low(function text, workload text DEFAULT '', unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_low' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;
CREATE FUNCTION gman_do_low(function text, workload bytea, unique_key text DEFAULT NULL) RETURNS bytea
AS 'MODULE_PATHNAME', 'pg_gman_do_low_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000;

-- The functions below submit a job in the background, and return its handle. The
-- job runs even if the transaction is rolled back.
CREATE FUNCTION gman_do_background(function text, workload text DEFAULT '', unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_background' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_do_background(function text, workload bytea, unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_background_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_do_high_background(function text, workload text DEFAULT '', unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_high_background' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_do_high_background(function text, workload bytea, unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_high_background_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_do_low_background(function text, workload text DEFAULT '', unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_low_background' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_do_low_background(function text, workload bytea, unique_key text DEFAULT NULL) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_do_low_background_bytea' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;

-- gman_status asks the servers for a job: whether one knows it, whether a worker
-- has it, and the worker's progress.
CREATE FUNCTION gman_status(handle text, OUT known boolean, OUT running boolean,
    OUT numerator numeric, OUT denominator numeric)
AS 'MODULE_PATHNAME', 'pg_gman_status' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED COST 100;

-- gman_result returns the kept result of a background job, or NULL if no server
-- keeps one. It is an error if the job failed. A role that may call it can read the
-- result of each job whose handle it knows or guesses.
CREATE FUNCTION gman_result(handle text) RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_result' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_result_bytea(handle text) RETURNS bytea
AS 'MODULE_PATHNAME', 'pg_gman_result_bytea' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED COST 100;

-- gman_version returns the version of the library.
CREATE FUNCTION gman_version() RETURNS text
AS 'MODULE_PATHNAME', 'pg_gman_version' LANGUAGE C STRICT STABLE PARALLEL SAFE;

-- gman_sum runs a job for each row, many at a time, and adds their results, which
-- must be numbers.
CREATE FUNCTION gman_sum_add(internal, function text, workload text) RETURNS internal
AS 'MODULE_PATHNAME', 'pg_gman_sum_add' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE FUNCTION gman_sum_end(internal) RETURNS numeric
AS 'MODULE_PATHNAME', 'pg_gman_sum_end' LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 100;
CREATE AGGREGATE gman_sum(function text, workload text) (
    SFUNC = gman_sum_add,
    STYPE = internal,
    FINALFUNC = gman_sum_end,
    FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = RESTRICTED
);

-- Everybody may call gman_version, and gman_servers_set, which asks for the right
-- to set gearman.servers: a superuser has it, and GRANT SET ON PARAMETER gives it.
REVOKE ALL ON FUNCTION gman_do(text, text, text), gman_do(text, bytea, text),
    gman_do_high(text, text, text), gman_do_high(text, bytea, text),
    gman_do_low(text, text, text), gman_do_low(text, bytea, text),
    gman_do_background(text, text, text), gman_do_background(text, bytea, text),
    gman_do_high_background(text, text, text), gman_do_high_background(text, bytea, text),
    gman_do_low_background(text, text, text), gman_do_low_background(text, bytea, text),
    gman_status(text), gman_result(text), gman_result_bytea(text),
    gman_sum_add(internal, text, text), gman_sum_end(internal), gman_sum(text, text)
FROM PUBLIC;
