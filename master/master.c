#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/sandbox.h"
#include "master/configuration_file.h"
#include "master/daemon.h"
#include "master/directories.h"
#include "master/master.h"
#include "master/mqueue_options.h"

void
master_init(struct master *master)
{
    *master = (struct master){.instance = {.pid_descriptor = -1, .listener = -1}, .report = -1};
    programs_init(&master->programs);
    logs_init(&master->logs);
}

/* Sets what the option NAME gives in place of a key. */
static bool
override(struct settings *settings, const char *name, const char *key_name, const char *value,
    struct error *error)
{
    const struct key *key = key_find(keys_in(""), key_name);

    if (value == NULL)
        return true;
    if (!value_parse(key->type, &key->range, value, key_member(key, settings), error))
        return error_prefix(error, "--%s", name);
    return true;
}

static bool
apply_options(const struct options *options, struct settings *settings, struct error *error)
{
    if (!override(settings, "testing", "testing", options->testing, error) ||
        !override(settings, "tester", "tester", options->tester, error) ||
        !override(settings, "verbose", "log_level", options->verbose, error))
        return false;
    /* A queue that was only tried stays as it was, unless it is said otherwise. */
    if (options->testing != NULL)
        settings->testing_purge = options->purge;
    return true;
}

bool
master_load(const struct options *options, struct configuration *configuration,
    struct secrets *secrets, struct error *error)
{
    if (!configuration_load(options->configuration_directory, configuration, secrets, error))
        return false;
    if (configuration_check_users(configuration, error) &&
        apply_options(options, &configuration->settings, error) &&
        mqueue_options_apply(options, configuration, error))
        return true;
    configuration_free(configuration);
    secrets_free(secrets);
    return false;
}

static bool
enter_sandbox(const struct settings *settings, struct error *error)
{
    static const enum sandbox_mode MODES[] = {
        [SANDBOX_CHOICE_AUTO] = SANDBOX_AUTO,
        [SANDBOX_CHOICE_REQUIRED] = SANDBOX_REQUIRED,
        [SANDBOX_CHOICE_OFF] = SANDBOX_OFF,
    };

    return sandbox_enter(ROLE_MASTER, NULL, 0, MODES[settings->sandbox], error);
}

/* The run directory, and in it the lock; from then on this is the one. A tree for a queue of its
 * own may be there beside it: the queue has a lock, too. */
static int
take_run_directory(struct master *master, struct error *error)
{
    const char *path = master->configuration.settings.run_directory;

    if (master->options.mqueue != NULL)
        return EX_OK;
    if (!directories_make(path, NULL, error)) {
        error_prefix(error, "run_directory");
        return error->code == EACCES || error->code == EPERM ? EX_NOPERM : EX_CANTCREAT;
    }
    return instance_take(&master->instance, path, master->options.pid_file, error);
}

static bool
make_state_directory(const struct configuration *configuration, struct error *error)
{
    const char *path = configuration->settings.state_directory;
    struct program_rights rights;
    const struct privilege_user *owner;

    if (!program_find_rights(configuration, ROLE_QMGR, &rights, error))
        return false;
    owner = rights.drop ? &rights.user : NULL;
    return (directories_make(path, owner, error) &&
               (configuration_sections(configuration, SECTION_MQUEUE) == 0 ||
                   directories_make_drop(path, owner, error))) ||
           error_prefix(error, "state_directory");
}

int
master_prepare(struct master *master, struct error *error)
{
    const struct settings *settings = &master->configuration.settings;
    int status;

    if (!programs_open(&master->programs, error))
        return EX_OSFILE;
    if (master->options.detach && !daemon_detach(&master->report, error))
        return EX_OSERR;
    umask(022);
    if (chdir("/") != 0) {
        error_errno(error, "go to /");
        return EX_OSERR;
    }
    status = take_run_directory(master, error);
    if (status != EX_OK)
        return status;
    if (!make_state_directory(&master->configuration, error) ||
        !logs_open(&master->logs, settings, master->options.log_file, error))
        return EX_CANTCREAT;
    if (!options_on_demand(&master->options) &&
        !instance_listen(&master->instance, settings->run_directory, error))
        return EX_CANTCREAT;
    logs_use(&master->logs);
    log_set_level((enum log_level)settings->log_level);
    if (!enter_sandbox(settings, error))
        return EX_OSERR;
    /* The workers of an smtp that died come to master, to be waited for. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        error_errno(error, "become the parent of orphans");
        return EX_OSERR;
    }
    return EX_OK;
}

void
master_release(struct master *master)
{
    instance_release(&master->instance);
    logs_close(&master->logs);
    programs_close(&master->programs);
    secrets_free(&master->secrets);
    configuration_free(&master->configuration);
    options_free(&master->options);
}
