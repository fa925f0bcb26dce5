/*
 * What mailq shows of a control file: some of its lines as they are, in their order.
 */
#ifndef SMAILER_QUEUE_CONTROL_DETAILS_H
#define SMAILER_QUEUE_CONTROL_DETAILS_H

#include <stddef.h>

/* Octets that a line of the details has at the most, with its NUL. */
#define CONTROL_DETAILS_LINE 1024

/* Copies the lines of the control file TEXT that a listing needs, each ended by a NUL in place of
 * its line feed, to TARGET; those that SIZE octets have no room for are left out. Lines that
 * continue another one are not shown by sendmail either; those behind the final dot are, which a
 * run takes for an attack. Returns the octets used. */
size_t control_details_make(const char *text, size_t length, char *target, size_t size);

/* The line after LINE (NULL: the first) of SIZE octets of details; NULL after the last. */
const char *control_details_next(const char *details, size_t size, const char *line);

#endif
