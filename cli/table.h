/*
 * A table in readable columns, from JSON objects.
 */
#ifndef SMAILER_TABLE_H
#define SMAILER_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define TABLE_COLUMNS_MAX 10

/* Texts are aligned left; numbers, and ages (seconds, shown as "2d 3h"), right. */
enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_AGE };

struct column {
    const char *key; /* of the value in its object; NULL ends the columns */
    const char *title;
    enum column_kind kind;
};

/* A heading line and a line for each object of ROWS; what is null is shown as "-". */
void table_print(FILE *file, const struct column *columns, const json_t *rows);

#endif
