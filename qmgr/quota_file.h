/*
 * The accounts' daily counts on the disk, so that they outlive a restart: qmgr/quotas below the
 * state directory. A line an account: ADDRESS TAB HOUR COUNT ... , hours since 1970.
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

/* Replaces the file where a count changed. */
void quota_file_write(void);

#endif
