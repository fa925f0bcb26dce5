#include "cleanup/job_header.h"

#include <string.h>
#include <strings.h>

/* What sendmail quotes an octet between 0200 and 0237 with; without it, such a one is a macro's. */
#define QUOTE '\377'
#define MACRO '\201'

/* The flags of sendmail's mailer for SMTP. */
static const char MAILER_FLAGS[] = "mDFMuX";

/* Only for local delivery, unless a condition says more. */
static const char *const LOCAL_NAMES[] = {"Return-Path", "Full-Name", "Content-Length"};

static bool
is_called(const struct control_header *header, const char *name)
{
    return header->name_length == strlen(name) &&
           strncasecmp(header->text, name, header->name_length) == 0;
}

static const char *
value_of(const struct control_header *header)
{
    return strchr(header->text + header->name_length, ':') + 1;
}

const char *
job_header_value(const struct control_file *control, const char *name)
{
    for (size_t i = 0; i < control->header_count; i++)
        if (control->headers[i].name_length > 0 && is_called(&control->headers[i], name)) {
            const char *value = value_of(&control->headers[i]);

            return value + strspn(value, " \t\n");
        }
    return NULL;
}

/* "{name}" is set where a line ${name}value is there; a short name has no braces. */
static bool
macro_is_set(const struct control_file *control, const char *name, size_t length)
{
    bool is_short = length == 3 && name[0] == '{';

    for (size_t i = 0; i < control->kept_count; i++) {
        const char *text = control->kept[i].text;

        if (control->kept[i].letter == '$' &&
            (strncmp(text, name, length) == 0 || (is_short && text[0] == name[1])))
            return true;
    }
    return false;
}

static bool
condition_holds(const struct control_file *control, const char *condition)
{
    if (condition[0] == '\0')
        return true;
    if (condition[0] == '$')
        return macro_is_set(control, condition + 1, strlen(condition + 1));
    return strpbrk(condition, MAILER_FLAGS) != NULL;
}

static bool
is_resent(const struct control_header *header)
{
    static const char PREFIX[] = "Resent-";

    return header->name_length >= strlen(PREFIX) &&
           strncasecmp(header->text, PREFIX, strlen(PREFIX)) == 0;
}

/* True where whoever wrote the message says that it is sent on: a header with a condition is
 * sendmail's. */
static bool
is_sent_on(const struct control_file *control)
{
    for (size_t i = 0; i < control->header_count; i++)
        if (control->headers[i].condition[0] == '\0' && is_resent(&control->headers[i]))
            return true;
    return false;
}

static bool
is_bcc(const struct control_header *header)
{
    return is_called(header, "Bcc") || is_called(header, "Resent-Bcc");
}

/* True where HEADER goes to a relay: its condition holds, and its name is not for local delivery
 * only. */
static bool
header_goes(const struct control_file *control, const struct control_header *header)
{
    if (header->name_length == 0 || !condition_holds(control, header->condition))
        return false;
    if (is_bcc(header) && control_flag(control->flags, 'b'))
        return false;
    if (is_resent(header) && !is_sent_on(control))
        return false;
    for (size_t i = 0; header->condition[0] == '\0' && i < 3; i++)
        if (is_called(header, LOCAL_NAMES[i]))
            return false;
    return true;
}

void
job_line_write(struct output *output, const char *line, size_t length)
{
    size_t room = JOB_LINE_MAX;

    while (length > room) {
        output_bytes(output, line, room - 1);
        output_text(output, "!\r\n ");
        line += room - 1;
        length -= room - 1;
        room = JOB_LINE_MAX - 1;
    }
    output_bytes(output, line, length);
    output_bytes(output, "\r\n", 2);
}

/* Appends VALUE as it is meant: octets unquoted, SENDER in place of its macro (NULL: there are
 * none, and what looks like one is text). A CR alone would become a line end on its way. */
static void
unquote(struct output *output, const char *value, const char *sender)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (sender != NULL && *at == MACRO && at[1] == 'g') {
            output_text(output, sender);
            at++;
            continue;
        }
        at += *at == QUOTE && at[1] != '\0';
        output_bytes(output, *at == '\r' ? " " : at, 1);
    }
}

static void
write_lines(struct output *output, const struct output *text)
{
    const char *at = text->data;
    const char *end = text->data + text->used;

    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((next != NULL ? next : end) - at);

        job_line_write(output, at, length);
        at += length + 1;
    }
}

static void
write_header(struct output *output, const struct control_header *header, const char *sender)
{
    static struct output text;

    output_clear(&text);
    output_bytes(&text, header->text, header->name_length);
    output_text(&text, ":");
    /* Only headers with a condition are sendmail's own. */
    if (!is_bcc(header))
        unquote(&text, value_of(header), header->condition[0] != '\0' ? sender : NULL);
    write_lines(output, &text);
}

static bool
is_excepted(const struct control_header *header, const char *const *except)
{
    for (; *except != NULL; except++)
        if (is_called(header, *except))
            return true;
    return false;
}

void
job_headers_write(struct output *output, const struct control_file *control, const char *sender,
    const char *const *except)
{
    for (size_t i = 0; i < control->header_count; i++)
        if (header_goes(control, &control->headers[i]) &&
            !is_excepted(&control->headers[i], except))
            write_header(output, &control->headers[i], sender);
}
