/*
 * A row that was claimed, as the document that an application would have written for it.
 */
#ifndef SMAILER_SQL_ROW_H
#define SMAILER_SQL_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <libpq-fe.h>

struct row {
    TAILQ_ENTRY(row) next; /* in whatever list has it */
    char *key;
    char *sender; /* the first of its characters, for claims */
    bool deferred;
    uint32_t attempts;
    uint32_t strikes;
    int64_t seen; /* ms since the epoch: when it was first claimed; 0: never */
    char version[24];
    uint64_t octets; /* of its fields */
    char *document; /* NULL: too large to be had at once, or problem says why */
    size_t size;
    char problem[256]; /* why it can never be sent, or "" */
    uint32_t era; /* of the session, when it was claimed */
    uint64_t job; /* once it was offered */
    bool recorded; /* qmgr said what became of it */
};

TAILQ_HEAD(row_list, row);

/* The mail in row NUMBER of RESULT, which has the columns of enum row_column; one of more than MOST
 * octets has a problem. */
struct row *row_make(const PGresult *result, int number, uint64_t most);

/* Fills in the document that ROW lacks from RESULT's first row. */
void row_complete(struct row *row, const PGresult *result, uint64_t most);

void row_free(struct row *row);

/* KEY as a name for logs and messages: up to 255 octets, never empty. */
const char *row_name(const struct row *row, char name[static 256]);

#endif
