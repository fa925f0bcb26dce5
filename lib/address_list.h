/*
 * The addresses of a header or of a command line's word: "Bob <bob@example.org>, team: a, b;".
 */
#ifndef SMAILER_ADDRESS_LIST_H
#define SMAILER_ADDRESS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

#define ADDRESS_LIST_SIZE 1001 /* octets of one address, with its NUL */

/* Takes the next address from *TEXT, which is moved behind it, without names and comments (RFC
 * 5322, section 3.4), and without angle brackets but for the null address "<>". False at the end,
 * with ERROR empty, or where what is there is none, in sendmail's words. */
bool address_list_next(const char **text, char address[ADDRESS_LIST_SIZE], struct error *error);

#endif
