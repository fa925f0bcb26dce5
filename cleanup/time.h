/*
 * The time a mail was written at, as its application says.
 */
#ifndef SMAILER_CLEANUP_TIME_H
#define SMAILER_CLEANUP_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Reads LENGTH octets of "DD.MM.YYYY HH:MM[:SS]", local time, blanks around it allowed. False where
 * it is missing or no such moment exists. */
bool time_read(time_t *moment, const char *text, size_t length);

#endif
