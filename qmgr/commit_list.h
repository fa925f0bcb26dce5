/*
 * A chain of commits, in their order.
 */
#ifndef SMAILER_COMMIT_LIST_H
#define SMAILER_COMMIT_LIST_H

#include "qmgr/committer.h"

struct commit_list {
    struct commit *first;
    struct commit **end;
};

void commit_list_clear(struct commit_list *list);
void commit_list_append(struct commit_list *list, struct commit *commit);

/* Puts all of SOURCE behind what is in TARGET. */
void commit_list_move(struct commit_list *target, struct commit_list *source);

/* The first one, or NULL. */
struct commit *commit_list_take(struct commit_list *list);

#endif
