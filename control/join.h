/*
 * The two halves of a listing's entry, which come from pickup (FOUND) and from cleanup (LISTED)
 * under one job, in either order: the first one is kept until the second comes.
 */
#ifndef SMAILER_JOIN_H
#define SMAILER_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/message.h"

struct join;

struct join *join_new(void);
void join_free(struct join *join);

size_t join_count(const struct join *join);

/* A half: MESSAGE is a FOUND or a LISTED. Where the other half is here already, it is taken out,
 * MATCHED is called with both, and true returned; else a copy is kept, since NOW. A second half of
 * the same kind and job replaces the first. */
bool join_add(struct join *join, const struct message *message, int64_t now,
    void (*matched)(const struct message_found *, const struct message_listed *));

/* Takes out the halves that came before LIMIT, and calls LOST for each FOUND among them. */
void join_expire(struct join *join, int64_t limit,
    void (*lost)(const struct message_found *, const char *why), const char *why);

#endif
