/*
 * A look at the markup of a document before the parser gets it.
 *
 * libxml2 takes seconds for a start tag of a megabyte before it calls back, and expands entities
 * without end. So a document with a document type, or with a tag of more than MARKUP_TAG_MAX
 * octets, never reaches it; the rest it gets in pieces. Nor does half a tag at the end of the file,
 * which it would report as if it were whole.
 */
#ifndef SMAILER_CLEANUP_MARKUP_H
#define SMAILER_CLEANUP_MARKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

enum { MARKUP_TAG_MAX = 2048, MARKUP_PIECE = 65536 };

struct markup {
    const char *bytes;
    size_t length;
    size_t given; /* octets in the pieces so far */
    size_t scanned; /* octets looked at: whole tags, texts, comments */
    bool unfinished; /* the last tag has no end, and is in no piece */
    bool splits; /* the last thing looked at may be cut anywhere between characters */
};

void markup_start(struct markup *markup, const char *bytes, size_t length);

/* The next piece in *PIECE and *LENGTH (0 at the end), never with half a tag or half a character.
 * False and ERROR where the document must not be parsed. */
bool markup_next(struct markup *markup, const char **piece, size_t *length, struct error *error);

#endif
