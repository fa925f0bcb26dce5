/*
 * The content of a mail on its way to the relay: CRLF line ends and stuffed dots (RFC 5321, section
 * 4.5.2), whatever is in it.
 */
#ifndef SMAILER_SMTP_CONTENT_H
#define SMAILER_SMTP_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets read from a descriptor at once. */
#define CONTENT_CHUNK_SIZE 16384

/* A message; SIZE octets at MEMORY or, where that is NULL, in a DESCRIPTOR that never blocks. */
struct content {
    const char *memory;
    int descriptor;
    uint64_t size;
};

struct content_stream {
    int descriptor; /* -1: all is in memory */
    uint64_t offset; /* of what is to be read next */
    uint64_t unread; /* octets not read from the descriptor yet */
    const char *source; /* read, and not copied yet */
    size_t source_length;
    bool line_begins;
    bool carriage_return; /* a CR was taken whose line end is not written yet */
    char chunk[CONTENT_CHUNK_SIZE];
};

enum content_progress {
    CONTENT_MORE, /* there was no room for the rest */
    CONTENT_ENDED, /* all is written, the last line with its end; the lone dot is the caller's */
    CONTENT_FAILED /* the descriptor has less than it should */
};

/* Begins at the first octet of CONTENT. */
void content_begin(struct content_stream *stream, const struct content *content);

/* Writes as much as fits into the SIZE octets at TARGET, *WRITTEN of them (SIZE must be 3 at least
 * for it to get on). No bare CR or LF is ever among them: each becomes CRLF. */
enum content_progress content_copy(
    struct content_stream *stream, char *target, size_t size, size_t *written);

#endif
