/*
 * The pipes between the programs, as lib/roles.def lists them.
 */
#ifndef SMAILER_MASTER_LINKS_H
#define SMAILER_MASTER_LINKS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "lib/role.h"
#include "master/process.h"

/* True where programs of the two roles have a pipe between them. */
bool links_has(enum role a, enum role b);

/* Makes pipes between PROCESS, just started, and all its peers among the COUNT PROCESSES that are
 * there; or none, where one of them cannot be made. */
bool links_connect(
    const struct process *processes, size_t count, struct process *process, struct error *error);

/* Tells the peers of PROCESS how it ended. They count the ends, one for each pipe that they were
 * given: of a process that never had any they are not told. */
void links_tell_end(const struct process *processes, size_t count, const struct process *process,
    const struct process_end *end);

#endif
