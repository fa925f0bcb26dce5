/*
 * What somebody may have meant who wrote a name that does not exist.
 */
#ifndef SMAILER_SPELLING_H
#define SMAILER_SPELLING_H

#include <stddef.h>

/* How many letters must be put in, left out, changed or swapped with their neighbour to make A of
 * B; names of 63 octets at the most, anything longer is at SIZE_MAX. */
size_t spelling_distance(const char *a, const char *b);

#endif
