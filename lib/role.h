/*
 * The programs of smailer; see roles.def.
 */
#ifndef SMAILER_ROLE_H
#define SMAILER_ROLE_H

#include <stdbool.h>
#include <stddef.h>

enum role {
#define ROLE(NAME, name) ROLE_##NAME,
#define LINK(A, B)
#include "lib/roles.def"
#undef ROLE
#undef LINK
    ROLE_COUNT
};

#define ROLE_BIT(role) (1U << (role))

struct role_link {
    enum role a;
    enum role b;
};

extern const struct role_link ROLE_LINKS[];
extern const size_t ROLE_LINK_COUNT;

/* "pickup"; never NULL, "unknown" for what is no role. */
const char *role_name(enum role role);

/* True where NAME is a role's, which *ROLE then is. */
bool role_find(const char *name, enum role *role);

#endif
