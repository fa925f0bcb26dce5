/*
 * The id of a mail: "17.10.2011000011_BB1C7C8F5EC83BC7". It says when the mail was written, and is
 * the same at every try and after every restart, for it depends only on what names the mail.
 */
#ifndef SMAILER_MAIL_ID_H
#define SMAILER_MAIL_ID_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { MAIL_ID_SIZE = 40 };

/* The first eight octets, big-endian, of the SHA-256 of SECTION, SID, NAME and MTIME_NS in decimal,
 * each with the NUL that ends it. MTIME_NS is the file's, since applications reuse names. */
uint64_t mail_id_hash(const char *section, const char *sid, const char *name, int64_t mtime_ns);

/* Writes the id into TARGET, of MAIL_ID_SIZE octets at least, WRITTEN in local time as
 * DD.MM.YYYYHHMMSS. Returns TARGET. */
char *mail_id_format(char *target, size_t size, time_t written, uint64_t hash);

#endif
