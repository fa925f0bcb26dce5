/*
 * Octets from a peer, as the decoder of messages gets them: the first two say who speaks to whom,
 * the third how many descriptors came with them. What is decoded is, encoded again, the same; what
 * is refused leaves no descriptor open.
 */
#include <fcntl.h>
#include <unistd.h>

#include "lib/message.h"
#include "tests/fuzz/fuzz.h"

enum { PEERS = 3 };

static void
check_message(
    const struct message *message, enum role from, enum role to, const uint8_t *octets, size_t size)
{
    static uint8_t encoded[MESSAGE_SIZE_MAX];
    struct field_output output = {.octets = encoded, .size = sizeof(encoded)};
    struct error error;
    char text[4096];

    message_trace(message, text, sizeof(text));
    require(strpbrk(text, "\r\n\033") == NULL);
    require(message_encode(message, from, to, &output, &error));
    require(output.used == size && memcmp(encoded, octets, size) == 0);
    message_discard(message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field_input input = {0};
    struct message message;
    struct error error = {0};
    enum role from;
    enum role to;
    int first = -1;

    if (size < PEERS || size - PEERS > MESSAGE_SIZE_MAX)
        return 0;
    from = (enum role)(data[0] % ROLE_COUNT);
    to = (enum role)(data[1] % ROLE_COUNT);
    input.octets = data + PEERS;
    input.size = size - PEERS;
    for (size_t i = 0; i < data[2] % (FIELD_DESCRIPTORS_MAX + 1U); i++)
        input.descriptors[input.descriptor_count++] = dup(STDERR_FILENO);
    if (input.descriptor_count > 0)
        first = input.descriptors[0];
    if (message_decode(&message, from, to, &input, &error))
        check_message(&message, from, to, data + PEERS, size - PEERS);
    else
        require(error.text[0] != '\0');
    require(first < 0 || fcntl(first, F_GETFD) == -1);
    return 0;
}
