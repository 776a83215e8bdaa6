/*
 * gman_resolve.c looks up the addresses of servers.
 *
 * getaddrinfo can wait for a name server for half a minute, and no signal ends
 * that. So the program getent calls it, in a process of its own. The client
 * waits for its output as for the answer of a server, and kills the process when
 * the time is over or the call is interrupted.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2 */
#endif

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gman_internal.h"

extern char **environ;

/* add_addresses adds the addresses of a name to c. It returns the error of getaddrinfo. */
static int add_addresses(struct conn *c, const char *name, int flags)
{
	struct addrinfo hints, *found, *one;
	char port[8];
	int err;

	memset(&hints, 0, sizeof hints);
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = flags;
	(void)snprintf(port, sizeof port, "%d", c->port);
	err = getaddrinfo(name, port, &hints, &found);
	if (err != 0)
		return err;
	for (one = found; one != NULL && c->addrs < MAX_ADDRS; one = one->ai_next) {
		if (one->ai_addrlen > sizeof c->addr[0])
			continue;
		memcpy(&c->addr[c->addrs], one->ai_addr, one->ai_addrlen);
		c->addr_len[c->addrs++] = one->ai_addrlen;
	}
	freeaddrinfo(found);
	return 0;
}

/* set_attributes gives the process of getent the default signals, and a process group of its own. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	static const int defaults[] = {SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGCHLD};
	sigset_t none, reset;
	size_t i;

	sigemptyset(&none);
	sigemptyset(&reset);
	for (i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
		sigaddset(&reset, defaults[i]);
	/* A database cancels a statement with a signal to the group of its own process. */
	return posix_spawnattr_setpgroup(attributes, 0) == 0 && posix_spawnattr_setsigmask(attributes, &none) == 0 &&
	       posix_spawnattr_setsigdefault(attributes, &reset) == 0 &&
	       posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0;
}

/* spawn_getent starts getent for a name. Its output goes to the descriptor out. It returns 0 if it cannot be started. */
static pid_t spawn_getent(const char *program, const char *name, int out)
{
	union {
		const char *in;
		char *out;
	} argument[] = {{"getent"}, {"ahosts"}, {name}};
	char *arguments[] = {argument[0].out, argument[1].out, argument[2].out, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	pid_t pid = 0;

	if (posix_spawn_file_actions_init(&files) != 0)
		return 0;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return 0;
	}
	if (posix_spawn_file_actions_adddup2(&files, out, 1) != 0 ||
	    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0) != 0 ||
	    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0) != 0 || !set_attributes(&attributes) ||
	    posix_spawn(&pid, program, &files, &attributes, arguments, environ) != 0)
		pid = 0;
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return pid;
}

/* gmani_end_getent kills the process of getent, which has closed its output or is late. */
void gmani_end_getent(struct gman *g)
{
	if (g->getent_pid == 0)
		return;
	(void)kill(g->getent_pid, SIGKILL);
	while (waitpid(g->getent_pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	g->getent_pid = 0;
}

/* read_output reads the output of getent up to its end or to size bytes. */
static enum gman_code read_output(struct gman *g, int fd, int64_t deadline, char *out, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, out + *len, size - *len);
		enum gman_code code = GMAN_OK;

		if (n == 0)
			return GMAN_OK;
		if (n > 0)
			*len += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			code = gmani_wait(g, fd, GMAN_READ, deadline);
		else if (errno != EINTR)
			return GMAN_OK; /* as without a program */
		if (code != GMAN_OK)
			return code;
	}
	return GMAN_OK;
}

/* gmani_add_output adds the addresses of lines such as "192.0.2.1  STREAM example.org". */
void gmani_add_output(struct conn *c, char *text)
{
	while (*text != 0) {
		char *end = text + strcspn(text, "\n"), *next = *end == 0 ? end : end + 1;
		char *address_end = text + strcspn(text, " \t\n");

		*end = 0;
		if (strstr(address_end, "STREAM") != NULL) {
			*address_end = 0;
			(void)add_addresses(c, text, AI_NUMERICHOST);
		}
		text = next;
	}
}

/*
 * open_pipe opens a pipe that programs of other threads do not inherit. The read
 * end does not block.
 */
static int open_pipe(int ends[2])
{
#ifdef __linux__
	if (pipe2(ends, O_CLOEXEC) != 0)
		return 0;
#else
	if (pipe(ends) != 0)
		return 0;
	(void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	(void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#endif
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return 1;
}

/* run_getent adds the addresses from getent. *ran is 0 if it cannot be started. */
static enum gman_code run_getent(struct gman *g, struct conn *c, int64_t deadline, int *ran)
{
	char text[8192];
	int ends[2];
	size_t len = 0;
	enum gman_code code;

	*ran = 0;
	if (!open_pipe(ends))
		return GMAN_OK;
	g->getent_pid = spawn_getent(g->getent, c->host, ends[1]);
	close(ends[1]);
	if (g->getent_pid == 0) {
		close(ends[0]);
		return GMAN_OK;
	}
	*ran = 1;
	code = read_output(g, ends[0], deadline, text, sizeof text - 1, &len);
	close(ends[0]);
	gmani_end_getent(g);
	text[len] = 0;
	if (code == GMAN_OK)
		gmani_add_output(c, text);
	if (code == GMAN_TIMEOUT)
		gmani_set_error(g, code, "look up %s: no answer within the connect limit", c->host);
	return code;
}

/* gmani_resolve looks up the addresses of a server, unless they are known. */
enum gman_code gmani_resolve(struct gman *g, struct conn *c, int64_t deadline)
{
	enum gman_code code = GMAN_OK;
	int ran = 1, err = 0;

	if (c->addrs > 0 && gmani_now() - c->resolved < (int64_t)GMAN_RESOLVE_SECONDS * 1000)
		return GMAN_OK;
	c->addrs = 0;
	if (strcasecmp(c->host, "localhost") == 0) {
		(void)add_addresses(c, "127.0.0.1", AI_NUMERICHOST);
		(void)add_addresses(c, "::1", AI_NUMERICHOST);
	} else if (add_addresses(c, c->host, AI_NUMERICHOST) != 0) {
		code = run_getent(g, c, deadline, &ran);
	}
	if (code == GMAN_OK && !ran)
		err = add_addresses(c, c->host, 0);
	if (code != GMAN_OK)
		return code;
	if (err != 0)
		return gmani_set_error(g, GMAN_NO_SERVER, "look up %s: %s", c->host, gai_strerror(err));
	if (c->addrs == 0)
		return gmani_set_error(g, GMAN_NO_SERVER, "look up %s: no address", c->host);
	c->resolved = gmani_now();
	return GMAN_OK;
}
