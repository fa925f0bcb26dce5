/*
 * Base64 (RFC 4648, section 4).
 */
#ifndef SMAILER_CLEANUP_BASE64_H
#define SMAILER_CLEANUP_BASE64_H

#include <stddef.h>

/* Octets that COUNT octets become. */
static inline size_t
base64_length(size_t count)
{
    return (count + 2) / 3 * 4;
}

/* Writes base64_length(COUNT) octets at TARGET, without a NUL; returns where they end. */
char *base64_encode(char *target, const void *bytes, size_t count);

#endif
