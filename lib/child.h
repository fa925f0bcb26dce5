/*
 * The fork that becomes another program.
 */
#ifndef SMAILER_CHILD_H
#define SMAILER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/error.h"

/* Forks. In the child (0) no handler of the parent's ever runs, and no signal is ignored or
 * blocked. It leads a process group of its own, also by the time that the parent has its number.
 * -1: there is none, and why in ERROR. */
pid_t child_fork(struct error *error);

/* In the child: it is killed when PARENT ends, and ends now where that has happened. A change of
 * user takes this back, so it comes after one. False with errno set. */
bool child_die_with(pid_t parent);

#endif
