/*
 * What the committer does for one queue beside the moves, in slices: recovery after it was opened,
 * the splitting of lists, retention.
 */
#ifndef SMAILER_UPKEEP_H
#define SMAILER_UPKEEP_H

#include "qmgr/committer.h"

struct upkeep;

/* QUEUE becomes its own; OPTIONS must outlive it. */
struct upkeep *upkeep_new(struct queue *queue, const struct committer_options *options);

/* Closes the queue. There may be no splits left. */
void upkeep_free(struct upkeep *upkeep);

struct queue *upkeep_queue(const struct upkeep *upkeep);

/* Takes a COMMIT_SPLIT in, after those that it has. */
void upkeep_add_split(struct upkeep *upkeep, struct commit *commit);
bool upkeep_has_splits(const struct upkeep *upkeep);

/* When there is something to do; ms of the monotonic clock. */
int64_t upkeep_due(const struct upkeep *upkeep, int64_t now);

/* Does a slice of what is due at NOW (monotonic). Returns a split that is done, with its result, or
 * NULL. */
struct commit *upkeep_slice(struct upkeep *upkeep, int64_t now);

#endif
