#include <ctype.h>
#include <stddef.h>

#include "lib/fingerprint.h"

bool
fingerprint_normalize(const char *text, char normal[static FINGERPRINT_SIZE])
{
    size_t count = 0;

    for (; *text != '\0'; text++) {
        if (*text == ':' && count > 0 && count % 2 == 0 && text[1] != '\0' && text[1] != ':')
            continue;
        if (!isxdigit((unsigned char)*text) || count == FINGERPRINT_SIZE - 1)
            return false;
        normal[count++] = (char)tolower((unsigned char)*text);
    }
    normal[count] = '\0';
    return count == FINGERPRINT_SIZE - 1;
}
