/*
 * How a base is called: by its SID or, where two sections have that, by SECTION/SID.
 */
#ifndef SMAILER_BASE_NAME_H
#define SMAILER_BASE_NAME_H

#include <stdbool.h>

/* True where NAME is "SECTION/SID". */
bool base_name_is_whole(const char *name, const char *section, const char *sid);

/* True where it is that, or "SID". */
bool base_name_fits(const char *name, const char *section, const char *sid);

#endif
