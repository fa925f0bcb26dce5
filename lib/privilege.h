/*
 * From root to the user of a role, for good.
 */
#ifndef SMAILER_PRIVILEGE_H
#define SMAILER_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/error.h"

/* What a process keeps beyond its user's rights where the spools have many owners. */
#define PRIVILEGE_READ_ANY 1U /* CAP_DAC_READ_SEARCH: pickup */
#define PRIVILEGE_WRITE_ANY 2U /* CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_FSETID: qmgr */

#define PRIVILEGE_GROUPS_MAX 64

struct privilege_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[PRIVILEGE_GROUPS_MAX]; /* all that the system says the user is in */
    int group_count;
};

/* The ids of the system's user NAME; an error names what makes it. */
bool privilege_lookup(const char *name, struct privilege_user *user, struct error *error);

/* True where the calling process may take on another user's rights at all (it is root). */
bool privilege_is_root(void);

/* True where the calling process, not being root, was left PRIVILEGE_READ_ANY or more. */
bool privilege_reads_any(void);

/* Makes the calling process USER's, in USER's groups only, with no capability but those of
 * KEEP (PRIVILEGE_...; 0 for none), which also live through exec, and verifies that root cannot
 * come back. After an error the process is in between, and must end. To be called in a forked
 * child, as root. */
bool privilege_drop(const struct privilege_user *user, unsigned int keep, struct error *error);

#endif
