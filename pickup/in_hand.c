#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "pickup/in_hand.h"

static struct {
    struct job *jobs;
    uint32_t count;
    uint32_t *free;
    uint32_t free_count;
} all;

struct job *
in_hand_take(uint64_t *number)
{
    struct job *job;
    uint32_t place;

    if (all.free_count == 0) {
        uint32_t larger = all.count == 0 ? 256 : all.count * 2;

        all.jobs = memory_resize(all.jobs, larger, sizeof(*all.jobs));
        all.free = memory_resize(all.free, larger, sizeof(*all.free));
        memset(all.jobs + all.count, 0, (larger - all.count) * sizeof(*all.jobs));
        for (uint32_t i = larger; i > all.count; i--)
            all.free[all.free_count++] = i - 1;
        all.count = larger;
    }
    place = all.free[--all.free_count];
    job = &all.jobs[place];
    job->used = true;
    /* What is above is not pickup's, see job_number.h. */
    job->use = (job->use + 1) & 0x00FFFFFFU;
    *number = (uint64_t)job->use << 32 | place;
    return job;
}

struct job *
in_hand_find(uint64_t number)
{
    uint32_t place = (uint32_t)number;

    if (place >= all.count || !all.jobs[place].used ||
        all.jobs[place].use != (uint32_t)(number >> 32))
        return NULL;
    return &all.jobs[place];
}

void
in_hand_free(struct job *job)
{
    free(job->name);
    job->name = NULL;
    job->used = false;
    all.free[all.free_count++] = (uint32_t)(job - all.jobs);
}
