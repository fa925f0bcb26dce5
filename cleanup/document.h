/*
 * A queue file: <list> of <item>s of fields, in XML from anybody.
 *
 * A field's text is all the text within its element. Elements that are unknown or have a namespace
 * are ignored, with what is in them. Whether the fields of an item make a mail is not decided here.
 */
#ifndef SMAILER_CLEANUP_DOCUMENT_H
#define SMAILER_CLEANUP_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

enum { DOCUMENT_DEPTH_MAX = 16, DOCUMENT_ITEMS_MAX = 100000 };

enum item_field { ITEM_TIME, ITEM_SENDER, ITEM_ADDRESS, ITEM_TOPIC, ITEM_CONTENT, ITEM_FIELDS };

enum document_result {
    DOCUMENT_PARSED, /* one item at least */
    DOCUMENT_UNPARSABLE, /* not well-formed: broken, or still in the writing */
    DOCUMENT_INVALID, /* will never hold a mail, whatever is added to it */
    DOCUMENT_UNREADABLE /* the file could not be read; says nothing about the mail */
};

struct document;

/* One serves for any number of files, one after the other. */
struct document *document_new(void);
void document_free(struct document *document);

/* Reads all of the file behind DESCRIPTOR, which may have LARGEST octets at the most, and takes
 * it apart. Not parsed: ERROR says why, with the line. What the document held before is gone. */
enum document_result document_read(
    struct document *document, int descriptor, size_t largest, struct error *error);

/* The same for what is in memory already. */
enum document_result document_parse(
    struct document *document, const char *bytes, size_t length, struct error *error);

size_t document_items(const struct document *document);

struct item_text {
    enum item_field field;
    const char *text; /* UTF-8 as XML allows it, NUL-terminated, the document's */
    size_t length;
};

size_t document_fields(const struct document *document, size_t item);

/* The fields of an item in the order of the file, repeated ones too. */
struct item_text document_field(const struct document *document, size_t item, size_t index);

/* The element's name, "fld_time". */
const char *item_field_name(enum item_field field);

#endif
