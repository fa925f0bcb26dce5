#include <inttypes.h>
#include <sysexits.h>

#include "lib/log.h"
#include "sql/array.h"

void
array_open(struct array *array)
{
    *array = (struct array){0};
    array->stream = open_memstream(&array->text, &array->size);
    if (array->stream == NULL)
        fatal(EX_OSERR, "out of memory: an array");
    fputc('{', array->stream);
}

void
array_add(struct array *array, const char *text)
{
    if (array->count++ > 0)
        fputc(',', array->stream);
    if (text == NULL) {
        fputs("NULL", array->stream);
        return;
    }
    fputc('"', array->stream);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', array->stream);
        fputc(*text, array->stream);
    }
    fputc('"', array->stream);
}

void
array_add_number(struct array *array, int64_t number)
{
    fprintf(array->stream, "%s%" PRId64, array->count++ > 0 ? "," : "", number);
}

char *
array_close(struct array *array)
{
    fputc('}', array->stream);
    if (fclose(array->stream) != 0)
        fatal(EX_OSERR, "out of memory: an array");
    return array->text;
}
