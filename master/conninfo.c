#include "master/conninfo.h"

#include <string.h>

/* postgresql://user:password@host */
static bool
uri_has_password(const char *conninfo)
{
    const char *authority = strstr(conninfo, "://");
    if (authority == NULL)
        return false;
    authority += 3;
    size_t length = strcspn(authority, "/?");
    const char *at = memrchr(authority, '@', length);
    return at != NULL && memchr(authority, ':', (size_t)(at - authority)) != NULL;
}

bool
conninfo_has_password(const char *conninfo)
{
    return strstr(conninfo, "password") != NULL || uri_has_password(conninfo);
}
