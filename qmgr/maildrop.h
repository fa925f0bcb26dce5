/*
 * Messages that users left for smailer while it did not run: state_directory/maildrop, which
 * everybody may write to.
 */
#ifndef SMAILER_QMGR_MAILDROP_H
#define SMAILER_QMGR_MAILDROP_H

#include "lib/service.h"

/* Before the sandbox is on. */
void maildrop_prepare(struct service_paths *paths);

/* Takes in what is there, now and every scan_interval. A tree of programs for one client leaves it
 * to the daemon. */
void maildrop_open(void);

#endif
