/*
 * SHA-256 fingerprints as text.
 */
#ifndef SMAILER_FINGERPRINT_H
#define SMAILER_FINGERPRINT_H

#include <stdbool.h>

/* 64 hexadecimal digits and a NUL. */
#define FINGERPRINT_SIZE 65

/* TEXT without colons, in small letters; false where it is no such fingerprint. */
bool fingerprint_normalize(const char *text, char normal[static FINGERPRINT_SIZE]);

#endif
