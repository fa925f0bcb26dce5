/*
 * Any octets as the content of a mail: what goes to the relay has no bare CR or LF and no lone dot,
 * the same however it is cut, and, dots taken off, is what it was but for its line ends. The first
 * octet says how much room there is at once.
 */
#include "smtp/content.h"
#include "tests/fuzz/fuzz.h"

struct text {
    char *octets;
    size_t used;
};

/* Room for SIZE octets, each of which may become three, and a line end. */
static struct text
text_make(size_t size)
{
    struct text text = {malloc(3 * size + 64), 0};

    require(text.octets != NULL);
    return text;
}

static void
append(struct text *text, const char *octets, size_t count)
{
    memcpy(text->octets + text->used, octets, count);
    text->used += count;
}

static struct text
copy(const char *octets, size_t size, size_t room)
{
    static struct content_stream stream;
    const struct content content = {.memory = octets, .descriptor = -1, .size = size};
    enum content_progress progress = CONTENT_MORE;
    struct text text = text_make(size);

    content_begin(&stream, &content);
    while (progress == CONTENT_MORE) {
        size_t written = 0;

        progress = content_copy(&stream, text.octets + text.used, room, &written);
        require(written <= room && (written > 0 || progress == CONTENT_ENDED));
        text.used += written;
    }
    require(progress == CONTENT_ENDED);
    return text;
}

/* As RFC 5321, section 4.5.2, has it for who receives it. */
static struct text
receive(const struct text *wire)
{
    struct text text = text_make(wire->used);

    for (size_t at = 0; at < wire->used;) {
        const char *line = wire->octets + at;
        const char *feed = memchr(line, '\n', wire->used - at);
        size_t length;

        require(feed != NULL && feed > line && feed[-1] == '\r');
        length = (size_t)(feed - line) - 1;
        require(memchr(line, '\r', length) == NULL);
        require(length != 1 || line[0] != '.');
        append(&text, line + (line[0] == '.'), length - (line[0] == '.'));
        append(&text, "\n", 1);
        at += length + 2;
    }
    return text;
}

/* LF for each CRLF, CR or LF, and at the end. */
static struct text
canonicalize(const char *octets, size_t size)
{
    struct text text = text_make(size);

    for (size_t at = 0; at < size; at++) {
        bool ends = octets[at] == '\r' || octets[at] == '\n';

        append(&text, ends ? "\n" : octets + at, 1);
        at += octets[at] == '\r' && at + 1 < size && octets[at + 1] == '\n';
    }
    if (text.used > 0 && text.octets[text.used - 1] != '\n')
        append(&text, "\n", 1);
    return text;
}

static void
check_same(const struct text *one, const struct text *other)
{
    require(one->used == other->used && memcmp(one->octets, other->octets, one->used) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *octets = (const char *)data + 1;
    struct text texts[4];

    if (size < 2)
        return 0;
    texts[0] = copy(octets, size - 1, 3 * size);
    texts[1] = copy(octets, size - 1, data[0] % 16 + 3U);
    check_same(&texts[0], &texts[1]);
    texts[2] = receive(&texts[0]);
    texts[3] = canonicalize(octets, size - 1);
    check_same(&texts[2], &texts[3]);
    for (size_t i = 0; i < 4; i++)
        free(texts[i].octets);
    return 0;
}
