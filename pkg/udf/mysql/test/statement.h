/*
 * statement.h calls the functions of the library as the statements of a database
 * server do.
 *
 * Copyright (c) 2026, The gm authors. BSD 3-Clause License, see LICENSE.
 */
#ifndef STATEMENT_H
#define STATEMENT_H

#include "fake.h"
#include "gman_test.h"

typedef char (*init_fn)(struct udf_init *, struct udf_args *, char *);
typedef void (*deinit_fn)(struct udf_init *);
typedef char *(*string_fn)(struct udf_init *, struct udf_args *, char *, unsigned long *, unsigned char *, unsigned char *);

/* struct function is a function of the library. */
struct function {
	init_fn init;
	deinit_fn deinit;
	string_fn call;
};

/* struct arguments has the memory of the arguments of a call. */
struct arguments {
	struct udf_args args;
	int types[4];
	char *values[4];
	unsigned long lengths[4];
};

/* put_argument adds an argument; NULL is an SQL NULL. */
static inline void put_argument(struct arguments *a, const char *value, size_t len)
{
	unsigned int i = a->args.arg_count++;
	union {
		const char *in;
		char *out;
	} bytes = {value};

	a->args.arg_type = a->types;
	a->args.args = a->values;
	a->args.lengths = a->lengths;
	a->types[i] = 2; /* an integer, until the function asks for a string */
	a->values[i] = bytes.out;
	a->lengths[i] = len;
}

static inline void put_string(struct arguments *a, const char *value) { put_argument(a, value, value == NULL ? 0 : strlen(value)); }

/* struct outcome is the result of a call. */
struct outcome {
	char text[8192];
	unsigned long length;
	int refused, null;
	unsigned int error; /* the number, 1 for *error only */
};

/* call runs a function n times in a statement, and checks its last result. */
static inline struct outcome call(const struct function *f, struct arguments *a, int n)
{
	struct udf_init init;
	struct outcome o;
	char message[UDF_MESSAGE_SIZE], result[UDF_RESULT_SIZE];
	unsigned int i;

	memset(&o, 0, sizeof o);
	memset(&init, 0x55, sizeof init);
	if (f->init(&init, &a->args, message)) {
		o.refused = 1;
		snprintf(o.text, sizeof o.text, "%s", message);
		return o;
	}
	CHECK(init.maybe_null == 1 && init.const_item == 0);
	for (i = 0; i < a->args.arg_count; i++)
		CHECK(a->types[i] == UDF_STRING_RESULT);
	for (; n > 0; n--) {
		unsigned char is_null = 0, error = 0;
		const char *text = f->call(&init, &a->args, result, &o.length, &is_null, &error);

		o.null = text == NULL;
		o.error = error ? 1 : sql_error();
		CHECK(o.null == (is_null != 0));
		CHECK(sql_waits() == 0);
		if (text != NULL && o.length < sizeof o.text)
			memcpy(o.text, text, o.length);
	}
	f->deinit(&init);
	return o;
}

/* call_strings is call with up to 3 strings, the rest NULL. */
static inline struct outcome call_strings(const struct function *f, const char *first, const char *second, const char *third)
{
	struct arguments a;

	memset(&a, 0, sizeof a);
	put_string(&a, first);
	if (second != NULL || third != NULL)
		put_string(&a, second);
	if (third != NULL)
		put_string(&a, third);
	return call(f, &a, 1);
}

static inline int is_text(const struct outcome *o, const char *want)
{
	if (o->error == 0 && !o->null && !o->refused && o->length == strlen(want) && memcmp(o->text, want, o->length) == 0)
		return 1;
	printf("%.*s: error %u, want %s\n", (int)o->length, o->text, o->error, want);
	return 0;
}

/* is_error reports whether a call ended with an error, as far as the server has them. */
static inline int is_error(const struct outcome *o, unsigned int number)
{
	unsigned int want = sql_errors ? number : 1;

	if (o->null && o->error == want)
		return 1;
	printf("%.*s: error %u, want %u\n", (int)o->length, o->text, o->error, want);
	return 0;
}

#endif
