/*
 * gman_mysql.h declares the parts that the files of the MySQL and MariaDB
 * functions share: gman_mysql.c has the functions, gman_mysql_sum.c the
 * aggregate, gman_mysql_settings.c the settings, gman_mysql_pool.c the clients
 * that all sessions share, and gman_mysql_server.c the calls into the server.
 *
 * The library needs no headers of MySQL or MariaDB, and is the same file for
 * both. The structs below have the layout that both document for loadable
 * functions.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GMAN_MYSQL_H
#define GMAN_MYSQL_H

#include <stddef.h>
#include <stdint.h>

#include "gman.h"

/* UDF_EXPORT marks the symbols that the server looks up. */
#define UDF_EXPORT __attribute__((visibility("default")))

/* UDF_MAX_IDLE_CLIENTS is more than the sessions of most servers. */
#ifndef UDF_MAX_IDLE_CLIENTS
#define UDF_MAX_IDLE_CLIENTS 256
#endif

enum {
	UDF_STRING_RESULT = 0,    /* of udf_args.arg_type */
	UDF_MESSAGE_SIZE = 512,   /* bytes of the message of an init function, with its NUL */
	UDF_RESULT_SIZE = 255,    /* bytes of the result argument of a string function */
	UDF_PATH_SIZE = 1024,
	UDF_IDLE_MS = 60000       /* a client that is idle for longer is closed */
};

/* struct udf_args is UDF_ARGS: the arguments of a call. */
struct udf_args {
	unsigned int arg_count;
	int *arg_type;
	char **args; /* NULL for an SQL NULL; no NUL follows the bytes */
	unsigned long *lengths;
	char *maybe_null;
	char **attributes;
	unsigned long *attribute_lengths;
	void *extension;
};

/* struct udf_init is UDF_INIT: a function's use in a statement. */
struct udf_init {
	char maybe_null;
	unsigned int decimals;
	unsigned long max_length;
	char *ptr; /* belongs to the function */
	char const_item;
	void *extension;
};

/* gman_mysql_server.c */

/* enum udf_error has numbers that MySQL leaves to others; the SQLSTATE is HY000. */
enum udf_error {
	UDF_ERROR_FAILED = 50001,    /* the job failed */
	UDF_ERROR_TIMEOUT = 50002,   /* the time limit */
	UDF_ERROR_REFUSED = 50003,   /* the job server refused the job */
	UDF_ERROR_NO_SERVER = 50004, /* no job server could be reached */
	UDF_ERROR_LOST = 50005,      /* the connection ended */
	UDF_ERROR_PROTOCOL = 50006   /* a wrong or too large reply */
};

/* Numbers of the server's own errors. */
enum {
	UDF_ERROR_MEMORY = 1037,      /* HY001 */
	UDF_ERROR_ARGUMENT = 1210,    /* HY000 */
	UDF_ERROR_NOT_A_NUMBER = 1292, /* 22007 */
	UDF_ERROR_INTERRUPTED = 1317, /* 70100 */
	UDF_ERROR_OUT_OF_RANGE = 1690 /* 22003 */
};

/*
 * udf_raise ends the statement with an error, and sets *error for a server that
 * has no function for this.
 */
void udf_raise(unsigned int number, const char *text, unsigned char *error);

/* udf_warn adds a warning to the statement, if the server has a function for this. */
void udf_warn(unsigned int number, const char *text);

/* udf_current_session returns the session of this thread, for the functions below, or NULL. */
void *udf_current_session(void);

/* udf_is_killed reports whether the statement or the session was killed, or its time is over. */
int udf_is_killed(void *session);

/* udf_begin_wait and udf_end_wait let a pool of threads run other sessions meanwhile. */
void udf_begin_wait(void *session);
void udf_end_wait(void *session);

/* gman_mysql_settings.c */

/* struct udf_settings are the settings of all sessions of the server. */
struct udf_settings {
	char servers[GMAN_SERVERS_SIZE];
	int timeout_ms, connect_ms;
	int64_t max_result;
	int on_error_null;
	unsigned long version; /* changes with each change of servers */
	/* The environment alone has the rest: it does not change. */
	int tls;
	enum gman_verify tls_verify;
	char tls_ca[UDF_PATH_SIZE], tls_cert[UDF_PATH_SIZE], tls_key[UDF_PATH_SIZE];
};

/*
 * udf_lock_settings returns the settings, which no other thread can change until
 * udf_unlock_settings.
 */
struct udf_settings *udf_lock_settings(void);
void udf_unlock_settings(void);

/* udf_tls_settings returns the settings of encrypted connections. */
struct gman_tls udf_tls_settings(void);

/* udf_settings_error returns the error of a variable of the environment, or NULL. */
const char *udf_settings_error(void);

/* gman_mysql_pool.c */

/* struct udf_client is a Gearman client in use by one call. */
struct udf_client {
	struct gman *gman;
	void *session;
	int on_error_null;
	unsigned long version; /* of the settings */
	int has_tls;           /* gman_set_tls was called */
	int64_t idle_since;    /* in milliseconds */
};

/*
 * udf_start_call returns a client with the settings of now for one call. It
 * raises an error and returns NULL if it has none.
 */
struct udf_client *udf_start_call(unsigned char *error);

/*
 * udf_end_call gives the client back and reports whether code is GMAN_OK. It
 * raises the error of any other code except GMAN_NOT_FOUND, or a warning if
 * on_error is null. The results of the client are invalid afterwards.
 */
int udf_end_call(struct udf_client *c, enum gman_code code, unsigned char *error);

/* gman_mysql.c */

/*
 * udf_get_job fills *job from the arguments function, workload and unique. It
 * returns 0 if one of the first two is NULL.
 */
int udf_get_job(const struct udf_args *args, struct gman_job *job);

/*
 * udf_check_args is the common part of the init functions: it checks the number
 * of the arguments, and has the server convert them to strings. It returns 1
 * with a message if the statement is wrong.
 */
char udf_check_args(struct udf_init *init, struct udf_args *args, unsigned int min, unsigned int max,
                    const char *usage, char *message);

#endif
