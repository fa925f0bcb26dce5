#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "queue/control_file.h"

/* A file while it is read: FILE, and what stands before the recipient that it belongs to. */
struct reader {
    struct control_file *file;
    struct control_recipient next;
    const char *controller; /* of this and the recipients after it */
    size_t recipient_room;
    size_t header_room;
    size_t kept_room;
    enum control_state state; /* the worst so far */
    struct error *error;
};

typedef void (*line_read)(struct reader *reader, char *text);

bool
control_flag(const char *flags, char letter)
{
    return strchr(flags, letter) != NULL;
}

/* The first thing that is wrong is what is told, unless a worse one comes. */
static void
note(struct reader *reader, enum control_state state, const char *words, const char *text)
{
    if (state <= reader->state)
        return;
    reader->state = state;
    error_set(reader->error, "%s%s%.100s", words, text[0] != '\0' ? ": " : "", text);
}

static void *
grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room == 0 ? 16 : *room * 2;
    return memory_resize(array, *room, size);
}

/* Blanks before a number are skipped; what is no number is 0, what is too large the largest. */
static int64_t
read_number(const char *text)
{
    char *end;
    intmax_t number;

    errno = 0;
    number = strtoimax(text, &end, 10);
    return end == text ? 0 : number;
}

/* Also of lines with nothing on them that continue it. */
static void
trim_end(char *text)
{
    size_t length = strlen(text);

    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        text[--length] = '\0';
}

static void
copy_flags(char flags[CONTROL_FILE_FLAGS_SIZE], const char *text, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length && count + 1 < CONTROL_FILE_FLAGS_SIZE; i++)
        if (isalnum((unsigned char)text[i]) && memchr(flags, text[i], count) == NULL)
            flags[count++] = text[i];
    flags[count] = '\0';
}

static void
read_version(struct reader *reader, char *text)
{
    char *end;
    uintmax_t version = strtoumax(text, &end, 10);

    if (end == text || text[0] == '-')
        note(reader, CONTROL_UNUSABLE, "the version is not a number", text);
    else if (version > CONTROL_FILE_VERSION)
        note(reader, CONTROL_LOST, "unsupported qf file version", text);
    reader->file->version = (uint32_t)(version > UINT32_MAX ? UINT32_MAX : version);
}

static void
read_created(struct reader *reader, char *text)
{
    reader->file->created = read_number(text);
}

static void
read_last_attempt(struct reader *reader, char *text)
{
    reader->file->last_attempt = read_number(text);
}

static void
read_attempts(struct reader *reader, char *text)
{
    reader->file->attempts = read_number(text);
}

static void
read_priority(struct reader *reader, char *text)
{
    reader->file->priority = read_number(text);
}

static void
read_body_type(struct reader *reader, char *text)
{
    trim_end(text);
    if (strcasecmp(text, "7BIT") == 0 || strcasecmp(text, "8BITMIME") == 0)
        reader->file->body_type = text;
    else
        note(reader, CONTROL_LOST, "a body type that does not exist", text);
}

static void
read_flags(struct reader *reader, char *text)
{
    if (strncmp(text, "rom ", 4) == 0)
        note(reader, CONTROL_LOST, "a From line, which is an attack", "");
    copy_flags(reader->file->flags, text, strlen(text));
}

static void
read_status(struct reader *reader, char *text)
{
    if (reader->file->sender == NULL)
        reader->file->status = text;
    else
        reader->next.status = text;
}

static void
read_sender(struct reader *reader, char *text)
{
    trim_end(text);
    if (strlen(text) > CONTROL_FILE_ADDRESS_MAX)
        note(reader, CONTROL_UNUSABLE, "the sender is too long", text);
    reader->file->sender = text;
}

/* The address of an R line: behind the first colon, from version 1 on. */
static const char *
read_recipient_flags(struct reader *reader, char *text)
{
    char *colon = strchr(text, ':');

    if (reader->file->version == 0) {
        copy_flags(reader->next.flags, "PFD", 3);
        return text;
    }
    if (colon == NULL) {
        note(reader, CONTROL_UNUSABLE, "a recipient without a colon", text);
        return text;
    }
    copy_flags(reader->next.flags, text, (size_t)(colon - text));
    return colon + 1;
}

static void
read_recipient(struct reader *reader, char *text)
{
    struct control_file *file = reader->file;
    const char *address;

    trim_end(text);
    address = read_recipient_flags(reader, text);
    if (strlen(address) > CONTROL_FILE_ADDRESS_MAX)
        note(reader, CONTROL_UNUSABLE, "a recipient is too long", address);
    if (file->recipient_count == CONTROL_FILE_RECIPIENTS_MAX) {
        note(reader, CONTROL_UNUSABLE, "there are too many recipients", "");
        return;
    }
    reader->next.address = address;
    reader->next.controller = reader->controller;
    file->recipients = grow(file->recipients, file->recipient_count, &reader->recipient_room,
        sizeof(file->recipients[0]));
    file->recipients[file->recipient_count++] = reader->next;
    memset(&reader->next, 0, sizeof(reader->next));
}

static void
read_original(struct reader *reader, char *text)
{
    trim_end(text);
    reader->next.original = text;
}

static void
read_final(struct reader *reader, char *text)
{
    trim_end(text);
    reader->next.final = text;
}

/* Before format 5 it was user:alias, later user:uid:gid:alias. The user of an old one is nobody
 * whom this host need know. */
static void
read_controller(struct reader *reader, char *text)
{
    char *colon = strchr(text, ':');

    trim_end(text);
    reader->controller = text[0] != '\0' ? text : NULL;
    if (reader->file->version < 5)
        reader->controller = colon != NULL && colon[1] != '\0' ? colon : NULL;
}

/* Octets of the name that TEXT begins with (RFC 5322, section 2.2); 0: it is no header. */
static size_t
measure_name(const char *text)
{
    size_t length = 0;
    size_t colon;

    while (text[length] > ' ' && text[length] < 0x7F && text[length] != ':')
        length++;
    colon = length + strspn(text + length, " \t");
    return text[colon] == ':' && length <= CONTROL_FILE_NAME_MAX ? length : 0;
}

/* Only a question mark directly behind the H begins a condition. */
static void
read_header(struct reader *reader, char *text)
{
    struct control_file *file = reader->file;
    struct control_header header = {.condition = "", .text = text};
    char *end = text[0] == '?' ? strchr(text + 1, '?') : NULL;

    if (end != NULL) {
        *end = '\0';
        header.condition = text + 1;
        header.text = end + 1;
    }
    header.name_length = text[0] == '?' && end == NULL ? 0 : measure_name(header.text);
    file->headers =
        grow(file->headers, file->header_count, &reader->header_room, sizeof(file->headers[0]));
    file->headers[file->header_count++] = header;
}

static void
read_envelope_id(struct reader *reader, char *text)
{
    trim_end(text);
    reader->file->envelope_id = text;
}

static void
read_quarantine(struct reader *reader, char *text)
{
    reader->file->quarantine = text;
}

static void
read_data_directory(struct reader *reader, char *text)
{
    reader->file->data_directory = text;
}

static void
keep(struct reader *reader, char letter, const char *text)
{
    struct control_file *file = reader->file;

    file->kept = grow(file->kept, file->kept_count, &reader->kept_room, sizeof(file->kept[0]));
    file->kept[file->kept_count++] = (struct control_kept){letter, text};
}

static void
read_macro(struct reader *reader, char *text)
{
    keep(reader, '$', text);
}

static void
read_mts(struct reader *reader, char *text)
{
    keep(reader, 'O', text);
}

static void
read_deliver_by(struct reader *reader, char *text)
{
    keep(reader, '!', text);
    if (text[0] == '\0' || text[1] == '\0')
        return;
    reader->file->deliver_by_mode =
        text[0] & (CONTROL_BY_NOTIFY | CONTROL_BY_RETURN | CONTROL_BY_TRACE);
    reader->file->deliver_by = read_number(text + 2);
}

/* xtext (RFC 3461, section 4). */
static bool
is_xtext(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~' || *text == '=')
            return false;
        if (*text == '+' &&
            (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2])))
            return false;
    }
    return true;
}

static void
read_auth(struct reader *reader, char *text)
{
    trim_end(text);
    if (!is_xtext(text))
        note(reader, CONTROL_LOST, "a value of AUTH= that cannot be", text);
    keep(reader, 'A', text);
    reader->file->auth = text;
}

static void
read_nothing(struct reader *reader, char *text)
{
    (void)reader;
    (void)text;
}

static const line_read READ[UINT8_MAX + 1] = {
    ['V'] = read_version,
    ['T'] = read_created,
    ['K'] = read_last_attempt,
    ['N'] = read_attempts,
    ['P'] = read_priority,
    ['I'] = read_nothing,
    ['B'] = read_body_type,
    ['M'] = read_status,
    ['F'] = read_flags,
    ['S'] = read_sender,
    ['R'] = read_recipient,
    ['Q'] = read_original,
    ['r'] = read_final,
    ['C'] = read_controller,
    ['H'] = read_header,
    ['Z'] = read_envelope_id,
    ['A'] = read_auth,
    ['O'] = read_mts,
    ['$'] = read_macro,
    ['!'] = read_deliver_by,
    ['q'] = read_quarantine,
    ['d'] = read_data_directory,
    ['D'] = read_nothing,
    ['E'] = read_nothing,
    ['L'] = read_nothing,
};

/* Only the first letter of the last line counts. */
static void
read_line(struct reader *reader, char *line)
{
    if (reader->file->terminated)
        note(reader, CONTROL_LOST, "there is something behind its end, which is an attack", line);
    else if (line[0] == '.')
        reader->file->terminated = true;
    else if (READ[(unsigned char)line[0]] == NULL)
        note(reader, CONTROL_LOST, "unrecognized line", line);
    else
        READ[(unsigned char)line[0]](reader, line + 1);
}

/* Takes the CRs at *AT: they are of the line where it goes on behind them. */
static char *
take_returns(char **at, const char *end, char *target)
{
    char *next = *at;
    size_t count;

    while (next < end && *next == '\r')
        next++;
    count = next < end && *next != '\n' ? (size_t)(next - *at) : 0;
    memmove(target, *at, count);
    *at = next;
    return target + count;
}

/* Ends the line at LINE, with those that continue it, and returns the next one; CR LF becomes LF.
 */
static char *
take_line(char *line, char *end)
{
    char *target = line;
    char *at = line;

    while (at < end) {
        target = take_returns(&at, end, target);
        if (at == end)
            break;
        if (*at == '\n' && (at + 1 == end || (at[1] != ' ' && at[1] != '\t'))) {
            at++;
            break;
        }
        *target++ = *at++;
    }
    /* A line of no octets at the very end has its NUL behind END. */
    *target = '\0';
    return at;
}

static void
read_lines(struct reader *reader, size_t length)
{
    char *line = reader->file->text;
    char *end = line + length;
    char *next;

    for (; line < end; line = next) {
        next = take_line(line, end);
        read_line(reader, line);
    }
}

/* What is wrong with the file as a whole. */
static void
check(struct reader *reader)
{
    const struct control_file *file = reader->file;

    if (!file->terminated && file->version > 0)
        note(reader, CONTROL_INCOMPLETE, "incomplete queue file", "");
    else if (file->sender == NULL)
        note(reader, CONTROL_UNUSABLE, "there is no sender (S)", "");
    if (file->data_directory != NULL && strcmp(file->data_directory, ".") != 0)
        note(reader, CONTROL_UNUSABLE, "its df is in another directory", file->data_directory);
}

enum control_state
control_file_parse(struct control_file *file, const char *text, size_t length, struct error *error)
{
    struct reader reader = {.file = file, .state = CONTROL_GOOD, .error = error};

    memset(file, 0, sizeof(*file));
    if (length == 0) {
        note(&reader, CONTROL_EMPTY, "the file is empty", "");
        return reader.state;
    }
    if (length > CONTROL_FILE_SIZE_MAX) {
        note(&reader, CONTROL_UNUSABLE, "the file is too large", "");
        return reader.state;
    }
    file->text = memory_new(length + 1, 1);
    memcpy(file->text, text, length);
    read_lines(&reader, length);
    check(&reader);
    return reader.state;
}

void
control_file_free(struct control_file *file)
{
    free(file->kept);
    free(file->recipients);
    free(file->headers);
    free(file->text);
    memset(file, 0, sizeof(*file));
}
