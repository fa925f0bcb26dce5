/*
 * The life of smailer-master once everything is prepared: generation after generation, until a
 * signal, or the end of the run that it is for, ends it.
 */
#ifndef SMAILER_MASTER_SUPERVISOR_H
#define SMAILER_MASTER_SUPERVISOR_H

#include "master/master.h"

/* Returns the exit status; all programs are gone then. */
int supervisor_run(struct master *master);

#endif
