/*
 * A worker that has a fault, for the tests: content with POISON in it is the end of it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtp/content.h"

#define POISON "POISON-WORKER"

void __real_content_begin(struct content_stream *stream, const struct content *content);
void __wrap_content_begin(struct content_stream *stream, const struct content *content);

void
__wrap_content_begin(struct content_stream *stream, const struct content *content)
{
    char octets[4096];
    const char *start = content->memory != NULL ? content->memory : octets;
    ssize_t count = content->memory != NULL ? (ssize_t)content->size
                                            : pread(content->descriptor, octets, sizeof(octets), 0);

    if (count > 0 && memmem(start, (size_t)count, POISON, strlen(POISON)) != NULL)
        abort();
    __real_content_begin(stream, content);
}
