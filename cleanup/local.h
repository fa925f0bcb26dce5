/*
 * Local names in a sendmail queue. There is no local delivery: a file of aliases says where they
 * go, and an address takes the rest.
 */
#ifndef SMAILER_CLEANUP_LOCAL_H
#define SMAILER_CLEANUP_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

#include "cleanup/output.h"

/* What a section of main.cf says about them. */
struct local_settings {
    const char *aliases; /* path of the file, or "" */
    const char *rest; /* local_to: an address, or "" */
    const char *hostname; /* what stands behind the @ of a local sender */
};

struct local;

/* Reads the file of aliases: a line is "NAME: ADDRESS, ...", goes on where the next one begins with
 * a blank, and # begins a comment. NULL with the reason where it cannot be read. SETTINGS must live
 * as long. */
struct local *local_open(const struct local_settings *settings, struct error *error);
void local_close(struct local *local);

/* Appends the addresses that NAME stands for to ADDRESSES, each with its NUL. False with the reason
 * where it stands for none. */
bool local_resolve(
    const struct local *local, const char *name, struct output *addresses, struct error *error);

const char *local_hostname(const struct local *local);

#endif
