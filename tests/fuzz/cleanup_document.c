/*
 * Any octets as a queue file: what is parsed must come back from a split, and what is composed must
 * be a message of known lines and no header of a stranger's, that says what the file says.
 */
#include "cleanup/compose.h"
#include "cleanup/document.h"
#include "cleanup/encoding.h"
#include "cleanup/header.h"
#include "cleanup/mail.h"
#include "cleanup/split.h"
#include "tests/fuzz/mime.h"

#define ENCODING "Content-Transfer-Encoding: "

static const char *const HEADERS[] = {"From: ", "To: ", "Subject:", "Date: ", "Message-ID: ",
    "Auto-Submitted: ", "MIME-Version: ", "Content-Type: ", ENCODING};
enum { HEADER_COUNT = sizeof(HEADERS) / sizeof(HEADERS[0]), SUBJECT = 2 };

/* The header's fields are those above, in that order, and no other; AT is where each begins. */
static void
find_fields(const char *message, size_t body, size_t at[HEADER_COUNT])
{
    size_t header = 0;

    for (size_t line = 0; line < body - 2;) {
        if (message[line] != ' ') {
            require(header < HEADER_COUNT);
            require(strncmp(message + line, HEADERS[header], strlen(HEADERS[header])) == 0);
            at[header++] = line;
        }
        line = (size_t)((char *)memchr(message + line, '\n', body - line) - message) + 1;
    }
    require(header == HEADER_COUNT);
}

static void
check_subject(const char *field, size_t length, const struct item_text *subject)
{
    static struct output wanted;
    static struct output found;
    size_t name = strlen(HEADERS[SUBJECT]) + (field[strlen(HEADERS[SUBJECT])] == ' ');

    output_clear(&wanted);
    output_clear(&found);
    header_line(&wanted, subject->text, subject->length);
    mime_field(&found, field + name, length - name - 2);
    require(found.used == wanted.used);
    require(wanted.used == 0 || memcmp(found.data, wanted.data, wanted.used) == 0);
}

/* CRLF for each CRLF, CR or LF, and at the end. */
static void
canonicalize(struct output *target, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++) {
        bool ends = text[at] == '\r' || text[at] == '\n';

        output_bytes(target, ends ? "\r\n" : text + at, ends ? 2 : 1);
        at += text[at] == '\r' && at + 1 < length && text[at + 1] == '\n';
    }
    if (length > 0 && text[length - 1] != '\r' && text[length - 1] != '\n')
        output_bytes(target, "\r\n", 2);
}

static void
check_body(const char *encoding, const char *body, size_t length, const struct item_text *content)
{
    static struct output wanted;
    static struct output found;

    output_clear(&wanted);
    output_clear(&found);
    canonicalize(&wanted, content->text, content->length);
    if (strncmp(encoding, "7bit\r\n", 6) == 0)
        output_bytes(&found, body, length);
    else if (strncmp(encoding, "base64\r\n", 8) == 0)
        mime_base64(&found, body, length);
    else
        mime_quoted_printable(&found, body, length);
    require(found.used == wanted.used);
    require(found.used == 0 || memcmp(found.data, wanted.data, found.used) == 0);
}

static void
check_message(const struct output *message, const struct mail *mail)
{
    size_t fields[HEADER_COUNT];
    size_t body = check_lines(message->data, message->used);

    require(memchr(message->data, '\0', message->used) == NULL);
    find_fields(message->data, body, fields);
    check_subject(
        message->data + fields[SUBJECT], fields[SUBJECT + 1] - fields[SUBJECT], &mail->subject);
    check_body(message->data + fields[HEADER_COUNT - 1] + strlen(ENCODING), message->data + body,
        message->used - body, &mail->content);
}

static void
check_items(const struct document *document, struct output *output)
{
    struct compose_settings settings = {.sender_name = "Biblioteka", .hash = 1};

    for (size_t item = 0; item < document_items(document); item++) {
        struct mail mail;
        struct error error;

        if (!mail_read(&mail, document, item, 0, &error)) {
            require(error.text[0] != '\0');
            continue;
        }
        compose_message(output, &mail, &settings);
        check_message(output, &mail);
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
    struct error error = {0};

    if (document == NULL) {
        document = document_new();
        single = document_new();
        require(encoding_open_all(&error));
    }
    if (document_parse(document, (const char *)data, size, &error) != DOCUMENT_PARSED) {
        require(error.text[0] != '\0');
        return 0;
    }
    check_items(document, &output);
    check_split(document, single, &output);
    return 0;
}
