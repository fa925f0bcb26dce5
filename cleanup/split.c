#include <stddef.h>
#include <string.h>

#include "cleanup/split.h"

static const char BEGIN[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<list>\n\t<item>\n";
static const char END[] = "\t</item>\n</list>\n";

/* A reader of XML makes a line feed of a bare CR, so that is escaped too. */
static const struct {
    char character;
    const char *escaped;
} ESCAPES[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\r', "&#13;"}};

static const char *
escape_of(char character)
{
    for (size_t i = 0; i < sizeof(ESCAPES) / sizeof(ESCAPES[0]); i++)
        if (ESCAPES[i].character == character)
            return ESCAPES[i].escaped;
    return "";
}

static void
write_escaped(struct output *output, const char *text, size_t length)
{
    size_t at = 0;

    for (;;) {
        size_t count = strcspn(text + at, "&<>\r");

        output_bytes(output, text + at, count);
        at += count;
        if (at >= length)
            return;
        output_text(output, escape_of(text[at]));
        at++;
    }
}

static void
write_field(struct output *output, const struct item_text *field)
{
    const char *name = item_field_name(field->field);

    output_text(output, "\t\t<");
    output_text(output, name);
    output_text(output, ">");
    write_escaped(output, field->text, field->length);
    output_text(output, "</");
    output_text(output, name);
    output_text(output, ">\n");
}

static void
write_document(struct output *output, const struct document *document, size_t item)
{
    size_t count = document_fields(document, item);

    output_clear(output);
    output_text(output, BEGIN);
    for (size_t i = 0; i < count; i++) {
        struct item_text field = document_field(document, item, i);

        write_field(output, &field);
    }
    output_text(output, END);
}

void
split_write(struct output *output, const struct document *document)
{
    struct output single = {0};
    size_t count = document_items(document);

    output_clear(output);
    for (size_t i = 0; i < count; i++) {
        write_document(&single, document, i);
        output_format(output, "%zu\n", single.used);
        output_bytes(output, single.data, single.used);
    }
    output_release(&single);
}
