/*
 * What a relay may send: replies are the same whether their octets come all at once or in pieces,
 * the length of which the first octet says.
 */
#include "smtp/reply.h"
#include "tests/fuzz/fuzz.h"

enum { REPLIES_MAX = 64 };

/* What was made of the octets. */
struct reading {
    struct reply replies[REPLIES_MAX];
    size_t count;
    bool broken;
};

static void
check_reply(const struct reply *reply)
{
    require(reply->code >= 200 && reply->code < 600);
    require(reply->enhanced.class == 0 || reply->enhanced.class == reply->code / 100);
    require(reply->length < sizeof(reply->words) && strlen(reply->words) == reply->length);
    require(reply->length >= 3 && (unsigned)atoi(reply->words) == reply->code);
}

static void
read_in_pieces(struct reading *reading, const char *octets, size_t size, size_t piece)
{
    struct reply_reader reader;
    size_t at = 0;

    reading->count = 0;
    reading->broken = false;
    reply_reader_init(&reader);
    while (at < size && reading->count < REPLIES_MAX) {
        size_t length = size - at < piece ? size - at : piece;
        size_t used = 0;
        enum reply_progress progress = reply_read(&reader, octets + at, length, &used);

        reading->broken = progress == REPLY_BROKEN;
        if (reading->broken) {
            require(reader.problem != NULL);
            return;
        }
        require(used <= length && (used > 0 || progress == REPLY_COMPLETE));
        at += used;
        if (progress == REPLY_MORE) {
            require(used == length);
            continue;
        }
        check_reply(&reader.reply);
        reading->replies[reading->count++] = reader.reply;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole;
    static struct reading pieces;

    if (size < 1)
        return 0;
    read_in_pieces(&whole, (const char *)data + 1, size - 1, size);
    read_in_pieces(&pieces, (const char *)data + 1, size - 1, data[0] % 16 + 1U);
    require(whole.count == pieces.count && whole.broken == pieces.broken);
    for (size_t i = 0; i < whole.count; i++) {
        require(whole.replies[i].code == pieces.replies[i].code);
        require(memcmp(&whole.replies[i].enhanced, &pieces.replies[i].enhanced,
                    sizeof(whole.replies[i].enhanced)) == 0);
        require(strcmp(whole.replies[i].words, pieces.replies[i].words) == 0);
    }
    return 0;
}
