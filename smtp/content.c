#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "smtp/content.h"

/* The most that one step writes beside plain text: a line end. */
#define LEAST_ROOM 2

struct target {
    char *octets;
    size_t size;
    size_t used;
};

void
content_begin(struct content_stream *stream, const struct content *content)
{
    bool mapped = content->memory != NULL;

    stream->descriptor = mapped ? -1 : content->descriptor;
    stream->offset = 0;
    stream->unread = mapped ? 0 : content->size;
    stream->source = content->memory;
    stream->source_length = mapped ? (size_t)content->size : 0;
    stream->line_begins = true;
    stream->carriage_return = false;
}

/* Reads on where nothing is left to copy; false where that fails. */
static bool
refill(struct content_stream *stream)
{
    size_t wanted =
        stream->unread < sizeof(stream->chunk) ? (size_t)stream->unread : sizeof(stream->chunk);
    ssize_t count;

    if (stream->source_length > 0 || stream->unread == 0)
        return true;
    do
        count = pread(stream->descriptor, stream->chunk, wanted, (off_t)stream->offset);
    while (count < 0 && errno == EINTR);
    if (count <= 0)
        return false;
    stream->source = stream->chunk;
    stream->source_length = (size_t)count;
    stream->offset += (uint64_t)count;
    stream->unread -= (uint64_t)count;
    return true;
}

static void
skip(struct content_stream *stream, size_t count)
{
    stream->source += count;
    stream->source_length -= count;
}

static void
end_line(struct content_stream *stream, struct target *target)
{
    memcpy(target->octets + target->used, "\r\n", 2);
    target->used += 2;
    stream->line_begins = true;
    stream->carriage_return = false;
}

/* Copies up to the next CR or LF, or as far as there is room. */
static void
copy_plain(struct content_stream *stream, struct target *target)
{
    size_t room = target->size - target->used - LEAST_ROOM;
    size_t count = stream->source_length < room ? stream->source_length : room;
    const char *end;

    if (stream->line_begins && stream->source[0] == '.') {
        target->octets[target->used++] = '.';
        stream->line_begins = false;
        count -= count == room;
    }
    end = memchr(stream->source, '\n', count);
    if (end != NULL)
        count = (size_t)(end - stream->source);
    end = memchr(stream->source, '\r', count);
    if (end != NULL)
        count = (size_t)(end - stream->source);
    memcpy(target->octets + target->used, stream->source, count);
    target->used += count;
    stream->line_begins = stream->line_begins && count == 0;
    skip(stream, count);
}

/* One line, or what can be had of it. */
static void
copy_line(struct content_stream *stream, struct target *target)
{
    if (stream->carriage_return) {
        if (stream->source[0] == '\n')
            skip(stream, 1);
        end_line(stream, target);
        return;
    }
    copy_plain(stream, target);
    if (stream->source_length == 0)
        return;
    if (stream->source[0] == '\r') {
        stream->carriage_return = true;
        skip(stream, 1);
    } else if (stream->source[0] == '\n') {
        skip(stream, 1);
        end_line(stream, target);
    }
}

enum content_progress
content_copy(struct content_stream *stream, char *target, size_t size, size_t *written)
{
    struct target output = {target, size, 0};
    enum content_progress progress = CONTENT_MORE;

    while (progress == CONTENT_MORE && size - output.used > LEAST_ROOM) {
        if (!refill(stream))
            progress = CONTENT_FAILED;
        else if (stream->source_length > 0)
            copy_line(stream, &output);
        else if (stream->carriage_return || !stream->line_begins)
            end_line(stream, &output);
        else
            progress = CONTENT_ENDED;
    }
    *written = output.used;
    return progress;
}
