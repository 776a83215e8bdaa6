/*
 * gearman.h declares the parts that the files of the extension share:
 * gearman_call.c has the session's client and its settings, gearman.c the
 * functions, gearman_sum.c the aggregate.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GEARMAN_H
#define GEARMAN_H

#include "postgres.h"

#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "gman.h"

/* get_client returns the client of the session, with the settings of now. */
extern struct gman *get_client(void);

/*
 * end_call ends a call with the client. It raises the error that interrupted
 * the call. It raises an error for any code but GMAN_OK and GMAN_NOT_FOUND, or a
 * warning if gearman.on_error is null. It reports whether the code is GMAN_OK.
 */
extern bool end_call(enum gman_code code);

/* server_text returns UTF-8 as text of the database's encoding. */
extern text *server_text(const char *data, size_t len);

/* utf8_argument returns text as UTF-8, and its length. */
extern const char *utf8_argument(text *t, size_t *len);

#endif
