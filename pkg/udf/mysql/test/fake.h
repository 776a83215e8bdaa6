/*
 * fake.h declares the two servers that the tests of the functions need: fake_sql.c
 * has the functions of a database server, and fake_jobs.c is a job server.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef FAKE_H
#define FAKE_H

#include "gman_mysql.h"

/* The functions of the library. */
#define STRING_FUNCTION(name) \
	char name##_init(struct udf_init *init, struct udf_args *args, char *message); \
	void name##_deinit(struct udf_init *init); \
	char *name(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length, \
	           unsigned char *is_null, unsigned char *error);
STRING_FUNCTION(gman_servers_set)
STRING_FUNCTION(gman_setting)
STRING_FUNCTION(gman_do)
STRING_FUNCTION(gman_do_high)
STRING_FUNCTION(gman_do_low)
STRING_FUNCTION(gman_do_background)
STRING_FUNCTION(gman_do_high_background)
STRING_FUNCTION(gman_do_low_background)
STRING_FUNCTION(gman_status)
STRING_FUNCTION(gman_result)
char gman_version_init(struct udf_init *init, struct udf_args *args, char *message);
char *gman_version(struct udf_init *init, struct udf_args *args, char *result, unsigned long *length,
                   unsigned char *is_null, unsigned char *error);
char gman_sum_init(struct udf_init *init, struct udf_args *args, char *message);
void gman_sum_deinit(struct udf_init *init);
void gman_sum_clear(struct udf_init *init, unsigned char *is_null, unsigned char *error);
void gman_sum_add(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error);
void gman_sum_reset(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error);
long long gman_sum(struct udf_init *init, struct udf_args *args, unsigned char *is_null, unsigned char *error);

/* sql_errors reports whether the database server has errors, and so on. */
extern const int sql_errors, sql_warnings, sql_kills;

/* sql_error returns the number of the last error or warning of this thread, and forgets it; 0 for none. */
unsigned int sql_error(void);

/* sql_error_text returns the text of the last error of this thread. */
const char *sql_error_text(void);

/* sql_kill makes the statement of this thread a killed one, or none. */
void sql_kill(int on);

/* sql_waits returns the number of waits of this thread that have not ended. */
int sql_waits(void);

/*
 * start_job_server starts a job server in threads of its own, and returns its port.
 * It does the jobs of reverse, echo, and number, whose result is the workload, and
 * those of fail, which fail. It never ends other jobs.
 */
int start_job_server(void);

/* jobs_submitted returns the number of jobs that the job server got. */
int jobs_submitted(void);

/* job_connections returns the number of open connections of the job server. */
int job_connections(void);

#endif
