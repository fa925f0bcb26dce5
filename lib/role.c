#include <string.h>

#include "lib/role.h"

static const char *const NAMES[] = {
#define ROLE(NAME, name) #name,
#define LINK(A, B)
#include "lib/roles.def"
#undef ROLE
#undef LINK
};

const struct role_link ROLE_LINKS[] = {
#define ROLE(NAME, name)
#define LINK(A, B) {ROLE_##A, ROLE_##B},
#include "lib/roles.def"
#undef ROLE
#undef LINK
};

const size_t ROLE_LINK_COUNT = sizeof(ROLE_LINKS) / sizeof(ROLE_LINKS[0]);

const char *
role_name(enum role role)
{
    return (size_t)role < ROLE_COUNT ? NAMES[role] : "unknown";
}

bool
role_find(const char *name, enum role *role)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (strcmp(NAMES[i], name) != 0)
            continue;
        *role = (enum role)i;
        return true;
    }
    return false;
}
