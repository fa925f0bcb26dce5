/*
 * What is remembered of the files of a base that are not to be offered now: in qmgr's hand, parked,
 * or waiting for their time. A file that can be offered at once is not in here, so the memory does
 * not grow with the backlog but with what was looked at in vain: 32 octets a file.
 */
#ifndef SMAILER_PICKUP_KNOWN_H
#define SMAILER_PICKUP_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/queue.h"

enum known_kind {
    KNOWN_IN_HAND, /* qmgr has it */
    KNOWN_PARKED, /* its account is not served now */
    KNOWN_UNTIL /* not before that time */
};

struct known_file {
    uint64_t key; /* of place and name, see known_key() */
    int64_t until; /* ms; for KNOWN_UNTIL */
    uint32_t account; /* for KNOWN_PARKED */
    uint32_t run; /* the last run that asked for it, 0: none */
    uint8_t kind; /* enum known_kind */
    uint8_t place; /* enum mail_state */
    uint8_t pass; /* the last pass over the place that saw it */
    bool held; /* parked for a quota: no run waits for it */
    bool again; /* in hand, and written anew meanwhile: look again */
    bool awaited; /* that run has counted it in, and waits for its end */
    bool used;
};

struct known {
    struct known_file *files; /* open addressing, a power of two */
    size_t size;
    size_t count;
};

/* Never 0, and not to be foreseen by who names the files. */
uint64_t known_key(enum mail_state place, const char *name);

/* NULL where KEY is not known. Valid until the next known_add or known_remove. */
struct known_file *known_find(const struct known *known, uint64_t key);

/* The file with KEY, made (all zero but its key) where it is not known. */
struct known_file *known_add(struct known *known, uint64_t key);

void known_remove(struct known *known, uint64_t key);

/* True where PASS over PLACE is over and did not see FILE, so that it is not there any more. */
bool known_is_stale(const struct known_file *file, enum mail_state place, uint8_t pass);

void known_free(struct known *known);

#endif
