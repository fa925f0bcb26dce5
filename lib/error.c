#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "lib/error.h"
#include "lib/text.h"

/* Appends ": REASON" to the text of ERROR, as far as there is room. */
static void
append_reason(struct error *error, const char *reason)
{
    strlcat(error->text, ": ", sizeof(error->text));
    strlcat(error->text, reason, sizeof(error->text));
}

bool
error_set(struct error *error, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return false;
    error->code = 0;
    va_start(arguments, format);
    text_format_list(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return false;
}

bool
error_errno(struct error *error, const char *format, ...)
{
    int code = errno;
    va_list arguments;

    if (error == NULL)
        return false;
    error->code = code;
    va_start(arguments, format);
    text_format_list(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    append_reason(error, strerror(code));
    return false;
}

bool
error_prefix(struct error *error, const char *format, ...)
{
    char reason[ERROR_TEXT_SIZE];
    va_list arguments;

    if (error == NULL)
        return false;
    strlcpy(reason, error->text, sizeof(reason));
    va_start(arguments, format);
    text_format_list(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    append_reason(error, reason);
    return false;
}
