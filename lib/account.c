#include "lib/account.h"

#include <string.h>
#include <strings.h>

static const struct account_settings *
account_named(const struct configuration *configuration, const char *address)
{
    for (size_t i = 0; i < configuration->account_count; i++)
        if (strcasecmp(configuration->accounts[i].address, address) == 0)
            return &configuration->accounts[i];
    return NULL;
}

const struct account_settings *
account_find(const struct configuration *configuration, const char *sender)
{
    const char *domain = strrchr(sender, '@');
    const struct account_settings *account = NULL;
    if (domain != NULL && domain != sender)
        account = account_named(configuration, sender);
    if (account == NULL && domain != NULL)
        account = account_named(configuration, domain);
    return account != NULL ? account : account_named(configuration, "default");
}

/* True where NAME is "SECTION/SID". */
static bool
name_is_whole(const char *name, const char *section, const char *sid)
{
    size_t length = strlen(section);
    return strncmp(name, section, length) == 0 && name[length] == '/' &&
           strcmp(name + length + 1, sid) == 0;
}

bool
account_allows(const struct account_settings *account, const char *sid, const char *section)
{
    for (size_t i = 0; i < account->sids.count; i++) {
        const char *name = account->sids.texts[i];
        if (strcmp(name, "*") == 0 || strcmp(name, sid) == 0 || name_is_whole(name, section, sid))
            return true;
    }
    return false;
}
