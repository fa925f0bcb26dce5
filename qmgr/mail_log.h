/*
 * What the log says of a mail, in the grammar of smailer-log(7).
 */
#ifndef SMAILER_QMGR_MAIL_LOG_H
#define SMAILER_QMGR_MAIL_LOG_H

#include "qmgr/committer.h"
#include "qmgr/job.h"

/* The line with status= of a mail that no worker had; those of the others the workers write. RELAY:
 * "" for none. */
void mail_log_untried(const struct job *job, const char *relay, const char *enhanced,
    const char *status, const char *words);

/* The last line of this try: where the mail is now. */
void mail_log_place(const struct job *job, const struct commit *commit);

#endif
