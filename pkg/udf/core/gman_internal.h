/*
 * gman_internal.h declares the parts that the files of the client share:
 * gman_servers.c reads lists of servers, gman_resolve.c looks up their addresses,
 * gman_bytes.c has buffers, packets and errors, gman_conn.c keeps connections,
 * gman_tls.c encrypts them, gman_run.c submits jobs, gman_ask.c asks about them,
 * and gman.c makes clients.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef GMAN_INTERNAL_H
#define GMAN_INTERNAL_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "gman.h"

enum {
	MAX_ADDRS = 4,         /* addresses of one host that are tried */
	MAX_LIST_ENTRIES = 256, /* servers of all lists, with repetitions */
	HEADER_SIZE = 12,
	FIRST_BUFFER = 16384,
	KEPT_BUFFER = 1048576,     /* a larger buffer is freed at the next call */
	IDLE_MS = 1000,            /* a connection that was idle for longer is tested */
	FIRST_BACKOFF_MS = 1000,
	MAX_BACKOFF_MS = 30000,
	MAX_LINE = 1048576         /* bytes of a line of text from a server */
};

/* Types of packets, from gearmand's PROTOCOL. */
enum {
	SUBMIT_JOB = 7,
	JOB_CREATED = 8,
	WORK_STATUS = 12,
	WORK_COMPLETE = 13,
	WORK_FAIL = 14,
	GET_STATUS = 15,
	ECHO_REQ = 16,
	ECHO_RES = 17,
	SUBMIT_JOB_BG = 18,
	PACKET_ERROR = 19,
	STATUS_RES = 20,
	SUBMIT_JOB_HIGH = 21,
	WORK_EXCEPTION = 25,
	OPTION_REQ = 26,
	OPTION_RES = 27,
	WORK_DATA = 28,
	WORK_WARNING = 29,
	SUBMIT_JOB_HIGH_BG = 32,
	SUBMIT_JOB_LOW = 33,
	SUBMIT_JOB_LOW_BG = 34
};

/* NO_DEADLINE is a point in time that never comes. */
#define NO_DEADLINE INT64_MAX

/* struct buffer holds the bytes from start to end of its memory. */
struct buffer {
	char *data;
	size_t start, end, cap;
};

/* struct packet is a packet whose body lies in a connection's buffer. */
struct packet {
	uint32_t type;
	const char *body;
	size_t len;
};

/* struct conn is a server and the kept connection to it. */
struct conn {
	char host[GMAN_HOST_SIZE];
	int port;
	int fd; /* -1: not connected */
	int64_t answered; /* the time of its last answer */
	int64_t retry_at; /* until then it is tried last */
	int64_t backoff;  /* 0 after a success */
	int64_t resolved; /* the time of the addresses */
	int addrs;
	struct sockaddr_storage addr[MAX_ADDRS];
	socklen_t addr_len[MAX_ADDRS];
	struct buffer in;
	struct ssl_st *ssl;            /* NULL: not encrypted */
	int read_needs, write_needs;   /* the events that ssl waits for; 0: those of the direction */
	int tls_errno;                 /* of the last call of send or recv below ssl */
};

/* struct list names the servers of one function. */
struct list {
	size_t function, function_len; /* in gman.servers; length 0: all others */
	int first, count;              /* in gman.entries */
};

/* struct server_lists is the result of reading a text of lists. */
struct server_lists {
	char text[GMAN_SERVERS_SIZE];
	int servers, lists, entries;
	struct {
		char host[GMAN_HOST_SIZE];
		int port;
	} server[GMAN_MAX_SERVERS];
	struct list list[GMAN_MAX_SERVERS + 1];
	uint8_t entry[MAX_LIST_ENTRIES];
};

/* struct slot is one unfinished job of gman_run. */
struct slot {
	int used;
	int has_handle;
	size_t job;
	char handle[GMAN_HANDLE_SIZE];
	size_t handle_len;
	struct buffer data; /* of WORK_DATA packets */
};

struct gman {
	struct gman_hooks hooks;
	int connect_ms, timeout_ms;
	size_t max_reply;
	int64_t deadline; /* of the current call */
	int64_t checked;  /* the time of the last look at interrupts */
	uint64_t echoes;
	const char *getent;         /* the program that looks up host names */
	pid_t getent_pid;           /* 0: it does not run */
	struct ssl_ctx_st *tls;     /* NULL: connections are not encrypted */
	struct bio_method_st *bio;  /* of the connections of tls */
	enum gman_verify verify;
	struct server_lists lists;
	struct conn conn[GMAN_MAX_SERVERS];
	struct slot slot[GMAN_WINDOW];
	char error[GMAN_ERROR_SIZE];
};

/* gman_servers.c */
enum gman_code gmani_parse_servers(struct server_lists *l, const char *text);
const struct list *gmani_find_list(const struct server_lists *l, const char *function, size_t len);

/* gman_bytes.c */
enum gman_code gmani_set_error(struct gman *g, enum gman_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum gman_code gmani_set_server_error(struct gman *g, const struct conn *c, const struct packet *p);
size_t gmani_clean(char *out, size_t size, const char *text, size_t len);
int gmani_reserve(struct buffer *b, size_t len);
int gmani_append(struct buffer *b, const char *data, size_t len);
void gmani_free_buffer(struct buffer *b);
void gmani_put_uint32(char *out, uint32_t n);
void gmani_put_header(char *out, uint32_t type, size_t len);
int gmani_next_packet(struct gman *g, struct conn *c, struct packet *p);

/* gman_conn.c */
int64_t gmani_now(void);
void gmani_close(struct conn *c);
enum gman_code gmani_fail(struct conn *c);
enum gman_code gmani_wait(struct gman *g, int fd, int events, int64_t deadline);
enum gman_code gmani_wait_conn(struct gman *g, const struct conn *c, int events, int64_t deadline);
enum gman_code gmani_ready(struct gman *g, struct conn *c);
enum gman_code gmani_write(struct gman *g, struct conn *c, struct iovec *part, int *parts);
enum gman_code gmani_write_all(struct gman *g, struct conn *c, const char *data, size_t len,
                               int64_t deadline);
enum gman_code gmani_read(struct gman *g, struct conn *c, int *some);
enum gman_code gmani_read_packet(struct gman *g, struct conn *c, struct packet *p,
                                 int64_t deadline);

/* gman_resolve.c */
void gmani_end_getent(struct gman *g);
void gmani_add_output(struct conn *c, char *text);
enum gman_code gmani_resolve(struct gman *g, struct conn *c, int64_t deadline);

/* gman_tls.c */
void gmani_free_tls(struct gman *g);
enum gman_code gmani_tls_connect(struct gman *g, struct conn *c, int64_t deadline);
void gmani_tls_close(struct conn *c);
int gmani_tls_is_closed(struct conn *c);
enum gman_code gmani_tls_read(struct gman *g, struct conn *c, char *data, size_t size, size_t *n);
enum gman_code gmani_tls_write(struct gman *g, struct conn *c, const struct iovec *part, int parts, size_t *n);

/* gman.c */
void gmani_start_call(struct gman *g);

#endif
