/* Octets from a peer, as the decoder of messages gets them: the first two say who speaks to whom.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field_input input = {0};
    struct message message;
    struct error error;
    char text[4096];

    if (size < 2)
        return 0;
    input.octets = data + 2;
    input.size = size - 2;
    if (message_decode(&message, (enum role)(data[0] % ROLE_COUNT),
            (enum role)(data[1] % ROLE_COUNT), &input, &error))
        message_trace(&message, text, sizeof(text));
    return 0;
}
