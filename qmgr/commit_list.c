#include <stddef.h>

#include "qmgr/commit_list.h"

void
commit_list_clear(struct commit_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

void
commit_list_append(struct commit_list *list, struct commit *commit)
{
    commit->next = NULL;
    *list->end = commit;
    list->end = &commit->next;
}

void
commit_list_move(struct commit_list *target, struct commit_list *source)
{
    if (source->first == NULL)
        return;
    *target->end = source->first;
    target->end = source->end;
    commit_list_clear(source);
}

struct commit *
commit_list_take(struct commit_list *list)
{
    struct commit *commit = list->first;

    if (commit == NULL)
        return NULL;
    list->first = commit->next;
    if (list->first == NULL)
        list->end = &list->first;
    commit->next = NULL;
    return commit;
}
