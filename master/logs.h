/*
 * The logs of all programs: opened here, as root, and handed on.
 */
#ifndef SMAILER_MASTER_LOGS_H
#define SMAILER_MASTER_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/role.h"

struct logs {
    enum log_to to;
    enum log_target target;
    char *paths[ROLE_COUNT]; /* LOG_TO_FILES */
    int descriptors[ROLE_COUNT]; /* -1 for what is no program */
};

/* None is open. */
void logs_init(struct logs *logs);

/* Opens the logs as SETTINGS say; ONE_FILE (NULL: none) is for all programs in place of that. On
 * failure nothing is left in LOGS. */
bool logs_open(
    struct logs *logs, const struct settings *settings, const char *one_file, struct error *error);

/* Opens again what can be opened; the rest stays as it was, and the log says so. */
void logs_reopen(struct logs *logs);

void logs_close(struct logs *logs);

/* This process's own lines go there from now on. */
void logs_use(const struct logs *logs);

/* Opens the logs in place of those that are open, and uses them; what cannot be opened leaves all
 * as it was, and the log says so. */
void logs_change(struct logs *logs, const struct settings *settings, const char *one_file);

/* The last line that process PID wrote into ROLE's log, if that can be read: why it ended, in its
 * own words. */
bool logs_last_words(const struct logs *logs, enum role role, pid_t pid, char *words, size_t size);

#endif
