#include <string.h>

#include "lib/base_name.h"

bool
base_name_is_whole(const char *name, const char *section, const char *sid)
{
    size_t length = strlen(section);

    return strncmp(name, section, length) == 0 && name[length] == '/' &&
           strcmp(name + length + 1, sid) == 0;
}

bool
base_name_fits(const char *name, const char *section, const char *sid)
{
    return strcmp(name, sid) == 0 || base_name_is_whole(name, section, sid);
}
