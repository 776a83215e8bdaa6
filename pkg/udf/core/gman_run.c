/*
 * gman_run.c submits jobs, and waits for the results of foreground jobs.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#include <string.h>

#include "gman_internal.h"

/* check_job returns GMAN_ARGUMENT for a job that no packet can carry. */
static enum gman_code check_job(struct gman *g, const struct gman_job *job)
{
	if (job->function_len == 0)
		return gmani_set_error(g, GMAN_ARGUMENT, "the name of the function is empty");
	if (job->function_len > GMAN_MAX_FUNCTION)
		return gmani_set_error(g, GMAN_ARGUMENT, "the name of the function has %zu bytes, the limit is %d",
		                       job->function_len, GMAN_MAX_FUNCTION);
	if (memchr(job->function, 0, job->function_len) != NULL)
		return gmani_set_error(g, GMAN_ARGUMENT, "the name of the function has a NUL");
	if (job->unique_len > GMAN_MAX_UNIQUE)
		return gmani_set_error(g, GMAN_ARGUMENT, "the unique has %zu bytes, the limit is %d",
		                       job->unique_len, GMAN_MAX_UNIQUE);
	if (job->unique_len > 0 && memchr(job->unique, 0, job->unique_len) != NULL)
		return gmani_set_error(g, GMAN_ARGUMENT, "the unique has a NUL");
	if (job->workload_len > INT32_MAX - 2 * HEADER_SIZE - GMAN_MAX_FUNCTION - GMAN_MAX_UNIQUE)
		return gmani_set_error(g, GMAN_ARGUMENT, "the workload has %zu bytes, which no packet can carry",
		                       job->workload_len);
	return GMAN_OK;
}

/* struct request is the packet of a submission: its bytes, and those not sent yet. */
struct request {
	char head[HEADER_SIZE + GMAN_MAX_FUNCTION + GMAN_MAX_UNIQUE + 2];
	struct iovec part[2];
	int parts;
};

/* put_request writes the packet of a job. The workload stays in its place. */
static void put_request(struct request *r, uint32_t type, const struct gman_job *job)
{
	union {
		const void *in;
		void *out;
	} workload = {job->workload};
	char *end = r->head + HEADER_SIZE;

	memcpy(end, job->function, job->function_len);
	end += job->function_len;
	*end++ = 0;
	if (job->unique_len > 0)
		memcpy(end, job->unique, job->unique_len);
	end += job->unique_len;
	*end++ = 0;
	r->part[0].iov_base = r->head;
	r->part[0].iov_len = (size_t)(end - r->head);
	gmani_put_header(r->head, type, r->part[0].iov_len - HEADER_SIZE + job->workload_len);
	r->part[1].iov_base = workload.out;
	r->part[1].iov_len = job->workload_len;
	r->parts = job->workload_len > 0 ? 2 : 1;
}

static uint32_t foreground_type(enum gman_priority p)
{
	return p == GMAN_HIGH ? SUBMIT_JOB_HIGH : p == GMAN_LOW ? SUBMIT_JOB_LOW : SUBMIT_JOB;
}

static uint32_t background_type(enum gman_priority p)
{
	return p == GMAN_HIGH ? SUBMIT_JOB_HIGH_BG : p == GMAN_LOW ? SUBMIT_JOB_LOW_BG : SUBMIT_JOB_BG;
}

/* struct run is a gman_run on one connection. */
struct run {
	struct gman *g;
	struct conn *c;
	const struct gman_job *jobs;
	size_t n;
	gman_done_fn done;
	void *arg;
	struct gman_bytes *failure; /* the text of the exception, or NULL */
	uint32_t background;    /* not 0: the type of a submission without a result */
	char *background_handle;
	struct request request; /* of the job started - 1 */
	size_t started, created, ended;
	size_t received; /* bytes of unfinished results */
};

/* find_slot returns the slot of a started job without a handle, or one with handle. */
static struct slot *find_slot(struct gman *g, const char *handle, size_t len)
{
	int i;

	for (i = 0; i < GMAN_WINDOW; i++)
		if (g->slot[i].used && g->slot[i].has_handle && g->slot[i].handle_len == len &&
		    memcmp(g->slot[i].handle, handle, len) == 0)
			return &g->slot[i];
	return NULL;
}

/* start_job takes a slot for the next job, and writes its request. */
static void start_job(struct run *r)
{
	const struct gman_job *job = &r->jobs[r->started];
	struct slot *s = r->g->slot;

	while (s->used)
		s++;
	s->used = 1;
	s->has_handle = 0;
	s->job = r->started++;
	s->data.start = s->data.end = 0;
	put_request(&r->request, r->background != 0 ? r->background : foreground_type(job->priority), job);
}

/* handle_created gives the handle to the job that was submitted first of those without one. */
static enum gman_code handle_created(struct run *r, const struct packet *p)
{
	struct slot *s = r->g->slot;
	size_t len = p->len;

	if (r->created == r->started || (r->created + 1 == r->started && r->request.parts > 0))
		return gmani_set_error(r->g, GMAN_PROTOCOL, "%s:%d sends a handle for no job", r->c->host, r->c->port);
	while (len > 0 && p->body[len - 1] == 0)
		len--;
	if (len == 0 || len >= GMAN_HANDLE_SIZE || memchr(p->body, 0, len) != NULL)
		return gmani_set_error(r->g, GMAN_PROTOCOL, "%s:%d sends a handle of %zu bytes", r->c->host, r->c->port, len);
	while (!s->used || s->job != r->created)
		s++;
	r->created++;
	if (r->background != 0) {
		memcpy(r->background_handle, p->body, len);
		r->background_handle[len] = 0;
		s->used = 0;
		r->ended++;
		return GMAN_OK;
	}
	memcpy(s->handle, p->body, len);
	s->handle_len = len;
	s->has_handle = 1;
	return GMAN_OK;
}

/* end_job passes the result of a job on. data is its last piece. */
static enum gman_code end_job(struct run *r, struct slot *s, const char *data, size_t len)
{
	s->used = 0;
	r->ended++;
	r->received -= s->data.end;
	if (s->data.end > 0) {
		if (!gmani_append(&s->data, data, len))
			return gmani_set_error(r->g, GMAN_MEMORY, "no memory for a result");
		data = s->data.data;
		len = s->data.end;
	}
	return r->done(r->arg, s->job, data, len);
}

/* fail_job sets the error of a job that failed. text may be empty. */
static enum gman_code fail_job(struct run *r, struct slot *s, const char *text, size_t len)
{
	const struct gman_job *job = &r->jobs[s->job];

	s->used = 0;
	r->ended++;
	if (r->failure != NULL) {
		r->failure->data = text;
		r->failure->len = len;
	}
	return gmani_set_error(r->g, GMAN_FAILED, "job %.*s of function %.*s failed%s%.*s", (int)s->handle_len, s->handle,
	                       (int)(job->function_len < 100 ? job->function_len : 100), job->function,
	                       len > 0 ? ": " : "", (int)(len < 300 ? len : 300), text);
}

/* handle_work acts on a packet about a job. Other jobs' packets are late ones, and ignored. */
static enum gman_code handle_work(struct run *r, const struct packet *p)
{
	const char *nul = memchr(p->body, 0, p->len);
	size_t handle = nul == NULL ? p->len : (size_t)(nul - p->body);
	size_t len = nul == NULL ? 0 : p->len - handle - 1;
	const char *data = nul == NULL ? p->body + p->len : nul + 1;
	struct slot *s = find_slot(r->g, p->body, handle);

	if (s == NULL)
		return GMAN_OK;
	if (p->type == WORK_DATA || p->type == WORK_COMPLETE) {
		if (len > r->g->max_reply || r->received > r->g->max_reply - len)
			return gmani_set_error(r->g, GMAN_PROTOCOL, "result of job %.*s exceeds the limit of %zu bytes",
			                       (int)s->handle_len, s->handle, r->g->max_reply);
	}
	switch (p->type) {
	case WORK_DATA:
		if (!gmani_append(&s->data, data, len))
			return gmani_set_error(r->g, GMAN_MEMORY, "no memory for a result");
		r->received += len;
		return GMAN_OK;
	case WORK_COMPLETE:
		return end_job(r, s, data, len);
	case WORK_EXCEPTION:
		return fail_job(r, s, data, len);
	case WORK_FAIL:
		return fail_job(r, s, "", 0);
	default: /* WORK_STATUS, WORK_WARNING */
		return GMAN_OK;
	}
}

/* handle_packets acts on the packets that have arrived. */
static enum gman_code handle_packets(struct run *r)
{
	struct packet p;

	while (r->ended < r->n) {
		enum gman_code code = GMAN_OK;
		int got = gmani_next_packet(r->g, r->c, &p);

		if (got == 0)
			return GMAN_OK;
		if (got < 0)
			return GMAN_PROTOCOL;
		if (p.type == JOB_CREATED)
			code = handle_created(r, &p);
		else if (p.type == PACKET_ERROR)
			code = gmani_set_server_error(r->g, r->c, &p);
		else
			code = handle_work(r, &p);
		if (code != GMAN_OK)
			return code;
	}
	return GMAN_OK;
}

/* unfinished returns the number of jobs that have started and not ended. */
static size_t unfinished(const struct run *r) { return r->started - r->ended; }

/* step sends and receives without waiting. *moved is 0 if nothing could be done. */
static enum gman_code step(struct run *r, int *moved)
{
	enum gman_code code;

	*moved = 0;
	while (r->request.parts == 0 && r->started < r->n && unfinished(r) < GMAN_WINDOW) {
		start_job(r);
		code = gmani_write(r->g, r->c, r->request.part, &r->request.parts);
		/* A server that refuses a packet answers and closes: read its answer first. */
		if (code != GMAN_OK && code != GMAN_LOST)
			return code;
		if (code == GMAN_LOST)
			break;
	}
	if (r->request.parts > 0) {
		code = gmani_write(r->g, r->c, r->request.part, &r->request.parts);
		if (code != GMAN_OK && code != GMAN_LOST)
			return code;
		*moved = code == GMAN_OK && r->request.parts == 0;
	}
	code = handle_packets(r);
	if (code == GMAN_OK && r->ended < r->n) {
		int some;

		code = gmani_read(r->g, r->c, &some);
		*moved |= some;
		if (code == GMAN_OK && some)
			code = handle_packets(r);
	}
	return code;
}

/* run_on runs the jobs on one connection. */
static enum gman_code run_on(struct run *r)
{
	enum gman_code code = GMAN_OK;

	while (code == GMAN_OK && r->ended < r->n) {
		int moved;

		code = step(r, &moved);
		if (code == GMAN_OK && !moved && r->ended < r->n)
			code = gmani_wait_conn(r->g, r->c, r->request.parts > 0 ? GMAN_READ | GMAN_WRITE : GMAN_READ,
			                       r->g->deadline);
	}
	return code;
}

/* set_timeout_error says how far a job came before the time was over. */
static void set_timeout_error(struct run *r)
{
	struct gman *g = r->g;

	gmani_set_error(g, GMAN_TIMEOUT, r->created < r->started ? "%s:%d has not taken the job within %d ms"
	                                                         : "%s:%d has no result within %d ms",
	                r->c->host, r->c->port, g->timeout_ms);
}

/*
 * close_run leaves the connection open if the next call can use it: all jobs
 * have ended, and the answer to each request has come.
 */
static enum gman_code close_run(struct run *r, enum gman_code code)
{
	struct gman *g = r->g;
	int clean = r->request.parts == 0 && r->ended == r->started;

	if (code == GMAN_OK || (clean && code == GMAN_FAILED))
		return code;
	if (code == GMAN_REFUSED && r->n == 1 && r->request.parts == 0)
		return code;
	if (code == GMAN_TIMEOUT)
		set_timeout_error(r);
	gmani_close(r->c);
	/* The server cannot have a job of which it has only a part. */
	if (code == GMAN_LOST && r->started == 1 && r->request.parts > 0)
		return gmani_fail(r->c);
	if (code == GMAN_LOST && r->created < r->started) {
		char why[GMAN_ERROR_SIZE];

		memcpy(why, g->error, sizeof why);
		gmani_set_error(g, code, "%s; it may have the job", why);
	}
	return code;
}

/* submit runs r on the first server of the function's list that can be reached. */
static enum gman_code submit(struct run *r)
{
	struct gman *g = r->g;
	const struct list *list = gmani_find_list(&g->lists, r->jobs[0].function, r->jobs[0].function_len);
	int64_t now = gmani_now();
	int pass, i;
	char tried[GMAN_MAX_SERVERS] = {0};

	if (list->count == 0)
		return gmani_set_error(g, GMAN_NO_SERVER, "no servers are set");
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < list->count; i++) {
			int server = g->lists.entry[list->first + i];
			struct conn *c = &g->conn[server];
			enum gman_code code;

			if (tried[server] || (pass == 0 && c->retry_at > now))
				continue;
			tried[server] = 1;
			code = gmani_ready(g, c);
			if (code == GMAN_OK) {
				r->c = c;
				r->started = r->created = r->ended = r->received = 0;
				r->request.parts = 0;
				code = close_run(r, run_on(r));
			}
			if (code != GMAN_NO_SERVER)
				return code;
		}
	}
	return GMAN_NO_SERVER;
}

/* run_jobs is gman_run. It sets *failure, unless that is NULL, after GMAN_FAILED. */
static enum gman_code run_jobs(struct gman *g, const struct gman_job *jobs, size_t n, gman_done_fn done, void *arg,
                               struct gman_bytes *failure)
{
	struct run r;
	size_t i;

	for (i = 0; i < n; i++)
		if (check_job(g, &jobs[i]) != GMAN_OK)
			return GMAN_ARGUMENT;
	if (n == 0)
		return GMAN_OK;
	gmani_start_call(g);
	memset(&r, 0, sizeof r);
	r.g = g;
	r.jobs = jobs;
	r.n = n;
	r.done = done;
	r.arg = arg;
	r.failure = failure;
	return submit(&r);
}

enum gman_code gman_run(struct gman *g, const struct gman_job *jobs, size_t n, gman_done_fn done, void *arg)
{
	return run_jobs(g, jobs, n, done, arg, NULL);
}

/* keep_result is the gman_done_fn of gman_call. */
static enum gman_code keep_result(void *arg, size_t i, const char *data, size_t len)
{
	struct gman_bytes *result = arg;

	(void)i;
	result->data = data;
	result->len = len;
	return GMAN_OK;
}

enum gman_code gman_call(struct gman *g, const struct gman_job *job, struct gman_bytes *result)
{
	result->data = "";
	result->len = 0;
	return run_jobs(g, job, 1, keep_result, result, result);
}

enum gman_code gman_submit(struct gman *g, const struct gman_job *job, char handle[GMAN_HANDLE_SIZE])
{
	struct run r;

	handle[0] = 0;
	if (check_job(g, job) != GMAN_OK)
		return GMAN_ARGUMENT;
	gmani_start_call(g);
	memset(&r, 0, sizeof r);
	r.g = g;
	r.jobs = job;
	r.n = 1;
	r.background = background_type(job->priority);
	r.background_handle = handle;
	return submit(&r);
}
