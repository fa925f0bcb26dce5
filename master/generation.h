/*
 * One generation: all programs of one configuration, and the pipes between them.
 */
#ifndef SMAILER_MASTER_GENERATION_H
#define SMAILER_MASTER_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"
#include "lib/role.h"
#include "master/process.h"

struct generation;

/* What its owner is told; the generation must not be freed from within. */
struct generation_events {
    /* Every program is ready, for the first time. */
    void (*ready)(void *context);
    /* A program ended before it was ready; STATUS is what it ended with. */
    void (*unable)(void *context, int status, const char *words);
    /* A program ended without which the others are worth nothing; WORKED: it had done a job;
     * SERVED: and was ready for so many ms. */
    void (*lost)(void *context, bool worked, int64_t served);
    /* Nothing is in hand any more. */
    void (*drained)(void *context);
    /* All processes are gone. */
    void (*gone)(void *context);
    /* The run that an on-demand tree is for is over. */
    void (*run_over)(void *context, int status);
};

/* INHERITANCE[role] (or -1) becomes the generation's. SUPPLY outlives it. */
struct generation *generation_new(const struct supply *supply, uint32_t number,
    const int inheritance[ROLE_COUNT], const struct generation_events *events, void *context);

/* Starts all programs. After a failure it must be ended. */
bool generation_start(struct generation *generation, struct error *error);

/* Tells the programs to take nothing new. */
void generation_drain(struct generation *generation);

/* Takes the pipes away, of which the programs end; those that did not after PATIENCE ms are
 * killed. Nothing is replaced any more, and the only event yet to come is gone(). */
void generation_end(struct generation *generation, int64_t patience);

/* The processes have their logs from SUPPLY's again. */
void generation_send_logs(struct generation *generation);

/* PID of this generation's ended so (wait(2)); false where it is none of its. What it started
 * must have been killed before it was reaped. */
bool generation_reaped(struct generation *generation, pid_t pid, int status);

/* What ROLE handed on while it was drained, or -1; from now on the caller's. */
int generation_take_inheritance(struct generation *generation, enum role role);

uint32_t generation_number(const struct generation *generation);

/* How many processes a role has. */
uint32_t generation_instances(const struct configuration *configuration, enum role role);

/* All processes, *COUNT of them. */
const struct process *generation_processes(const struct generation *generation, size_t *count);

/* To be called when it is gone. */
void generation_free(struct generation *generation);

#endif
