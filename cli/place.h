/*
 * Where things are: the other programs, the configuration, the control socket.
 */
#ifndef SMAILER_PLACE_H
#define SMAILER_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct place {
    char master[PATH_MAX]; /* smailer-master, beside this program or in sbin/ */
    char configuration[PATH_MAX]; /* CONFDIR */
};

/* CONFIGURATION: what -c says, or NULL for /etc/smailer, or conf/ beside bin/ in a checkout.
 * Returns EX_OK, or the status to end with, which was explained on standard error. */
int place_find(struct place *place, const char *configuration);

/* The same in silence: false where the configuration's file NAME cannot be read by the caller. */
bool place_find_readable(struct place *place, const char *configuration, const char *name);

/* Both ask smailer-master, for only it reads the configuration. They return as place_find does. */
int place_find_run_directory(const struct place *place, char *target, size_t size);
int place_find_state_directory(const struct place *place, char *target, size_t size);

/* Executes smailer-master; ARGUMENTS ends with NULL, its first is the name. Returns EX_OSERR, after
 * saying so, where that fails. */
int place_execute_master(const struct place *place, const char *const *arguments);

/* Waits for a child. Returns its exit status; EX_SOFTWARE where a signal ended it. */
int place_wait(int child);

#endif
