/*
 * What `smailer status` is told of the processes.
 */
#ifndef SMAILER_MASTER_STATUS_H
#define SMAILER_MASTER_STATUS_H

#include <stdint.h>

#include "master/generation.h"

/* Master is as old as this call. */
void status_begin(void);

/* Sends CONTROL a line for master and for each process of GENERATION that runs, and the end. */
void status_answer(
    const struct generation *generation, const struct process *control, uint32_t request);

#endif
