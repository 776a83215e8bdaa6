/*
 * gearman_call.c keeps the Gearman client of a session, and its settings. The
 * client waits with the session's latch, so that it ends at once when the
 * session is cancelled or terminated.
 *
 * Errors are raised only between calls of the client: the hook catches an error
 * and ends the call, and end_call raises it again.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include "gearman.h"

#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 140000
#include "utils/wait_event.h"
#endif

PG_MODULE_MAGIC;

void _PG_init(void);

enum { ON_ERROR_ERROR, ON_ERROR_NULL };

static const struct config_enum_entry on_error_options[] = {
	{"error", ON_ERROR_ERROR, false},
	{"null", ON_ERROR_NULL, false},
	{NULL, 0, false},
};

static const struct config_enum_entry verify_options[] = {
	{"name", GMAN_VERIFY_NAME, false},
	{"chain", GMAN_VERIFY_CHAIN, false},
	{"none", GMAN_VERIFY_NONE, false},
	{NULL, 0, false},
};

/* The settings of the session. */
static char *servers_setting;
static int timeout_setting = GMAN_TIMEOUT_MS;
static int connect_timeout_setting = GMAN_CONNECT_MS;
static int max_result_setting = GMAN_MAX_REPLY / 1024;
static int on_error_setting = ON_ERROR_ERROR;
static bool tls_setting;
static int tls_verify_setting = GMAN_VERIFY_NAME;
static char *tls_ca_setting, *tls_cert_setting, *tls_key_setting;

/* The client of the session. */
static struct gman *client;
static bool servers_changed = true, tls_changed = true;
static int reserved_sockets;          /* that PostgreSQL counts as ours */
static ErrorData *interrupting_error; /* that ended the current call */

static bool
check_servers(char **new, void **extra, GucSource source)
{
	if (*new == NULL || gman_check_servers(*new))
		return true;
	GUC_check_errdetail("It must be a list such as \"localhost, db2:4731; resize=img1,img2\".");
	return false;
}

static void
assign_servers(const char *new, void *extra)
{
	servers_changed = true;
}

static bool
check_tls(bool *new, void **extra, GucSource source)
{
	if (!*new || gman_has_tls())
		return true;
	GUC_check_errdetail("The library gearman was built without OpenSSL.");
	return false;
}

static void
assign_tls(bool new, void *extra)
{
	tls_changed = true;
}

static void
assign_tls_verify(int new, void *extra)
{
	tls_changed = true;
}

static void
assign_tls_file(const char *new, void *extra)
{
	tls_changed = true;
}

/* define_tls_settings defines the settings of encrypted connections. */
static void
define_tls_settings(void)
{
	DefineCustomBoolVariable("gearman.tls", "Encrypts the connections to Gearman job servers.", NULL, &tls_setting, false,
	                         PGC_SUSET, 0, check_tls, assign_tls, NULL);
	DefineCustomEnumVariable("gearman.tls_verify", "Parts of a job server's certificate that are verified.",
	                         "name: its chain and the host's name or address; chain: its chain; none.",
	                         &tls_verify_setting, GMAN_VERIFY_NAME, verify_options, PGC_SUSET, 0, NULL, assign_tls_verify,
	                         NULL);
	DefineCustomStringVariable("gearman.tls_ca", "File with the certificates that sign those of job servers.",
	                           "Empty: those that the system trusts.", &tls_ca_setting, "", PGC_SUSET, 0, NULL,
	                           assign_tls_file, NULL);
	DefineCustomStringVariable("gearman.tls_cert", "File with the client's certificate for job servers.", "Empty: none.",
	                           &tls_cert_setting, "", PGC_SUSET, 0, NULL, assign_tls_file, NULL);
	DefineCustomStringVariable("gearman.tls_key", "File with the key of gearman.tls_cert.",
	                           "It has no passphrase. Empty: the key is in gearman.tls_cert.", &tls_key_setting, "",
	                           PGC_SUSET, 0, NULL, assign_tls_file, NULL);
}

void
_PG_init(void)
{
	DefineCustomStringVariable("gearman.servers", "Gearman job servers, tried in this order.",
	                           "HOST, HOST:PORT or [IPV6]:PORT, with commas between them; then "
	                           "; FUNCTION=SERVERS for single functions.",
	                           &servers_setting, "localhost", PGC_SUSET, 0, check_servers, assign_servers, NULL);
	DefineCustomIntVariable("gearman.timeout", "Time limit of one call of a Gearman function.", "0 turns the limit off.",
	                        &timeout_setting, GMAN_TIMEOUT_MS, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("gearman.connect_timeout", "Time limit for one Gearman job server to answer.", NULL,
	                        &connect_timeout_setting, GMAN_CONNECT_MS, 1, INT_MAX, PGC_USERSET, GUC_UNIT_MS, NULL,
	                        NULL, NULL);
	DefineCustomIntVariable("gearman.max_result", "Maximum size of the result of a Gearman job.", NULL,
	                        &max_result_setting, GMAN_MAX_REPLY / 1024, 1, (int) (MaxAllocSize / 1024) - 1,
	                        PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomEnumVariable("gearman.on_error", "Effect of a Gearman failure: an error, or a warning and NULL.", NULL,
	                         &on_error_setting, ON_ERROR_ERROR, on_error_options, PGC_USERSET, 0, NULL, NULL, NULL);
	define_tls_settings();
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("gearman");
#else
	EmitWarningsOnPlaceholders("gearman");
#endif
}

/* latch_events returns the events of the hook as those of WaitLatchOrSocket. */
static int
latch_events(int events, int timeout_ms)
{
	int wanted = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

	if (timeout_ms >= 0)
		wanted |= WL_TIMEOUT;
	if (events & GMAN_READ)
		wanted |= WL_SOCKET_READABLE;
	if (events & GMAN_WRITE)
		wanted |= WL_SOCKET_WRITEABLE;
	return wanted;
}

/*
 * wait_latch waits for the latch of the session and for a socket, and raises the
 * error of an interrupt. It returns the events of WaitLatchOrSocket.
 */
static pg_noinline int
wait_latch(int fd, int events, int timeout_ms)
{
	int got = 0;

	CHECK_FOR_INTERRUPTS();
	if (timeout_ms != 0)
		got = WaitLatchOrSocket(MyLatch, latch_events(events, timeout_ms), fd, timeout_ms, PG_WAIT_EXTENSION);
	if (got & WL_LATCH_SET) {
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return got;
}

/*
 * wait_for_socket is the hook of the client. It returns -1 if the session is
 * cancelled or terminated, or another error comes up.
 */
static int
wait_for_socket(void *arg, int fd, int events, int timeout_ms)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int ready = 0;

	PG_TRY();
	{
		ready = (wait_latch(fd, events, timeout_ms) & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)) != 0;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		interrupting_error = CopyErrorData();
		FlushErrorState();
		ready = -1;
	}
	PG_END_TRY();
	return ready;
}

/* set_tls gives the settings of encrypted connections to the client. It must not go on without them. */
static void
set_tls(void)
{
	struct gman_tls tls = {tls_setting, tls_verify_setting, tls_ca_setting, tls_cert_setting, tls_key_setting};

	if (gman_set_tls(client, &tls) != GMAN_OK)
		ereport(ERROR, (errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("gearman: %s", gman_error(client))));
	tls_changed = false;
}

/* free_client ends the client when the session ends, also in the middle of a call. */
static void
free_client(int code, Datum arg)
{
	gman_free(client);
	client = NULL;
}

struct gman *
get_client(void)
{
	static const struct gman_hooks hooks = {wait_for_socket, NULL, NULL};

	if (client == NULL) {
		client = gman_new();
		if (client == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("no memory for a Gearman client")));
		gman_set_hooks(client, &hooks);
		on_proc_exit(free_client, (Datum) 0);
	}
	if (servers_changed) {
		if (gman_set_servers(client, servers_setting == NULL ? "" : servers_setting) != GMAN_OK)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", gman_error(client))));
		servers_changed = false;
	}
	if (tls_changed)
		set_tls();
	gman_set_limits(client, connect_timeout_setting, timeout_setting, (int64) max_result_setting * 1024);
	interrupting_error = NULL;
	return client;
}

/* count_sockets reports the open sockets of the client to PostgreSQL. */
static void
count_sockets(void)
{
	for (; reserved_sockets < gman_sockets(client); reserved_sockets++)
		ReserveExternalFD();
	for (; reserved_sockets > gman_sockets(client); reserved_sockets--)
		ReleaseExternalFD();
}

/* sqlstate returns the SQLSTATE of a failed call. Class UG is this extension's own. */
static int
sqlstate(enum gman_code code)
{
	switch (code) {
	case GMAN_FAILED:
		return MAKE_SQLSTATE('U', 'G', '0', '0', '1');
	case GMAN_TIMEOUT:
		return MAKE_SQLSTATE('U', 'G', '0', '0', '2');
	case GMAN_REFUSED:
		return MAKE_SQLSTATE('U', 'G', '0', '0', '3');
	case GMAN_NO_SERVER:
		return ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
	case GMAN_LOST:
		return ERRCODE_CONNECTION_FAILURE;
	case GMAN_PROTOCOL:
		return ERRCODE_PROTOCOL_VIOLATION;
	case GMAN_MEMORY:
		return ERRCODE_OUT_OF_MEMORY;
	case GMAN_ARGUMENT:
		return ERRCODE_INVALID_PARAMETER_VALUE;
	case GMAN_INTERRUPTED:
		return ERRCODE_QUERY_CANCELED;
	default:
		return ERRCODE_INTERNAL_ERROR;
	}
}

/* error_text returns the text of the client's error in the database's encoding. */
static char *
error_text(void)
{
	char *text = pstrdup(gman_error(client)), *c;

	if (GetDatabaseEncoding() != PG_UTF8)
		for (c = text; *c != 0; c++)
			if ((unsigned char) *c >= 0x80)
				*c = '?';
	return text;
}

bool
end_call(enum gman_code code)
{
	ErrorData *e = interrupting_error;

	interrupting_error = NULL;
	count_sockets();
	if (e != NULL)
		ReThrowError(e);
	if (code == GMAN_OK || code == GMAN_NOT_FOUND)
		return code == GMAN_OK;
	ereport(on_error_setting == ON_ERROR_NULL && code != GMAN_ARGUMENT && code != GMAN_INTERRUPTED ? WARNING : ERROR,
	        (errcode(sqlstate(code)), errmsg("gearman: %s", error_text())));
	return false;
}

text *
server_text(const char *data, size_t len)
{
	char *converted = pg_any_to_server(data, (int) len, PG_UTF8);

	if (converted == data)
		return cstring_to_text_with_len(data, (int) len);
	return cstring_to_text(converted);
}

const char *
utf8_argument(text *t, size_t *len)
{
	char *data = VARDATA_ANY(t);
	char *converted = pg_server_to_any(data, (int) VARSIZE_ANY_EXHDR(t), PG_UTF8);

	*len = converted == data ? VARSIZE_ANY_EXHDR(t) : strlen(converted);
	return converted;
}
