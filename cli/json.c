#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/json.h"
#include "cli/output.h"
#include "lib/memory.h"
#include "lib/text.h"

#include <stdlib.h>

json_t *
json_of_text(const char *text)
{
    size_t length = strlen(text);
    char *escaped;
    json_t *value;

    if (text_is_utf8(text, length))
        return json_stringn(text, length);
    escaped = memory_new(length + 1, 4);
    value = json_string(text_escape_bytes(escaped, (length + 1) * 4, text, length));
    free(escaped);
    return value;
}

json_t *
json_of_optional(const char *text)
{
    return text[0] != '\0' ? json_of_text(text) : json_null();
}

json_t *
json_of_count(uint64_t count)
{
    return json_integer((json_int_t)count);
}

json_t *
json_of_time(int64_t time)
{
    char text[64];

    return time != 0 ? json_string(output_time(text, sizeof(text), (time_t)time)) : json_null();
}

json_t *
json_of_age(uint64_t milliseconds)
{
    return json_real((double)milliseconds / 1000);
}

void
json_print(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(object);
}
