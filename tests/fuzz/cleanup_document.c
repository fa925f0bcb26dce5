/*
 * Any octets as a queue file: what is parsed must come back from a split, and what is composed must
 * be a message of known lines and no header of a stranger's.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup/compose.h"
#include "cleanup/document.h"
#include "cleanup/encoding.h"
#include "cleanup/mail.h"
#include "cleanup/split.h"

enum { LINE_MAX_OCTETS = 998 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const HEADERS[] = {"From: ", "To: ", "Subject:", "Date: ", "Message-ID: ",
    "Auto-Submitted: ", "MIME-Version: ", "Content-Type: ", "Content-Transfer-Encoding: "};

static void
require(bool holds)
{
    if (!holds)
        abort();
}

/* Each line ends in CRLF; the header's fields are those above, in that order, and no other. */
static void
check_message(const struct output *message)
{
    size_t header = 0;
    bool in_header = true;

    for (size_t at = 0; at < message->used;) {
        const char *line = message->data + at;
        const char *feed = memchr(line, '\n', message->used - at);
        size_t length;

        require(feed != NULL && feed > line && feed[-1] == '\r');
        length = (size_t)(feed - line) - 1;
        require(length <= LINE_MAX_OCTETS && memchr(line, '\r', length) == NULL);
        in_header = in_header && length > 0;
        if (in_header && line[0] != ' ') {
            require(header < sizeof(HEADERS) / sizeof(HEADERS[0]));
            require(strncmp(line, HEADERS[header], strlen(HEADERS[header])) == 0);
            header++;
        }
        at += length + 2;
    }
    require(!in_header && header == sizeof(HEADERS) / sizeof(HEADERS[0]));
}

static void
check_items(const struct document *document, struct output *output)
{
    struct compose_settings settings = {.sender_name = "Biblioteka", .hash = 1};

    for (size_t item = 0; item < document_items(document); item++) {
        struct mail mail;
        struct error error;

        if (!mail_read(&mail, document, item, 0, &error))
            continue;
        compose_message(output, &mail, &settings);
        check_message(output);
    }
}

static void
check_split(const struct document *document, struct document *single, struct output *output)
{
    size_t at = 0;

    split_write(output, document);
    output_bytes(output, "", 1);
    for (size_t item = 0; item < document_items(document); item++) {
        char *start;
        size_t length = strtoul(output->data + at, &start, 10);
        struct error error;

        require(document_parse(single, start + 1, length, &error) == DOCUMENT_PARSED);
        require(document_items(single) == 1);
        require(document_fields(single, 0) == document_fields(document, item));
        for (size_t i = 0; i < document_fields(document, item); i++)
            require(strcmp(document_field(single, 0, i).text,
                        document_field(document, item, i).text) == 0);
        at = (size_t)(start + 1 - output->data) + length;
    }
    require(at + 1 == output->used);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct document *document;
    static struct document *single;
    static struct output output;
    struct error error;

    if (document == NULL) {
        document = document_new();
        single = document_new();
        require(encoding_open_all(&error));
    }
    if (document_parse(document, (const char *)data, size, &error) != DOCUMENT_PARSED)
        return 0;
    check_items(document, &output);
    check_split(document, single, &output);
    return 0;
}
