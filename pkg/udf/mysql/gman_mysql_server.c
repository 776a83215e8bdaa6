/*
 * gman_mysql_server.c calls the server's own functions: errors, and the state of
 * the session. It finds them as weak symbols, because MySQL and MariaDB differ:
 *
 *   - my_printf_error is a C function in MariaDB and in MySQL before 8, and a
 *     C++ function in MySQL 8 and later.
 *   - MariaDB has _current_thd and thd_kill_level. MySQL 8 has thd_killed,
 *     which takes NULL for the current session; earlier versions do not.
 *
 * A missing function leaves out its effect: an error is NULL then, or a call
 * ends only with its time limit.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gman_mysql.h"

#define WEAK __attribute__((weak))

extern void my_printf_error(unsigned int number, const char *format, unsigned long flags, ...) WEAK;
extern void mysql8_printf_error(unsigned int number, const char *format, int flags, ...)
    __asm__("_Z15my_printf_errorjPKciz") WEAK;
extern void *current_session(void) __asm__("_current_thd") WEAK;
extern int thd_kill_level(const void *session) WEAK;
extern int thd_killed(const void *session) WEAK;
extern void thd_wait_begin(void *session, int kind) WEAK;
extern void thd_wait_end(void *session) WEAK;

enum {
	FLAG_WARNING = 2048, /* of my_printf_error in MariaDB */
	WAIT_SLEEP = 1       /* of thd_wait_begin */
};

void udf_raise(unsigned int number, const char *text, unsigned char *error)
{
	if (my_printf_error != NULL)
		my_printf_error(number, "gearman: %s", 0, text);
	else if (mysql8_printf_error != NULL)
		mysql8_printf_error(number, "gearman: %s", 0, text);
	else
		*error = 1;
}

void udf_warn(unsigned int number, const char *text)
{
	if (my_printf_error != NULL && current_session != NULL)
		my_printf_error(number, "gearman: %s", FLAG_WARNING, text);
}

void *udf_current_session(void) { return current_session == NULL ? NULL : current_session(); }

int udf_is_killed(void *session)
{
	if (session != NULL && thd_kill_level != NULL)
		return thd_kill_level(session) != 0;
	if (mysql8_printf_error != NULL && thd_killed != NULL)
		return thd_killed(NULL) != 0;
	return 0;
}

void udf_begin_wait(void *session)
{
	if (thd_wait_begin != NULL && thd_wait_end != NULL)
		thd_wait_begin(session, WAIT_SLEEP);
}

void udf_end_wait(void *session)
{
	if (thd_wait_begin != NULL && thd_wait_end != NULL)
		thd_wait_end(session);
}
