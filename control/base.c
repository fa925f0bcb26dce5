#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "control/base.h"
#include "lib/base_name.h"
#include "lib/memory.h"
#include "lib/text.h"

/* So many bases an error names at the most. */
#define NAMED_MAX 8

static struct {
    const struct queue_settings *queues;
    char **names;
    size_t count;
} bases;

static int
compare_sids(const void *a, const void *b)
{
    const struct queue_settings *left = &bases.queues[*(const size_t *)a];
    const struct queue_settings *right = &bases.queues[*(const size_t *)b];

    return strcmp(left->sid, right->sid);
}

static void
name_base(size_t queue, bool shared)
{
    const struct queue_settings *settings = &bases.queues[queue];

    bases.names[queue] = shared ? memory_format("%s/%s", settings->section, settings->sid)
                                : memory_copy_text(settings->sid);
}

void
base_start(const struct configuration *configuration)
{
    size_t count = configuration->queue_count;
    size_t *order = memory_new(count + 1, sizeof(*order));

    bases.queues = configuration->queues;
    bases.count = count;
    bases.names = memory_new(count + 1, sizeof(*bases.names));
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    qsort(order, count, sizeof(*order), compare_sids);
    for (size_t i = 0; i < count; i++) {
        bool shared = (i > 0 && compare_sids(&order[i - 1], &order[i]) == 0) ||
                      (i + 1 < count && compare_sids(&order[i], &order[i + 1]) == 0);

        name_base(order[i], shared);
    }
    free(order);
}

size_t
base_count(void)
{
    return bases.count;
}

const struct queue_settings *
base_find(uint32_t queue)
{
    return queue < bases.count ? &bases.queues[queue] : NULL;
}

const char *
base_name(uint32_t queue)
{
    return queue < bases.count ? bases.names[queue] : NULL;
}

const struct queue_settings *
base_named(const char *name)
{
    const struct queue_settings *named = NULL;

    for (size_t i = 0; i < bases.count; i++) {
        if (base_name_is_whole(name, bases.queues[i].section, bases.queues[i].sid))
            return &bases.queues[i];
        if (strcmp(bases.queues[i].sid, name) != 0)
            continue;
        if (named != NULL)
            return NULL;
        named = &bases.queues[i];
    }
    return named;
}

/* "a, b, c and 17 more", of the bases that have SID (all, where it is NULL). */
static void
list_names(char *target, size_t size, const char *sid)
{
    size_t listed = 0;
    char more[40];

    target[0] = '\0';
    for (size_t i = 0; i < bases.count; i++) {
        if (sid != NULL && strcmp(bases.queues[i].sid, sid) != 0)
            continue;
        if (listed++ >= NAMED_MAX)
            continue;
        strlcat(target, target[0] == '\0' ? "" : ", ", size);
        strlcat(target, bases.names[i], size);
    }
    if (listed <= NAMED_MAX)
        return;
    text_format(more, sizeof(more), " and %zu more", listed - NAMED_MAX);
    strlcat(target, more, size);
}

bool
base_check(const char *name, struct error *error)
{
    char names[600];
    size_t found = 0;

    if (name[0] == '\0')
        return true;
    for (size_t i = 0; i < bases.count; i++) {
        if (base_name_is_whole(name, bases.queues[i].section, bases.queues[i].sid))
            return true;
        found += strcmp(bases.queues[i].sid, name) == 0;
    }
    if (found == 1)
        return true;
    list_names(names, sizeof(names), found > 1 ? name : NULL);
    if (found > 1)
        return error_set(error, "there are %zu bases \"%s\": write one of %s", found, name, names);
    if (names[0] == '\0')
        return error_set(error, "there is no base \"%s\", and no other", name);
    return error_set(error, "there is no base \"%s\"; the bases are %s", name, names);
}
