/*
 * Client on libgearman: client HOST PORT SCENARIO [ARGS].
 *
 * Facts about libgearman 1.1.20 that a server has to live with:
 *   - a job without a unique gets a UUID as its unique, in the foreground too;
 *   - of several tasks the one added last is submitted first;
 *   - it refuses to send an empty payload (the gearman tool does not).
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libgearman/gearman.h>

static gearman_client_st *client;

static void die(const char *what, gearman_return_t ret)
{
  fprintf(stderr, "%s: %s: %s\n", what, gearman_strerror(ret), gearman_client_error(client));
  exit(1);
}

static void check(const char *what, gearman_return_t ret)
{
  if (gearman_failed(ret))
    die(what, ret);
}

static void print_escaped(const void *data, size_t size)
{
  const unsigned char *p = data;
  for (size_t i = 0; i < size; i++) {
    if (p[i] >= 0x20 && p[i] <= 0x7e && p[i] != '\\')
      putchar(p[i]);
    else
      printf("\\x%02x", p[i]);
  }
}

/* The argument itself, or what the file holds that "@file" names. */
static char *payload(char *arg, size_t *size)
{
  if (arg[0] != '@') {
    *size = strlen(arg);
    return arg;
  }
  FILE *file = fopen(arg + 1, "rb");
  if (!file) {
    perror(arg + 1);
    exit(1);
  }
  char *data = NULL;
  size_t room = 0;
  *size = 0;
  for (int c; (c = fgetc(file)) != EOF;) {
    if (*size == room)
      data = realloc(data, room = room ? 2 * room : 4096);
    if (!data)
      abort();
    data[(*size)++] = (char)c;
  }
  fclose(file);
  return data;
}

/* The context of a task is what its lines begin with. */
static void print_event(gearman_task_st *task, const char *name)
{
  const char *prefix = gearman_task_context(task);
  if (prefix)
    printf("%s\t", prefix);
  printf("%s\t", name);
  print_escaped(gearman_task_data(task), gearman_task_data_size(task));
  putchar('\n');
}

static gearman_return_t on_data(gearman_task_st *task)
{
  print_event(task, "data");
  return GEARMAN_SUCCESS;
}

static gearman_return_t on_warning(gearman_task_st *task)
{
  print_event(task, "warning");
  return GEARMAN_SUCCESS;
}

static gearman_return_t on_exception(gearman_task_st *task)
{
  print_event(task, "exception");
  return GEARMAN_SUCCESS;
}

static gearman_return_t on_complete(gearman_task_st *task)
{
  print_event(task, "result");
  return GEARMAN_SUCCESS;
}

static gearman_return_t on_status(gearman_task_st *task)
{
  const char *prefix = gearman_task_context(task);
  if (prefix)
    printf("%s\t", prefix);
  printf("status\t%u\t%u\n", gearman_task_numerator(task), gearman_task_denominator(task));
  return GEARMAN_SUCCESS;
}

static gearman_return_t on_fail(gearman_task_st *task)
{
  const char *prefix = gearman_task_context(task);
  if (prefix)
    printf("%s\t", prefix);
  puts("FAIL");
  return GEARMAN_SUCCESS;
}

static gearman_return_t on_created(gearman_task_st *task)
{
  printf("created\t%s\n", gearman_task_job_handle(task));
  return GEARMAN_SUCCESS;
}

static void print_all_events(void)
{
  gearman_client_set_data_fn(client, on_data);
  gearman_client_set_warning_fn(client, on_warning);
  gearman_client_set_status_fn(client, on_status);
  gearman_client_set_exception_fn(client, on_exception);
  gearman_client_set_complete_fn(client, on_complete);
  gearman_client_set_fail_fn(client, on_fail);
}

typedef gearman_task_st *add_task_fn(gearman_client_st *, gearman_task_st *, void *, const char *, const char *,
                                     const void *, size_t, gearman_return_t *);

static void foreground(add_task_fn *add, char **args)
{
  print_all_events();
  gearman_return_t ret;
  size_t size;
  char *data = payload(args[1], &size);
  add(client, NULL, NULL, args[0], NULL, data, size, &ret);
  check("add task", ret);
  check("run tasks", gearman_client_run_tasks(client));
}

static void fg(char **args) { foreground(gearman_client_add_task, args); }
static void high(char **args) { foreground(gearman_client_add_task_high, args); }
static void low(char **args) { foreground(gearman_client_add_task_low, args); }

static void exception(char **args)
{
  if (!gearman_client_set_server_option(client, "exceptions", 10))
    die("option exceptions", GEARMAN_INVALID_SERVER_OPTION);
  fg(args);
}

typedef gearman_return_t do_background_fn(gearman_client_st *, const char *, const char *, const void *, size_t,
                                          gearman_job_handle_t);

static void background(do_background_fn *submit, char **args)
{
  gearman_job_handle_t handle;
  size_t size;
  char *data = payload(args[1], &size);
  check("submit", submit(client, args[0], NULL, data, size, handle));
  printf("handle\t%s\n", handle);
}

static void bg(char **args) { background(gearman_client_do_background, args); }
static void high_bg(char **args) { background(gearman_client_do_high_background, args); }
static void low_bg(char **args) { background(gearman_client_do_low_background, args); }

/* unique FUNCTION KEY PAYLOAD PAYLOAD */
static void unique(char **args)
{
  print_all_events();
  gearman_client_set_created_fn(client, on_created);
  /* Else the second result goes to the first task, which is done already. */
  gearman_client_add_options(client, GEARMAN_CLIENT_FREE_TASKS);
  gearman_return_t ret;
  gearman_client_add_task(client, NULL, "2", args[0], args[1], args[3], strlen(args[3]), &ret);
  check("add task", ret);
  gearman_client_add_task(client, NULL, "1", args[0], args[1], args[2], strlen(args[2]), &ret);
  check("add task", ret);
  check("run tasks", gearman_client_run_tasks(client));
}

static void status(char **args)
{
  gearman_job_handle_t handle;
  check("submit", gearman_client_do_background(client, args[0], NULL, args[1], strlen(args[1]), handle));
  char last[64] = "";
  bool known;
  do {
    bool running;
    uint32_t n, d;
    check("status", gearman_client_job_status(client, handle, &known, &running, &n, &d));
    char now[64];
    snprintf(now, sizeof now, "%d\t%d\t%u\t%u", known, running, n, d);
    if (strcmp(now, last)) {
      printf("status\t%s\n", now);
      strcpy(last, now);
    }
    usleep(10000);
  } while (known);
}

/* unique-status KEY */
static void unique_status(char **args)
{
  gearman_status_t s = gearman_client_unique_status(client, args[0], strlen(args[0]));
  check("unique status", gearman_status_return(s));
  printf("status\t%d\t%d\t%u\t%u\n", gearman_status_is_known(s), gearman_status_is_running(s),
         gearman_status_numerator(s), gearman_status_denominator(s));
}

static unsigned right;

static gearman_return_t on_parallel_complete(gearman_task_st *task)
{
  const char *sent = gearman_task_context(task);
  const char *got = gearman_task_data(task);
  size_t size = strlen(sent);
  if (gearman_task_data_size(task) != size)
    return GEARMAN_SUCCESS;
  for (size_t i = 0; i < size; i++)
    if (got[i] != sent[size - 1 - i])
      return GEARMAN_SUCCESS;
  right++;
  return GEARMAN_SUCCESS;
}

static void parallel(char **args)
{
  int count = atoi(args[1]);
  gearman_client_set_complete_fn(client, on_parallel_complete);
  for (int i = 1; i <= count; i++) {
    char *data = malloc(32);
    if (!data)
      abort();
    snprintf(data, 32, "job-%d", i);
    gearman_return_t ret;
    gearman_client_add_task(client, NULL, data, args[0], NULL, data, strlen(data), &ret);
    check("add task", ret);
  }
  check("run tasks", gearman_client_run_tasks(client));
  printf("ok\t%u\n", right);
}

/* tasks FUNCTION=PAYLOAD... */
static void tasks(char **args)
{
  print_all_events();
  for (; *args; args++) {
    char *data = strchr(*args, '=');
    *data++ = '\0';
    gearman_return_t ret;
    gearman_client_add_task(client, NULL, *args, *args, NULL, data, strlen(data), &ret);
    check("add task", ret);
  }
  check("run tasks", gearman_client_run_tasks(client));
}

/* epoch FUNCTION PAYLOAD SECONDS-FROM-NOW */
static void epoch(char **args)
{
  gearman_task_attr_t attr = gearman_task_attr_init_epoch(time(NULL) + atoi(args[2]), GEARMAN_JOB_PRIORITY_NORMAL);
  gearman_argument_t argument = gearman_argument_make(NULL, 0, args[1], strlen(args[1]));
  gearman_task_st *task = gearman_execute(client, args[0], strlen(args[0]), NULL, 0, &attr, &argument, NULL);
  if (!task)
    die("execute", gearman_client_error_code(client));
  printf("handle\t%s\n", gearman_task_job_handle(task));
}

/* reduce PARTITION-FUNCTION FUNCTION PAYLOAD */
static void reduce(char **args)
{
  gearman_argument_t argument = gearman_argument_make(NULL, 0, args[2], strlen(args[2]));
  gearman_task_st *task = gearman_execute_by_partition(client, args[0], strlen(args[0]), args[1], strlen(args[1]),
                                                       NULL, 0, NULL, &argument, NULL);
  if (!task)
    die("execute by partition", gearman_client_error_code(client));
  check("task", gearman_task_return(task));
  gearman_result_st *result = gearman_task_result(task);
  printf("result\t");
  print_escaped(gearman_result_value(result), gearman_result_size(result));
  putchar('\n');
}

int main(int argc, char **argv)
{
  const struct {
    const char *name;
    int args; /* at least */
    void (*run)(char **args);
  } scenarios[] = {
    {"fg", 2, fg},
    {"high", 2, high},
    {"low", 2, low},
    {"exception", 2, exception},
    {"bg", 2, bg},
    {"high-bg", 2, high_bg},
    {"low-bg", 2, low_bg},
    {"unique", 4, unique},
    {"status", 2, status},
    {"unique-status", 1, unique_status},
    {"parallel", 2, parallel},
    {"tasks", 1, tasks},
    {"epoch", 3, epoch},
    {"reduce", 3, reduce},
  };

  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; argc > 3 && i < sizeof scenarios / sizeof scenarios[0]; i++) {
    if (strcmp(argv[3], scenarios[i].name))
      continue;
    if (argc - 4 < scenarios[i].args)
      break;
    client = gearman_client_create(NULL);
    if (!client)
      return 1;
    check("add server", gearman_client_add_server(client, argv[1], (in_port_t)atoi(argv[2])));
    scenarios[i].run(argv + 4);
    return 0;
  }
  puts("unsupported");
  return 3;
}
