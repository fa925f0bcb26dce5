/*
 * Values for JSON, as smailer writes them.
 */
#ifndef SMAILER_JSON_H
#define SMAILER_JSON_H

#include <stdint.h>

#include <jansson.h>

/* TEXT; where it is not UTF-8, with those octets as \ooo. */
json_t *json_of_text(const char *text);

/* The same, null for "". */
json_t *json_of_optional(const char *text);

json_t *json_of_count(uint64_t count);

/* Seconds since 1970 in ISO 8601 with offset; null for 0. */
json_t *json_of_time(int64_t time);

/* Milliseconds as seconds. */
json_t *json_of_age(uint64_t milliseconds);

/* OBJECT on a line of standard output; it is freed. */
void json_print(json_t *object);

#endif
