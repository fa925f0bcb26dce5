/*
 * Who may ask what of a running smailer, beside root: the spool user and control_users.
 */
#ifndef SMAILER_PERMISSION_H
#define SMAILER_PERMISSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/configuration.h"

/* Looks the users up, which the sandbox does not allow later. A name that is no user's is logged
 * and means nobody. */
void permission_prepare(const struct configuration *configuration);

bool permission_has(uid_t uid);

#endif
