/*
 * Renames within a spool, for the other files of queue/.
 */
#ifndef SMAILER_QUEUE_SPOOL_H
#define SMAILER_QUEUE_SPOOL_H

#include "queue/internal.h"

struct spool_rename {
    struct queue *queue;
    int source; /* directories */
    int target;
    const char *name; /* in SOURCE */
    const char *wanted; /* in TARGET */
    const char
        *origin; /* the mail's first name and its hash: variants of WANTED are made of them */
    uint64_t hash;
};

/* Never replaces: where the wanted name is taken, FINAL gets another. QUEUE_GONE where there is no
 * such file; QUEUE_FAILED with the reason, code ENOENT where the target itself is gone. */
enum queue_result spool_rename(
    const struct spool_rename *rename, char final[QUEUE_NAME_SIZE], struct error *error);

#endif
