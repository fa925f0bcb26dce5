/* What a relay may send: the parser of replies, in pieces of any length. */
#include <stddef.h>
#include <stdint.h>

#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply_reader reader;
    size_t at = 0;

    reply_reader_init(&reader);
    while (at < size) {
        size_t length = size - at < 7 ? size - at : 7;
        size_t used = 0;

        if (reply_read(&reader, (const char *)data + at, length, &used) == REPLY_BROKEN)
            return 0;
        at += used > 0 ? used : length;
    }
    return 0;
}
