#include "master/user_defaults.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/memory.h"

static void
path_set(char **path, char *value)
{
    free(*path);
    *path = value;
}

/* The value of the variable NAME where it is an absolute path, as the XDG Base Directory
 * Specification demands; else NULL. */
static const char *
variable_path(const char *name)
{
    const char *path = secure_getenv(name);
    return path != NULL && path[0] == '/' ? path : NULL;
}

static const char *
home_directory(void)
{
    const char *home = variable_path("HOME");
    const struct passwd *entry = home == NULL ? getpwuid(geteuid()) : NULL;
    return entry == NULL ? home : entry->pw_dir;
}

bool
user_defaults_set(struct settings *settings, struct error *error)
{
    if (geteuid() == 0)
        return true;
    const char *runtime = variable_path("XDG_RUNTIME_DIR");
    const char *state = variable_path("XDG_STATE_HOME");
    const char *home = home_directory();
    if (state == NULL && home == NULL)
        return error_set(error, "no home directory: expected HOME or XDG_STATE_HOME to be set");
    path_set(&settings->run_directory, runtime != NULL
                                           ? memory_format("%s/smailer", runtime)
                                           : memory_format("/tmp/smailer-%u", geteuid()));
    path_set(&settings->state_directory, state != NULL
                                             ? memory_format("%s/smailer", state)
                                             : memory_format("%s/.local/state/smailer", home));
    path_set(&settings->log_directory, memory_format("%s/log", settings->state_directory));
    return true;
}
