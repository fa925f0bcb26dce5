/*
 * Standard output that is not lost unnoticed, and sentences on standard error.
 */
#ifndef SMAILER_OUTPUT_H
#define SMAILER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* True until writing to standard output failed. */
bool output_is_well(void);

/* Writes out what is left. Returns STATUS, or EX_IOERR, with a word on standard error, where
 * anything could not be written. */
int output_end(int status);

/* TEXT on FILE, made safe to show. */
void output_text(FILE *file, const char *text);

/* "smailer: " and the words on standard error, made safe to show. Returns STATUS. */
int output_problem(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "2026-11-22T10:00:01+01:00"; returns TARGET. */
char *output_time(char *target, size_t size, time_t time);

/* "12s", "5m 12s", "3h 5m", "2d 3h"; returns TARGET. */
char *output_age(char *target, size_t size, unsigned long long milliseconds);

#endif
