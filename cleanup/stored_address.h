/*
 * An address as a control file of sendmail's has it: as whoever sent the mail wrote it, with a
 * name, comments or a route, or as a part of a list.
 */
#ifndef SMAILER_CLEANUP_STORED_ADDRESS_H
#define SMAILER_CLEANUP_STORED_ADDRESS_H

#include "lib/error.h"

#include "cleanup/address.h"

enum { STORED_ADDRESS_SIZE = 2048 };

/* TARGET gets the bare address of TEXT, without what is around it; "" for the null address. What
 * cannot be understood stays as it is. */
void stored_address_strip(char target[STORED_ADDRESS_SIZE], const char *text);

/* Reads the bare address TEXT, as loosely as sendmail does. */
bool stored_address_read(struct address *address, const char *text, struct error *error);

#endif
