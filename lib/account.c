#include "lib/account.h"
#include "lib/base_name.h"

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

bool
account_allows(const struct account_settings *account, const char *sid, const char *section)
{
    for (size_t i = 0; i < account->sids.count; i++) {
        const char *name = account->sids.texts[i];

        if (strcmp(name, "*") == 0 || base_name_fits(name, section, sid))
            return true;
    }
    return false;
}
