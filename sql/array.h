/*
 * Many values as one parameter: arrays as PostgreSQL reads them from text, {"a","b",NULL}.
 */
#ifndef SMAILER_SQL_ARRAY_H
#define SMAILER_SQL_ARRAY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct array {
    FILE *stream;
    char *text;
    size_t size;
    size_t count;
};

void array_open(struct array *array);

/* TEXT may be NULL, which is NULL there too. */
void array_add(struct array *array, const char *text);
void array_add_number(struct array *array, int64_t number);

/* The whole, in memory of the caller's. */
char *array_close(struct array *array);

#endif
