#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

#include "lib/mail_id.h"
#include "lib/text.h"

enum { DECIMAL_SIZE = 24, HASH_OCTETS = 8, TM_YEAR_BASE = 1900, YEARS = 10000 };

uint64_t
mail_id_hash(const char *section, const char *sid, const char *name, int64_t mtime_ns)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char moment[DECIMAL_SIZE];
    const char *const parts[] = {section, sid, name, moment};
    uint64_t hash = 0;
    SHA2_CTX context;

    text_format(moment, sizeof(moment), "%" PRId64, mtime_ns);
    SHA256Init(&context);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        SHA256Update(&context, (const uint8_t *)parts[i], strlen(parts[i]) + 1);
    SHA256Final(digest, &context);
    for (size_t i = 0; i < HASH_OCTETS; i++)
        hash = hash << 8 | digest[i];
    return hash;
}

char *
mail_id_format(char *target, size_t size, time_t written, uint64_t hash)
{
    struct tm parts = {0};

    localtime_r(&written, &parts);
    text_format(target, size, "%02d.%02d.%04d%02d%02d%02d_%016" PRIX64, parts.tm_mday,
        parts.tm_mon + 1, (parts.tm_year + TM_YEAR_BASE) % YEARS, parts.tm_hour, parts.tm_min,
        parts.tm_sec, hash);
    return target;
}
