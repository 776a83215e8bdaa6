/*
 * fake_sql.c has the functions of a database server that the library looks up.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <stdarg.h>
#include <stdio.h>

#include "fake.h"

static __thread unsigned int last_number;
static __thread char last_text[GMAN_ERROR_SIZE + 64];
static __thread int waits;

/* killed is the state of the session of a thread. */
static __thread int killed;

unsigned int sql_error(void)
{
	unsigned int number = last_number;

	last_number = 0;
	return number;
}

const char *sql_error_text(void) { return last_text; }

void sql_kill(int on) { killed = on; }

int sql_waits(void) { return waits; }

#ifdef SERVER_MARIADB
const int sql_errors = 1, sql_warnings = 1, sql_kills = 1;
void my_printf_error(unsigned int number, const char *format, unsigned long flags, ...);
void my_printf_error(unsigned int number, const char *format, unsigned long flags, ...)
{
	va_list args;

	last_number = flags == 2048 ? number + 100000 : number;
	va_start(args, flags);
	vsnprintf(last_text, sizeof last_text, format, args);
	va_end(args);
}

void *_current_thd(void);
void *_current_thd(void) { return &killed; }

int thd_kill_level(const void *session);
int thd_kill_level(const void *session) { return *(const int *)session != 0 ? 100 : 0; }

void thd_wait_begin(void *session, int kind);
void thd_wait_begin(void *session, int kind) { waits += session == &killed && kind == 1; }

void thd_wait_end(void *session);
void thd_wait_end(void *session) { waits -= session == &killed; }
#endif

#ifdef SERVER_MYSQL8
const int sql_errors = 1, sql_warnings = 0, sql_kills = 1;
void printf_error(unsigned int number, const char *format, int flags, ...) __asm__("_Z15my_printf_errorjPKciz");
void printf_error(unsigned int number, const char *format, int flags, ...)
{
	va_list args;

	last_number = number;
	va_start(args, flags);
	vsnprintf(last_text, sizeof last_text, format, args);
	va_end(args);
}

int thd_killed(const void *session);
int thd_killed(const void *session) { return session == NULL && killed; }
#endif

#ifdef SERVER_BARE
const int sql_errors = 0, sql_warnings = 0, sql_kills = 0;

/* A MySQL before 8: NULL is not the current session. */
int thd_killed(const void *session);
int thd_killed(const void *session) { return *(const int *)session; }
#endif
