/*
 * Going to the background, with somebody in the foreground who waits for the outcome.
 */
#ifndef SMAILER_MASTER_DAEMON_H
#define SMAILER_MASTER_DAEMON_H

#include <stdbool.h>

#include "lib/error.h"

/* Makes sure that descriptors 0 to 2 are something, so that nothing else takes their place. */
bool daemon_open_standard(struct error *error);

/* Forks. The new process, in a session of its own, returns with *REPORT, which daemon_report must
 * be given; the first one waits for that, shows the words and ends with the status. */
bool daemon_detach(int *report, struct error *error);

/* Tells who waits (nobody: REPORT is -1, and WORDS are shown) that the start is over: with EX_OK
 * and "", or with the status to end with and why. *REPORT becomes -1. */
void daemon_report(int *report, int status, const char *words);

#endif
