/*
 * A list of several mails as documents of one mail each.
 */
#ifndef SMAILER_CLEANUP_SPLIT_H
#define SMAILER_CLEANUP_SPLIT_H

#include "cleanup/document.h"
#include "cleanup/output.h"

/*
 * Writes to OUTPUT, whose former octets are gone, for each item of DOCUMENT: the length of its
 * document in decimal, a line feed, and the document: XML in UTF-8 with the item's fields as they
 * were. Nothing is checked, so that a bad item is refused later, and alone.
 */
void split_write(struct output *output, const struct document *document);

#endif
