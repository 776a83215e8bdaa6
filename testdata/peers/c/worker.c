/*
 * Worker on libgearman: worker HOST PORT.
 *
 * Prints "ready", then one line a job, until it is killed. libgearman sends
 * CAN_DO only when it works for the first time, so "ready" means that the
 * functions are about to be registered.
 *
 * "sum" is a partition function, which only libgearman has: the client submits
 * it with SUBMIT_REDUCE_JOB, it cuts its payload at the blanks, libgearman runs
 * each piece through the function that the client named, and hands the results
 * to the aggregator. The pieces need a second worker: this one is busy.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libgearman/gearman.h>

static void print_job(gearman_job_st *job)
{
  const unsigned char *p = gearman_job_workload(job);
  size_t size = gearman_job_workload_size(job);

  printf("job\t%s\t", gearman_job_function_name(job));
  for (size_t i = 0; i < size; i++) {
    if (p[i] >= 0x20 && p[i] <= 0x7e && p[i] != '\\')
      putchar(p[i]);
    else
      printf("\\x%02x", p[i]);
  }
  putchar('\n');
}

static char *copy_workload(gearman_job_st *job, size_t *size)
{
  *size = gearman_job_workload_size(job);
  char *copy = malloc(*size + 1);
  if (!copy)
    abort();
  if (*size)
    memcpy(copy, gearman_job_workload(job), *size);
  copy[*size] = '\0';
  return copy;
}

static gearman_return_t complete(gearman_job_st *job, const char *result, size_t size)
{
  return gearman_job_send_complete(job, result, size);
}

static gearman_return_t reverse(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  size_t size;
  char *s = copy_workload(job, &size);
  for (size_t i = 0; i < size / 2; i++) {
    char c = s[i];
    s[i] = s[size - 1 - i];
    s[size - 1 - i] = c;
  }
  gearman_return_t ret = complete(job, s, size);
  free(s);
  return ret;
}

static gearman_return_t upper(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  size_t size;
  char *s = copy_workload(job, &size);
  for (size_t i = 0; i < size; i++)
    s[i] = (char)toupper((unsigned char)s[i]);
  gearman_return_t ret = complete(job, s, size);
  free(s);
  return ret;
}

static gearman_return_t echo_unique(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  const char *unique = gearman_job_unique(job);
  return complete(job, unique, strlen(unique));
}

/* Sends each word of the payload as data; returns how that went. */
static gearman_return_t send_words(gearman_job_st *job)
{
  size_t size;
  char *s = copy_workload(job, &size);
  gearman_return_t ret = GEARMAN_SUCCESS;
  for (char *word = strtok(s, " "); word && ret == GEARMAN_SUCCESS; word = strtok(NULL, " "))
    ret = gearman_job_send_data(job, word, strlen(word));
  free(s);
  return ret;
}

static gearman_return_t chunks(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  gearman_return_t ret = send_words(job);
  return ret == GEARMAN_SUCCESS ? complete(job, "done", 4) : ret;
}

static gearman_return_t status(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  for (uint32_t n = 1; n <= 3; n++)
    gearman_job_send_status(job, n, 3);
  return complete(job, "done", 4);
}

/* Reports 1/3 and then waits for a writer on the FIFO that the payload names. */
static gearman_return_t gate(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  gearman_job_send_status(job, 1, 3);
  size_t size;
  char *path = copy_workload(job, &size);
  FILE *fifo = fopen(path, "r");
  free(path);
  if (!fifo)
    return GEARMAN_ERROR;
  while (fgetc(fifo) != EOF)
    continue;
  fclose(fifo);
  return complete(job, "done", 4);
}

static gearman_return_t warn(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  gearman_job_send_warning(job, gearman_job_workload(job), gearman_job_workload_size(job));
  return complete(job, "done", 4);
}

static gearman_return_t exception(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  return gearman_job_send_exception(job, gearman_job_workload(job), gearman_job_workload_size(job));
}

static gearman_return_t fail(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  return GEARMAN_FATAL;
}

static gearman_return_t split(gearman_job_st *job, void *context)
{
  (void)context;
  print_job(job);
  return send_words(job);
}

static gearman_return_t add_up(gearman_aggregator_st *aggregator, gearman_task_st *task, gearman_result_st *result)
{
  (void)aggregator;
  long sum = 0;
  for (; task; task = gearman_next(task)) {
    gearman_result_st *part = gearman_task_result(task);
    char number[32] = "";
    size_t size = gearman_result_size(part);
    if (size >= sizeof number)
      return GEARMAN_ERROR;
    memcpy(number, gearman_result_value(part), size);
    sum += strtol(number, NULL, 10);
  }
  char text[32];
  int length = snprintf(text, sizeof text, "%ld", sum);
  return gearman_result_store_value(result, text, (size_t)length);
}

int main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);

  gearman_worker_st *worker = gearman_worker_create(NULL);
  if (!worker || gearman_failed(gearman_worker_add_server(worker, argv[1], (in_port_t)atoi(argv[2]))))
    return 1;

  const struct {
    const char *name;
    gearman_function_fn *function;
    gearman_aggregator_fn *aggregator;
  } functions[] = {
    {"reverse", reverse, NULL},
    {"upper", upper, NULL},
    {"echo_unique", echo_unique, NULL},
    {"chunks", chunks, NULL},
    {"status", status, NULL},
    {"gate", gate, NULL},
    {"warn", warn, NULL},
    {"exception", exception, NULL},
    {"fail", fail, NULL},
    {"sum", split, add_up},
  };
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    gearman_function_t function = functions[i].aggregator
        ? gearman_function_create_partition(functions[i].function, functions[i].aggregator)
        : gearman_function_create(functions[i].function);
    const char *name = functions[i].name;
    gearman_return_t ret = gearman_worker_define_function(worker, name, strlen(name), function, 0, NULL);
    if (gearman_failed(ret)) {
      fprintf(stderr, "define %s: %s\n", name, gearman_strerror(ret));
      return 1;
    }
  }

  puts("ready");
  for (;;) {
    gearman_return_t ret = gearman_worker_work(worker);
    if (gearman_failed(ret) && ret != GEARMAN_WORK_FAIL) {
      fprintf(stderr, "work: %s: %s\n", gearman_strerror(ret), gearman_worker_error(worker));
      return 1;
    }
  }
}
