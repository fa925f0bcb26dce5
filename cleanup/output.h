/*
 * Octets that are being put together in memory.
 */
#ifndef SMAILER_CLEANUP_OUTPUT_H
#define SMAILER_CLEANUP_OUTPUT_H

#include <stddef.h>
#include <string.h>

/* All zero is an empty one. What is taken back with output_release is all there is to free. */
struct output {
    char *data;
    size_t used;
    size_t room;
};

/* Makes room for COUNT octets more, and returns where they go; the caller raises used. */
char *output_reserve(struct output *output, size_t count);

/* Empties OUTPUT for the next use; what is larger than usual goes back to the system. */
void output_clear(struct output *output);

void output_release(struct output *output);

static inline void
output_bytes(struct output *output, const void *bytes, size_t count)
{
    if (count == 0)
        return;
    memcpy(output_reserve(output, count), bytes, count);
    output->used += count;
}

static inline void
output_text(struct output *output, const char *text)
{
    output_bytes(output, text, strlen(text));
}

void output_format(struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
