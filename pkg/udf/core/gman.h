/*
 * gman.h declares a small Gearman client for SQL functions. The PostgreSQL
 * extension and the MySQL functions share it.
 *
 * Its types:
 *
 *   - struct gman is one client: its list of servers, its limits, and one kept
 *     connection for each server that it has used. It belongs to one thread at
 *     a time. There are no globals: a program may have any number of clients.
 *   - struct gman_job is one job to submit. Its bytes belong to the caller and
 *     must stay unchanged during the call.
 *   - struct gman_hooks connects the waiting to the program, so that the
 *     program can interrupt a call.
 *   - enum gman_code is the result of each call; gman_error returns its text.
 *
 * No call raises a signal, starts a thread, or blocks for longer than the
 * limits of gman_set_limits. The system's resolver can be neither interrupted
 * nor limited, so the program getent looks up host names in a process of its
 * own, within the connect limit. A system without /usr/bin/getent has the
 * resolver's own limits. Addresses are kept for GMAN_RESOLVE_SECONDS; numeric
 * addresses and localhost need no lookup.
 *
 * Memory grows with the bytes that have arrived, never with a size that a
 * server has announced. A reply above the limit of gman_set_limits is an error.
 *
 * Servers are tried in the order of the list. A new connection, and one that
 * was idle for a second, must answer an ECHO_REQ within the connect limit
 * before a job goes to it. A server that does not is tried last for a while: 1
 * second at first, twice as long after each failure, at most 30. A job is
 * offered to the next server only if it cannot have reached the one before.
 * Otherwise the call returns GMAN_LOST, and the caller decides; a job with a
 * unique can be submitted again.
 *
 * No function here has the name of an SQL function: MySQL finds those in its
 * library by their names.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GMAN_H
#define GMAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* GMAN_VERSION is the version of the extension and of the SQL functions. */
#define GMAN_VERSION "1.0"

enum {
	GMAN_DEFAULT_PORT = 4730,
	GMAN_MAX_SERVERS = 64,       /* in all lists of one client together */
	GMAN_SERVERS_SIZE = 4096,    /* bytes of a list as text, with its NUL */
	GMAN_HOST_SIZE = 256,        /* bytes of a host name, with its NUL */
	GMAN_HANDLE_SIZE = 256,      /* bytes of a job's handle, with its NUL */
	GMAN_MAX_FUNCTION = 512,     /* bytes of a function's name */
	GMAN_MAX_UNIQUE = 255,       /* bytes of a unique */
	GMAN_ERROR_SIZE = 512,       /* bytes of an error's text, with its NUL */
	GMAN_CONNECT_MS = 1000,      /* the default of connect_ms */
	GMAN_TIMEOUT_MS = 10000,     /* the default of timeout_ms */
	GMAN_MAX_REPLY = 268435456,  /* the default of max_reply */
	GMAN_RESOLVE_SECONDS = 60,
	GMAN_SLICE_MS = 25,          /* the longest wait between two looks at hooks.interrupted */
	GMAN_WINDOW = 64             /* unfinished jobs of one gman_run */
};

/* enum gman_code is the result of a call. */
enum gman_code {
	GMAN_OK = 0,
	GMAN_FAILED,      /* the worker reported a failure or an exception */
	GMAN_TIMEOUT,     /* timeout_ms has passed */
	GMAN_INTERRUPTED, /* hooks.wait or hooks.interrupted ended the call */
	GMAN_NO_SERVER,   /* no server could be reached; the job was not submitted */
	GMAN_LOST,        /* the connection ended; the server may have the job */
	GMAN_REFUSED,     /* the server answered with an error */
	GMAN_NOT_FOUND,   /* no server knows the handle, or keeps its result */
	GMAN_PROTOCOL,    /* the server sent bytes that are not Gearman's */
	GMAN_MEMORY,      /* an allocation failed */
	GMAN_ARGUMENT     /* an argument is invalid; nothing was sent */
};

/* enum gman_priority is the priority of a job. */
enum gman_priority { GMAN_NORMAL = 0, GMAN_HIGH, GMAN_LOW };

/* Events of hooks.wait, to be combined. */
enum { GMAN_READ = 1, GMAN_WRITE = 2 };

/*
 * struct gman_hooks connects a client to its program. Both functions may be
 * NULL. A hook must not jump out of the call (longjmp): it returns, and the
 * program raises its error when the call has returned GMAN_INTERRUPTED.
 */
struct gman_hooks {
	/*
	 * wait waits until fd is ready for one of events, or until timeout_ms (-1:
	 * no limit) have passed. It returns a positive number if fd may be ready, 0
	 * if the time has passed, and a negative number to end the call. It may
	 * return a positive number too early. NULL stands for poll in slices of
	 * GMAN_SLICE_MS.
	 */
	int (*wait)(void *arg, int fd, int events, int timeout_ms);
	/*
	 * interrupted reports whether the call must end. Only the wait with poll
	 * calls it: before each slice.
	 */
	int (*interrupted)(void *arg);
	void *arg; /* the first argument of both */
};

/* struct gman_bytes is a piece of memory that the client owns. */
struct gman_bytes {
	const char *data; /* never NULL after GMAN_OK; no NUL follows the bytes */
	size_t len;
};

/* struct gman_job is a job to submit. Pointers with length 0 may be NULL. */
struct gman_job {
	const char *function;
	size_t function_len; /* 1 to GMAN_MAX_FUNCTION, no NUL among the bytes */
	const char *unique;
	size_t unique_len; /* 0: none; at most GMAN_MAX_UNIQUE, no NUL among them */
	const void *workload;
	size_t workload_len;
	enum gman_priority priority;
};

/* struct gman_status is the answer of gman_get_status. */
struct gman_status {
	int known;   /* a server has the job */
	int running; /* a worker has the job */
	uint64_t numerator, denominator;
};

/* enum gman_verify selects the parts of a server's certificate that must be right. */
enum gman_verify {
	GMAN_VERIFY_NAME = 0, /* the chain of signatures, and the host's name or address */
	GMAN_VERIFY_CHAIN,    /* the chain of signatures */
	GMAN_VERIFY_NONE      /* nothing: anybody in between can read and change jobs */
};

/* struct gman_tls has the settings of encrypted connections. Empty texts may be NULL. */
struct gman_tls {
	int on;
	enum gman_verify verify;
	const char *ca;   /* file with trusted certificates; empty: those of the system */
	const char *cert; /* file with the client's certificate and its chain; empty: none */
	const char *key;  /* file with its key, without a passphrase; empty: it is in cert */
};

struct gman;

/* gman_new returns a client without servers, or NULL without memory. */
struct gman *gman_new(void);

/*
 * gman_free closes the connections of g and frees it. g may be NULL. A program
 * that exits in a hook may call it too.
 */
void gman_free(struct gman *g);

/* gman_set_hooks copies *hooks. */
void gman_set_hooks(struct gman *g, const struct gman_hooks *hooks);

/*
 * gman_set_limits sets the limits of the following calls.
 *
 * connect_ms is the limit for connecting to one server and for the answer to
 * its ECHO_REQ. timeout_ms is the limit of a whole call; 0 turns it off. max_reply is
 * the limit for the bytes of a result. A value below 0, and 0 for connect_ms
 * and max_reply, stands for the default.
 */
void gman_set_limits(struct gman *g, int connect_ms, int timeout_ms, int64_t max_reply);

/*
 * gman_set_servers replaces the servers of g and closes its connections. It does
 * nothing if servers is the text of the last call.
 *
 * servers is a list of HOST, HOST:PORT, [IPV6] or [IPV6]:PORT with commas or
 * blanks between them. Lists for single functions may follow, each after a
 * semicolon and with the function's name and an equals sign in front:
 *
 *   localhost, db2:4731; resize=img1,img2; report=[::1]:4732
 *
 * A function without a list uses the first one. It returns GMAN_ARGUMENT and
 * leaves the servers as they were if the text is not such a list.
 */
enum gman_code gman_set_servers(struct gman *g, const char *servers);

/* gman_check_servers reports whether the text is a list for gman_set_servers. */
int gman_check_servers(const char *servers);

/*
 * gman_merge_servers writes to out the text of lists, as for gman_set_servers,
 * with the list of one function replaced by servers. function NULL or "" is the
 * first list; then servers with a semicolon replace all lists. Empty servers
 * remove the function's list. It returns GMAN_ARGUMENT if an argument is invalid
 * or the text does not fit.
 */
enum gman_code gman_merge_servers(const char *lists, const char *function, const char *servers,
                                  char out[GMAN_SERVERS_SIZE]);

/* gman_has_tls reports whether the library was built with OpenSSL. */
int gman_has_tls(void);

/*
 * gman_set_tls sets whether the connections of g are encrypted, reads the files,
 * and closes the connections. The handshake is within the connect limit; TLS 1.2
 * is the oldest version. It returns GMAN_ARGUMENT and leaves the settings as
 * they were if a file cannot be used, or if the library has no OpenSSL.
 */
enum gman_code gman_set_tls(struct gman *g, const struct gman_tls *tls);

/*
 * gman_call runs a job in the foreground and waits for its end. *result is valid
 * until the next call with g. It has the data of WORK_DATA and WORK_COMPLETE
 * packets, joined; warnings and progress are ignored. After GMAN_FAILED it has
 * the text of the exception, if any.
 */
enum gman_code gman_call(struct gman *g, const struct gman_job *job, struct gman_bytes *result);

/*
 * gman_run runs n jobs of one function in the foreground on one connection, at
 * most GMAN_WINDOW of them at a time, and calls done with the result of each,
 * in the order in which they end. data is valid until done returns. If done
 * returns a value other than GMAN_OK, or a job fails, gman_run abandons the
 * other jobs and returns the code. Two of the jobs must not have the same
 * unique. The list of the first job's function has the server. done must
 * neither jump out of the call nor use g.
 */
typedef enum gman_code (*gman_done_fn)(void *arg, size_t i, const char *data, size_t len);
enum gman_code gman_run(struct gman *g, const struct gman_job *jobs, size_t n, gman_done_fn done,
                        void *arg);

/* gman_submit submits a job in the background, and writes its handle. */
enum gman_code gman_submit(struct gman *g, const struct gman_job *job,
                                  char handle[GMAN_HANDLE_SIZE]);

/*
 * gman_get_status asks the servers in turn for the job with a handle, until one
 * knows it. *status is all zeros if none does.
 */
enum gman_code gman_get_status(struct gman *g, const char *handle, struct gman_status *status);

/*
 * gman_get_result asks the servers in turn for the result of a job that has
 * ended. Only `gm serve --keep-results` keeps results; others count as servers
 * without the job. It returns GMAN_FAILED with the error's text in *result for
 * a job that failed. *result is valid until the next call with g.
 */
enum gman_code gman_get_result(struct gman *g, const char *handle, struct gman_bytes *result);

/* gman_echo sends bytes to the first server that can be reached, and back. */
enum gman_code gman_echo(struct gman *g, const void *data, size_t len);

/*
 * gman_error returns the text of the last error of g. It is valid UTF-8 without
 * line ends and other control characters: a question mark replaces other bytes
 * of servers and workers.
 */
const char *gman_error(const struct gman *g);

/*
 * gman_free_result frees the memory of the last result, which is not valid any
 * more. A program with many clients calls it for those without a call.
 */
void gman_free_result(struct gman *g);

/* gman_memory returns the bytes of memory of g. */
size_t gman_memory(const struct gman *g);

/* gman_sockets returns the number of open sockets of g. */
int gman_sockets(const struct gman *g);

/* gman_disconnect closes the connections of g. */
void gman_disconnect(struct gman *g);

/*
 * gman_adopt makes the connected socket fd the connection of the first server
 * of g, as if it had just answered an ECHO_REQ. g closes it. Tests use it.
 */
enum gman_code gman_adopt(struct gman *g, int fd);

#ifdef __cplusplus
}
#endif

#endif
