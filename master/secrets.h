/*
 * Passwords: from a file into a sealed memfd each, and out of this process's memory.
 */
#ifndef SMAILER_SECRETS_H
#define SMAILER_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "lib/error.h"

/* A descriptor for each account of the configuration, in its order; -1 where it logs in to
 * nothing. */
struct secrets {
    int *descriptors;
    size_t count;
};

/* Closes the descriptors. */
void secrets_free(struct secrets *secrets);

/* Makes room for one more, of DESCRIPTOR, which is then owned. */
void secrets_add(struct secrets *secrets, int descriptor);

/* SECRET in a sealed memfd of the caller's; it is wiped where it was. -1 on failure. */
int secret_seal(char *secret, struct error *error);

/* The first line of the file PATH in a sealed memfd of the caller's; -1 on failure. */
int secret_read(const char *path, struct error *error);

/* False where somebody else than root and the user who runs this may read the file of that STATUS:
 * its owner, its group (unless that is root's or this process's), or all the others. */
bool secret_is_guarded(const char *path, const struct stat *status, struct error *error);

/* What was copied and searched last is still in the processor's vector registers, from where the
 * frame of the next signal takes it to the stack. This does the same with zeros. */
void secrets_forget(void);

#endif
