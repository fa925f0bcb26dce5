#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/text.h"
#include "smtp/challenge.h"

/* Octets of what is to be said after the decoded ones that filled up the last group. */
static size_t
measure_padding(const char *encoded, size_t length)
{
    size_t padding = 0;

    while (padding < 2 && padding < length && encoded[length - 1 - padding] == '=')
        padding++;
    return padding;
}

void
challenge_decode(struct reply *reply)
{
    static const size_t PREFIX = sizeof("334 ") - 1;
    unsigned char decoded[REPLY_WORDS_SIZE];
    size_t length = reply->length > PREFIX ? reply->length - PREFIX : 0;
    const char *encoded = reply->words + PREFIX;
    int count;

    if (length == 0)
        return;
    count = EVP_DecodeBlock(decoded, (const unsigned char *)encoded, (int)length);
    if (count <= 0)
        return;
    length = (size_t)count - measure_padding(encoded, length);
    while (length > 0 && (decoded[length - 1] == '\n' || decoded[length - 1] == '\r'))
        length--;
    if (length == 0 || text_plain(decoded, length) != length)
        return;
    reply->length = (size_t)snprintf(
        reply->words, sizeof(reply->words), "334 %.*s", (int)length, (const char *)decoded);
}
