/*
 * The bases: which queues the sections of main.cf stand for, now.
 */
#ifndef SMAILER_QUEUES_H
#define SMAILER_QUEUES_H

#include <stdbool.h>

#include "lib/configuration.h"

/* Looks for every queue of CONFIGURATION's sections and puts it into its queues, in place of what
 * was there: sections in the order of main.cf, sids by their octets, so that the same bases have
 * the same numbers. Below a root no symbolic link is followed, and a directory that two bases lead
 * to is one queue. With WARN set, what is in the way (a root that is not there, a link) is
 * logged. */
void queues_find(struct configuration *configuration, bool warn);

/* True where queues_find would find others now than it did. */
bool queues_changed(const struct configuration *configuration);

#endif
