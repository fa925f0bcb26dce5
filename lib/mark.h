/*
 * A number that one program sets and another can read at any time, also after the first one's
 * death, and without a system call: what it was at.
 */
#ifndef SMAILER_MARK_H
#define SMAILER_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

struct mark; /* NULL reads as 0 */

/* One to set, 0 at first. Its memory file, for the other program, goes to *DESCRIPTOR and is the
 * caller's. NULL on failure. */
struct mark *mark_create(int *descriptor, struct error *error);

/* The same one, to read; DESCRIPTOR stays the caller's. NULL where it is no memory file of a mark,
 * or where its size could still be changed. */
struct mark *mark_open(int descriptor, struct error *error);

void mark_set(struct mark *mark, uint64_t number);
uint64_t mark_get(const struct mark *mark);
void mark_close(struct mark *mark);

#endif
