/*
 * The directories that smailer has of its own: for its runs, its state and its logs.
 */
#ifndef SMAILER_MASTER_DIRECTORIES_H
#define SMAILER_MASTER_DIRECTORIES_H

#include <stdbool.h>

#include "lib/error.h"
#include "lib/privilege.h"

/* Makes PATH (mode 755), and what is missing above it, for OWNER (NULL: whoever runs this), and
 * gives it to OWNER where it is there already, empty, and of who runs this. False where it cannot
 * be made, or somebody else could put something else in its place. */
bool directories_make(const char *path, const struct privilege_user *owner, struct error *error);

/* Makes maildrop/ in PATH, for OWNER as above: everybody may leave a file there, and only OWNER
 * sees which there are (mode 3733). */
bool directories_make_drop(
    const char *path, const struct privilege_user *owner, struct error *error);

#endif
