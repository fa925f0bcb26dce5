#include "cli/input_message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/control_file.h"

/* The input while it is read. */
struct input {
    struct input_message *message;
    FILE *body;
    char *line;
    size_t room;
    size_t length; /* of the line, without what ended it */
    bool ended; /* it had a line end */
    size_t header_octets;
};

/* Reads the next line. False at the end of INPUT. */
static bool
read_line(struct input *input, FILE *file)
{
    ssize_t length = getline(&input->line, &input->room, file);

    if (length < 0)
        return false;
    input->length = (size_t)length;
    input->ended = input->line[input->length - 1] == '\n';
    if (input->ended)
        input->length--;
    if (input->ended && input->length > 0 && input->line[input->length - 1] == '\r')
        input->length--;
    return true;
}

static void
note_octets(struct input *input)
{
    for (size_t i = 0; i < input->length && !input->message->has_8bit; i++)
        input->message->has_8bit = (unsigned char)input->line[i] > 0x7F;
}

/* The length of the name that LINE begins with as a header does (RFC 5322, section 2.2; blanks
 * before the colon are obsolete); 0 where it is none. */
static size_t
measure_name(const char *line, size_t length)
{
    size_t name = 0;
    size_t colon;

    while (name < length && line[name] > ' ' && line[name] < 0x7F && line[name] != ':')
        name++;
    colon = name;
    while (colon < length && (line[colon] == ' ' || line[colon] == '\t'))
        colon++;
    return name <= CONTROL_FILE_NAME_MAX && colon < length && line[colon] == ':' ? name : 0;
}

/* NUL octets would end the header for everybody else. */
static void
append_text(char **target, const char *line, size_t length)
{
    size_t used = *target != NULL ? strlen(*target) : 0;

    *target = memory_resize(*target, used + length + 2, 1);
    if (used > 0)
        (*target)[used++] = '\n';
    for (size_t i = 0; i < length; i++)
        if (line[i] != '\0')
            (*target)[used++] = line[i];
    (*target)[used] = '\0';
}

static void
add_header(struct input *input, size_t name_length)
{
    struct input_message *message = input->message;
    struct input_header header = {.name_length = name_length};

    append_text(&header.text, input->line, input->length);
    message->headers =
        memory_resize(message->headers, message->header_count + 1, sizeof(*message->headers));
    message->headers[message->header_count++] = header;
}

/* Takes the line where it is of the header. False: the body begins, with this line unless it is
 * empty. */
static bool
take_header(struct input *input, bool is_first)
{
    struct input_message *message = input->message;
    size_t name = measure_name(input->line, input->length);

    if (is_first && strncmp(input->line, "From ", 5) == 0)
        return true; /* a mailbox's own line */
    if (input->length == 0)
        return false;
    if (input->line[0] == ' ' || input->line[0] == '\t') {
        if (message->header_count == 0)
            return false;
        append_text(&message->headers[message->header_count - 1].text, input->line, input->length);
        return true;
    }
    if (name == 0)
        return false;
    add_header(input, name);
    return true;
}

/* Whoever may end the message with a dot writes two where a line begins with one. */
static void
take_dot_off(struct input *input)
{
    if (input->length < 2 || strncmp(input->line, "..", 2) != 0)
        return;
    input->length--;
    memmove(input->line, input->line + 1, input->length);
}

static void
put_body(struct input *input)
{
    input->message->body_size += input->length + (input->ended ? 1 : 0);
    if (input->message->body_size > INPUT_BODY_MAX)
        return;
    fwrite(input->line, 1, input->length, input->body);
    if (input->ended)
        fputc('\n', input->body);
}

static int
read_lines(struct input *input, FILE *file, bool ignore_dots, struct error *error)
{
    bool in_header = true;
    bool is_first = true;

    while (read_line(input, file)) {
        input->message->dotted = !ignore_dots && input->length == 1 && input->line[0] == '.';
        if (input->message->dotted)
            break;
        if (!ignore_dots)
            take_dot_off(input);
        note_octets(input);
        input->header_octets += in_header ? input->length + 1 : 0;
        if (input->header_octets > INPUT_HEADERS_MAX) {
            error_set(error, "552 5.6.0 Headers too large (%u max)", INPUT_HEADERS_MAX);
            return EX_UNAVAILABLE;
        }
        if (in_header && !take_header(input, is_first)) {
            in_header = false;
            if (input->length > 0)
                put_body(input);
        } else if (!in_header) {
            put_body(input);
        }
        is_first = false;
    }
    if (input->message->body_size > INPUT_BODY_MAX) {
        error_set(error, "552 5.2.3 Message is too large; %llu bytes max",
            (unsigned long long)INPUT_BODY_MAX);
        return EX_UNAVAILABLE;
    }
    if (ferror(file)) {
        error_errno(error, "451 4.3.0 read the message");
        return EX_IOERR;
    }
    return EX_OK;
}

/* The body is written through a stream of its own; the descriptor outlives it. */
static bool
open_body(struct input *input, struct error *error)
{
    int copy;

    input->message->body = memfd_create("body", MFD_CLOEXEC);
    copy = input->message->body < 0 ? -1 : dup(input->message->body);
    input->body = copy < 0 ? NULL : fdopen(copy, "w");
    if (input->body != NULL)
        return true;
    error_errno(error, "451 4.3.0 make room for the message");
    if (copy >= 0)
        close(copy);
    return false;
}

int
input_message_read(struct input_message *message, FILE *file, bool ignore_dots, struct error *error)
{
    struct input input = {.message = message};
    int status;

    *message = (struct input_message){.body = -1};
    if (!open_body(&input, error))
        return EX_OSERR;
    status = read_lines(&input, file, ignore_dots, error);
    free(input.line);
    if (fclose(input.body) != 0 && status == EX_OK) {
        error_errno(error, "451 4.3.0 keep the message");
        status = EX_TEMPFAIL;
    }
    return status;
}

void
input_message_free(struct input_message *message)
{
    for (size_t i = 0; i < message->header_count; i++)
        free(message->headers[i].text);
    free(message->headers);
    if (message->body >= 0)
        close(message->body);
    *message = (struct input_message){.body = -1};
}

const char *
input_message_header(const struct input_message *message, const char *name, size_t *at)
{
    for (; *at < message->header_count; (*at)++) {
        const struct input_header *header = &message->headers[*at];

        if (strlen(name) != header->name_length ||
            strncasecmp(name, header->text, header->name_length) != 0)
            continue;
        (*at)++;
        return strchr(header->text + header->name_length, ':') + 1;
    }
    return NULL;
}

bool
input_message_has(const struct input_message *message, const char *name)
{
    size_t at = 0;

    return input_message_header(message, name, &at) != NULL;
}

bool
input_message_is_resent(const struct input_message *message)
{
    for (size_t i = 0; i < message->header_count; i++)
        if (strncasecmp(message->headers[i].text, "Resent-", 7) == 0)
            return true;
    return false;
}
