#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <libxml/parser.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"

#include "cleanup/document.h"
#include "cleanup/encoding.h"
#include "cleanup/markup.h"
#include "cleanup/output.h"

enum { ROOT_DEPTH = 1, ITEM_DEPTH, FIELD_DEPTH };
enum { FIRST_COUNT = 64, ROOM_KEPT = 65536, READ_AT_ONCE = 65536, SHOWN_SIZE = 256 };

static const char *const FIELD_NAMES[ITEM_FIELDS] = {
    "fld_time", "fld_sender", "fld_address", "fld_topic", "fld_content"};

struct item {
    size_t first;
    size_t count;
};

struct field_place {
    enum item_field field;
    size_t start;
    size_t length;
};

struct document {
    struct output file;
    struct output converted;
    struct output texts;
    struct item *items;
    size_t item_count;
    size_t item_room;
    struct field_place *fields;
    size_t field_count;
    size_t field_room;

    /* while parsing */
    xmlParserCtxtPtr parser;
    struct error *error;
    int depth;
    bool in_item;
    bool in_field;
    bool refused;
    bool broken;
};

struct document *
document_new(void)
{
    return memory_new(1, sizeof(struct document));
}

void
document_free(struct document *document)
{
    if (document == NULL)
        return;
    output_release(&document->file);
    output_release(&document->converted);
    output_release(&document->texts);
    free(document->items);
    free(document->fields);
    free(document);
}

static void *
make_room(void *array, size_t used, size_t *room, size_t size)
{
    if (used < *room)
        return array;
    *room = *room > 0 ? 2 * *room : FIRST_COUNT;
    return memory_resize(array, *room, size);
}

/* The first refusal counts; the rest of the document is not looked at. */
static void
refuse(struct document *document, const char *reason)
{
    if (document->refused || document->broken)
        return;
    document->refused = true;
    error_set(document->error, "line %d: %s", xmlSAX2GetLineNumber(document->parser), reason);
    xmlStopParser(document->parser);
}

static void
begin_item(struct document *document)
{
    if (document->item_count == DOCUMENT_ITEMS_MAX) {
        refuse(document, "too many items");
        return;
    }
    document->items =
        make_room(document->items, document->item_count, &document->item_room, sizeof(struct item));
    document->items[document->item_count++] = (struct item){.first = document->field_count};
    document->in_item = true;
}

static void
begin_field(struct document *document, const char *name)
{
    size_t field = 0;

    while (field < ITEM_FIELDS && strcmp(name, FIELD_NAMES[field]) != 0)
        field++;
    if (field == ITEM_FIELDS)
        return;
    document->fields = make_room(
        document->fields, document->field_count, &document->field_room, sizeof(struct field_place));
    document->fields[document->field_count] =
        (struct field_place){.field = (enum item_field)field, .start = document->texts.used};
    document->in_field = true;
}

static void
end_field(struct document *document)
{
    struct field_place *place = &document->fields[document->field_count++];

    place->length = document->texts.used - place->start;
    output_bytes(&document->texts, "", 1);
    document->items[document->item_count - 1].count++;
    document->in_field = false;
}

static void
handle_start(void *context, const xmlChar *local_name, const xmlChar *prefix, const xmlChar *uri,
    int namespace_count, const xmlChar **namespaces, int attribute_count, int default_count,
    const xmlChar **attributes)
{
    struct document *document = context;
    const char *name = prefix == NULL && uri == NULL ? (const char *)local_name : "";

    (void)namespace_count;
    (void)namespaces;
    (void)attribute_count;
    (void)default_count;
    (void)attributes;
    document->depth++;
    if (document->depth > DOCUMENT_DEPTH_MAX)
        refuse(document, "elements are nested too deep");
    else if (document->depth == ROOT_DEPTH && strcmp(name, "list") != 0)
        refuse(document, "the root element is not <list>");
    else if (document->depth == ITEM_DEPTH && strcmp(name, "item") == 0)
        begin_item(document);
    else if (document->depth == FIELD_DEPTH && document->in_item)
        begin_field(document, name);
}

static void
handle_end(void *context, const xmlChar *local_name, const xmlChar *prefix, const xmlChar *uri)
{
    struct document *document = context;

    (void)local_name;
    (void)prefix;
    (void)uri;
    if (document->depth == FIELD_DEPTH && document->in_field)
        end_field(document);
    if (document->depth == ITEM_DEPTH)
        document->in_item = false;
    document->depth--;
}

static void
handle_text(void *context, const xmlChar *text, int length)
{
    struct document *document = context;

    if (document->in_field && length > 0)
        output_bytes(&document->texts, text, (size_t)length);
}

/* markup.c stops a document type first; this is what holds should it ever be fooled. */
static void
handle_document_type(
    void *context, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id)
{
    (void)name;
    (void)external_id;
    (void)system_id;
    refuse(context, "a document type (DTD) is not allowed");
}

static void
handle_error(void *context, xmlErrorPtr problem)
{
    struct document *document = context;
    bool ended = problem->code == XML_ERR_DOCUMENT_END && document->depth > 0;
    const char *words = problem->message != NULL ? problem->message : "unknown error";
    char shown[SHOWN_SIZE];

    if (problem->level != XML_ERR_FATAL || document->refused || document->broken)
        return;
    document->broken = true;
    /* libxml2 speaks of extra content there. */
    if (ended)
        words = "the end of the document is missing";
    text_escape_bytes(shown, sizeof(shown), words, strcspn(words, "\n"));
    error_set(document->error, "line %d: not well-formed: %s", problem->line, shown);
}

static xmlParserCtxtPtr
new_parser(struct document *document)
{
    xmlSAXHandler handlers = {
        .initialized = XML_SAX2_MAGIC,
        .startElementNs = handle_start,
        .endElementNs = handle_end,
        .characters = handle_text,
        .ignorableWhitespace = handle_text,
        .cdataBlock = handle_text,
        .internalSubset = handle_document_type,
        .serror = handle_error,
    };
    xmlParserCtxtPtr parser = xmlCreatePushParserCtxt(&handlers, document, NULL, 0, NULL);

    if (parser == NULL)
        fatal(EX_OSERR, "out of memory for the XML parser");
    xmlCtxtUseOptions(parser, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    return parser;
}

static void
feed(struct document *document, const char *utf8, size_t length)
{
    struct markup markup;
    const char *piece;
    size_t count = 1;

    markup_start(&markup, utf8, length);
    while (count > 0 && !document->refused && !document->broken) {
        if (!markup_next(&markup, &piece, &count, document->error)) {
            document->refused = true;
            return;
        }
        xmlParseChunk(document->parser, piece, (int)count, count == 0);
    }
    if (!document->refused && !document->broken &&
        (markup.unfinished || !document->parser->wellFormed)) {
        document->broken = true;
        error_set(document->error, "not well-formed: the file ends within a tag");
    }
}

static void
forget(struct document *document)
{
    if (document->field_room > ROOM_KEPT) {
        free(document->items);
        free(document->fields);
        document->items = NULL;
        document->fields = NULL;
        document->item_room = 0;
        document->field_room = 0;
    }
    output_clear(&document->converted);
    output_clear(&document->texts);
    document->item_count = 0;
    document->field_count = 0;
    document->depth = 0;
    document->in_item = false;
    document->in_field = false;
    document->refused = false;
    document->broken = false;
}

/* What libxml2 has no plain words for, or need not see at all. */
static bool
check_beginning(const char *utf8, size_t length, struct error *error)
{
    const char *zero = memchr(utf8, '\0', length);
    size_t blanks = 0;

    while (blanks < length && memchr(" \t\r\n", utf8[blanks], 4) != NULL)
        blanks++;
    if (blanks == length)
        return error_set(error, "the file is empty");
    if (zero != NULL)
        return error_set(error, "character %zu is NUL", (size_t)(zero - utf8) + 1);
    return utf8[blanks] == '<' || error_set(error, "not XML: it does not begin with '<'");
}

static enum document_result
parse_utf8(struct document *document, const char *utf8, size_t length, struct error *error)
{
    document->error = error;
    document->parser = new_parser(document);
    feed(document, utf8, length);
    xmlFreeParserCtxt(document->parser);
    document->parser = NULL;
    if (document->refused)
        return DOCUMENT_INVALID;
    if (document->broken)
        return DOCUMENT_UNPARSABLE;
    if (document->item_count > 0)
        return DOCUMENT_PARSED;
    error_set(error, "the file holds no mail");
    return DOCUMENT_INVALID;
}

enum document_result
document_parse(struct document *document, const char *bytes, size_t length, struct error *error)
{
    const char *utf8;
    size_t utf8_length;

    forget(document);
    switch (encoding_decode(bytes, length, &document->converted, &utf8, &utf8_length, error)) {
    case ENCODING_BROKEN:
        return DOCUMENT_UNPARSABLE;
    case ENCODING_UNSUPPORTED:
        return DOCUMENT_INVALID;
    case ENCODING_DECODED:
        break;
    }
    if (!check_beginning(utf8, utf8_length, error))
        return DOCUMENT_UNPARSABLE;
    return parse_utf8(document, utf8, utf8_length, error);
}

enum document_result
document_read(struct document *document, int descriptor, size_t largest, struct error *error)
{
    struct output *file = &document->file;
    ssize_t count;

    output_clear(file);
    do {
        char *target = output_reserve(file, READ_AT_ONCE);

        count = pread(descriptor, target, READ_AT_ONCE, (off_t)file->used);
        if (count < 0 && errno != EINTR) {
            error_errno(error, "read the file");
            return DOCUMENT_UNREADABLE;
        }
        if (count > 0)
            file->used += (size_t)count;
        if (file->used > largest) {
            error_set(error, "the file has more than %zu octets (max_message_size)", largest);
            return DOCUMENT_INVALID;
        }
    } while (count != 0);
    return document_parse(document, file->data, file->used, error);
}

size_t
document_items(const struct document *document)
{
    return document->item_count;
}

size_t
document_fields(const struct document *document, size_t item)
{
    return document->items[item].count;
}

struct item_text
document_field(const struct document *document, size_t item, size_t index)
{
    const struct field_place *place = &document->fields[document->items[item].first + index];

    return (struct item_text){
        .field = place->field,
        .text = document->texts.data + place->start,
        .length = place->length,
    };
}

const char *
item_field_name(enum item_field field)
{
    return FIELD_NAMES[field];
}
