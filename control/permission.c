#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/permission.h"
#include "lib/log.h"
#include "lib/memory.h"

static struct {
    uid_t *uids;
    size_t count;
} permitted;

static void
permit(uid_t uid)
{
    permitted.uids = memory_resize(permitted.uids, permitted.count + 1, sizeof(*permitted.uids));
    permitted.uids[permitted.count++] = uid;
}

static bool
permit_name(const char *name)
{
    const struct passwd *user = getpwnam(name);

    if (user != NULL)
        permit(user->pw_uid);
    return user != NULL;
}

void
permission_prepare(const struct configuration *configuration)
{
    const struct text_list *users = &configuration->settings.control_users;

    permit(0);
    permit(geteuid()); /* whoever started smailer without being root */
    permit_name(configuration->settings.spool_user);
    for (size_t i = 0; i < users->count; i++) {
        if (!permit_name(users->texts[i]))
            log_warn("control_users: there is no user %s", users->texts[i]);
    }
}

bool
permission_has(uid_t uid)
{
    for (size_t i = 0; i < permitted.count; i++) {
        if (permitted.uids[i] == uid)
            return true;
    }
    return false;
}
