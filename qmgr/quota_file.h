/*
 * The accounts' daily counts on the disk, so that they outlive a restart: qmgr/quotas below the
 * state directory. A line an account: ADDRESS TAB HOUR COUNT ... , hours since 1970. Programs that
 * are started beside a master, for another queue, use the same file: each adds what it has begun.
 */
#ifndef SMAILER_QMGR_QUOTA_FILE_H
#define SMAILER_QMGR_QUOTA_FILE_H

#include <stdbool.h>

#include "lib/error.h"

/* Before the sandbox: makes the directory where some account needs it, and gives its path; NULL
 * where none does, or it cannot be made, which is logged: counts are kept in memory only. */
const char *quota_file_prepare(void);

/* Reads what is there. What cannot be understood is passed over, with a warning. */
void quota_file_read(void);

/* Where a count changed, brings this process and the file together. */
void quota_file_write(void);

/* The same where another program has written to the file: before mails are begun. */
void quota_file_look(void);

#endif
