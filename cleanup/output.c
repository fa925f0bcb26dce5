#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "lib/log.h"
#include "lib/memory.h"

#include "cleanup/output.h"

enum { FIRST_ROOM = 8192, ROOM_KEPT = 1 << 20 };

char *
output_reserve(struct output *output, size_t count)
{
    size_t room = output->room > 0 ? output->room : FIRST_ROOM;

    if (output->data != NULL && count <= output->room - output->used)
        return output->data + output->used;
    if (count > SIZE_MAX / 2 - output->used)
        fatal(EX_SOFTWARE, "asked for %zu octets of memory", count);
    while (room < output->used + count)
        room *= 2;
    output->data = memory_resize(output->data, room, 1);
    output->room = room;
    return output->data + output->used;
}

void
output_clear(struct output *output)
{
    if (output->room > ROOM_KEPT)
        output_release(output);
    output->used = 0;
}

void
output_release(struct output *output)
{
    free(output->data);
    *output = (struct output){0};
}

void
output_format(struct output *output, const char *format, ...)
{
    enum { GUESS = 256 };
    size_t room = GUESS;

    for (;;) {
        char *target = output_reserve(output, room);
        va_list arguments;
        int length;

        va_start(arguments, format);
        length = vsnprintf(target, room, format, arguments);
        va_end(arguments);
        if (length < 0)
            fatal(EX_SOFTWARE, "cannot format \"%s\"", format);
        if ((size_t)length < room) {
            output->used += (size_t)length;
            return;
        }
        room = (size_t)length + 1;
    }
}
