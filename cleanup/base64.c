#include <stdint.h>

#include "cleanup/base64.h"

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *
base64_encode(char *target, const void *bytes, size_t count)
{
    const unsigned char *octets = bytes;

    for (; count >= 3; count -= 3, octets += 3) {
        uint32_t group = (uint32_t)octets[0] << 16 | (uint32_t)octets[1] << 8 | octets[2];

        *target++ = DIGITS[group >> 18];
        *target++ = DIGITS[group >> 12 & 0x3F];
        *target++ = DIGITS[group >> 6 & 0x3F];
        *target++ = DIGITS[group & 0x3F];
    }
    if (count > 0) {
        uint32_t group = (uint32_t)octets[0] << 16 | (count == 2 ? (uint32_t)octets[1] << 8 : 0);

        *target++ = DIGITS[group >> 18];
        *target++ = DIGITS[group >> 12 & 0x3F];
        *target++ = count == 2 ? DIGITS[group >> 6 & 0x3F] : '=';
        *target++ = '=';
    }
    return target;
}
