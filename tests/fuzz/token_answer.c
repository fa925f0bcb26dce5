/*
 * What a token_command printed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "token/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length)
{
    static struct answer answer;
    struct error error;

    if (!answer_read((const char *)octets, length, &answer, &error))
        return 0;
    if (strlen(answer.token) == 0 || strpbrk(answer.token, " \001\r\n") != NULL ||
        answer.lifetime < 0 || answer.lifetime > ANSWER_LIFETIME_MOST)
        abort();
    return 0;
}
