-- install.sql makes the Gearman functions of MySQL and MariaDB. Run it as root
-- when `make udf-install` has put gearman_udf.so into the plugin directory:
--
--   mariadb mysql < install.sql
--
-- It may be run again, for example after an update of the library. It replaces
-- the functions of gearman-mysql-udf. The statements go to the binary log unless
-- sql_log_bin is 0: replicas need the library too.
--
-- Every user may call these functions: the servers have no privilege for loadable
-- functions. gman_servers_set and gman_setting change the settings of all
-- sessions. Where users must not do that, drop those two, and set the environment
-- of the database server instead: GEARMAN_SERVERS, GEARMAN_TIMEOUT,
-- GEARMAN_CONNECT_TIMEOUT, GEARMAN_MAX_RESULT, GEARMAN_ON_ERROR. The settings of
-- encrypted connections are always those of the environment: GEARMAN_TLS (on),
-- GEARMAN_TLS_VERIFY (name, chain or none), GEARMAN_TLS_CA, GEARMAN_TLS_CERT and
-- GEARMAN_TLS_KEY.

-- A library is loaded anew only when no function has it.
DROP FUNCTION IF EXISTS gman_servers_set;
DROP FUNCTION IF EXISTS gman_setting;
DROP FUNCTION IF EXISTS gman_do;
DROP FUNCTION IF EXISTS gman_do_high;
DROP FUNCTION IF EXISTS gman_do_low;
DROP FUNCTION IF EXISTS gman_do_background;
DROP FUNCTION IF EXISTS gman_do_high_background;
DROP FUNCTION IF EXISTS gman_do_low_background;
DROP FUNCTION IF EXISTS gman_status;
DROP FUNCTION IF EXISTS gman_result;
DROP FUNCTION IF EXISTS gman_sum;
DROP FUNCTION IF EXISTS gman_version;

-- gman_servers_set(servers [, function]) sets the job servers of all sessions, for
-- all functions or for one, and returns the whole list. An empty list for a
-- function removes it.
CREATE FUNCTION gman_servers_set RETURNS STRING SONAME 'gearman_udf.so';

-- gman_setting(name [, value]) returns a setting of all sessions, after changing
-- it if there is a value: servers, timeout (10s; of one call; 0 means no limit),
-- connect_timeout (1s; for one server to answer), max_result (256MB), on_error
-- (error, or null: a failure is a warning and NULL).
CREATE FUNCTION gman_setting RETURNS STRING SONAME 'gearman_udf.so';

-- The functions below take (function [, workload [, unique]]), wait for the result
-- of the job and return it. Arguments are sent as the bytes that they are, and
-- results are binary: CONVERT(gman_do('f', CONVERT(w USING utf8mb4)) USING utf8mb4)
-- is text in any session. NULL as function or workload sends no job and returns
-- NULL.
CREATE FUNCTION gman_do RETURNS STRING SONAME 'gearman_udf.so';
CREATE FUNCTION gman_do_high RETURNS STRING SONAME 'gearman_udf.so';
CREATE FUNCTION gman_do_low RETURNS STRING SONAME 'gearman_udf.so';

-- The functions below submit a job in the background, and return its handle. The
-- job runs even if the transaction is rolled back.
CREATE FUNCTION gman_do_background RETURNS STRING SONAME 'gearman_udf.so';
CREATE FUNCTION gman_do_high_background RETURNS STRING SONAME 'gearman_udf.so';
CREATE FUNCTION gman_do_low_background RETURNS STRING SONAME 'gearman_udf.so';

-- gman_status(handle) asks the servers for a job, and returns a JSON object:
-- known, running, numerator and denominator.
CREATE FUNCTION gman_status RETURNS STRING SONAME 'gearman_udf.so';

-- gman_result(handle) returns the kept result of a background job, or NULL if no
-- server keeps one. It is an error if the job failed.
CREATE FUNCTION gman_result RETURNS STRING SONAME 'gearman_udf.so';

-- gman_sum(function, workload [, unique]) runs a job for each row, many at a time,
-- and adds their results, which must be whole numbers.
CREATE AGGREGATE FUNCTION gman_sum RETURNS INTEGER SONAME 'gearman_udf.so';

-- gman_version() returns the version of the library.
CREATE FUNCTION gman_version RETURNS STRING SONAME 'gearman_udf.so';
