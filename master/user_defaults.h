/*
 * Where smailer's own directories are when main.cf does not say.
 */
#ifndef SMAILER_USER_DEFAULTS_H
#define SMAILER_USER_DEFAULTS_H

#include <stdbool.h>

#include "lib/configuration.h"
#include "lib/error.h"

/* For anybody but root: run_directory, state_directory and log_directory below $XDG_RUNTIME_DIR
 * (/tmp/smailer-UID without one) and $XDG_STATE_HOME (~/.local/state without one). Root's are
 * config.def's. */
bool user_defaults_set(struct settings *settings, struct error *error);

#endif
