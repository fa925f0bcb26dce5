/*
 * Octets in a memfd that nobody can change any more: how what is too large for a message travels.
 */
#ifndef SMAILER_SEALED_H
#define SMAILER_SEALED_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

/* A new memfd, close-on-exec, with SIZE octets of DATA, sealed against any change; NAME shows in
 * /proc. The caller owns the descriptor; -1 on failure. */
int sealed_create(const char *name, const void *data, size_t size, struct error *error);

/* Seals DESCRIPTOR, a memfd made with MFD_ALLOW_SEALING, against any change from now on. */
bool sealed_seal(int descriptor, struct error *error);

/* The octets of DESCRIPTOR, mapped read-only, *SIZE of them, ended by sealed_unmap. NULL where it
 * is no memfd sealed against change, is empty, or has more than LIMIT octets: whoever maps a file
 * that may still shrink can be killed by it. */
const void *sealed_map(int descriptor, size_t limit, size_t *size, struct error *error);

void sealed_unmap(const void *data, size_t size);

#endif
