#include "cli/submission.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/submission_recipients.h"
#include "lib/address_list.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "lib/version.h"
#include "queue/control_file.h"

#define HOPS_MAX 25

/* The sender of the moment, as control files write it. */
#define MOMENT_SENDER "\201g"

#define DATE_SIZE 64

/* What the headers are made of. */
struct making {
    const struct sendmail_options *options;
    const struct input_message *message;
    const struct submission_origin *origin;
    struct control_file control;
    char sender[ADDRESS_LIST_SIZE]; /* "<>" for none */
    char date[DATE_SIZE];
};

static int
find_sender(struct making *making, struct error *error)
{
    const char *text = making->options->sender;

    if (text == NULL)
        text = making->origin->user;
    memcpy(making->sender, "<>", sizeof("<>"));
    if (text[0] != '\0' && !address_list_next(&text, making->sender, error) &&
        error->text[0] != '\0')
        return EX_USAGE;
    making->control.sender = making->sender;
    return EX_OK;
}

/* TEXT is the control file's from now on. */
static void
add_header(struct control_file *control, const char *condition, char *text)
{
    control->headers =
        memory_resize(control->headers, control->header_count + 1, sizeof(*control->headers));
    control->headers[control->header_count++] = (struct control_header){
        .condition = condition, .text = text, .name_length = strcspn(text, ":")};
}

static const char *
full_name_of(const struct making *making)
{
    if (making->options->full_name != NULL)
        return making->options->full_name;
    return making->options->sender == NULL ? making->origin->full_name : "";
}

/* NAME as a phrase (RFC 5322, section 3.2.5): quoted where it is more than words. */
static char *
make_phrase(const char *name)
{
    char *phrase = memory_new(strlen(name) * 2 + 3, 1);
    bool quoted = strpbrk(name, "()<>[]:;@\\,.\"") != NULL;
    size_t used = 0;

    if (quoted)
        phrase[used++] = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\')
            phrase[used++] = '\\';
        phrase[used++] = (unsigned char)*name < ' ' ? ' ' : *name;
    }
    if (quoted)
        phrase[used] = '"';
    return phrase;
}

/* The sender as From shows it. */
static char *
make_from(const struct making *making, const char *name)
{
    bool is_null = strcmp(making->sender, "<>") == 0;
    const char *local = is_null ? "MAILER-DAEMON" : making->sender;
    bool is_bare = strchr(local, '@') == NULL;
    char *address =
        memory_format("%s%s%s", local, is_bare ? "@" : "", is_bare ? making->origin->host : "");
    const char *full_name = full_name_of(making);
    char *phrase = make_phrase(full_name);
    char *from = full_name[0] != '\0' ? memory_format("%s: %s <%s>", name, phrase, address)
                                      : memory_format("%s: %s", name, address);

    free(phrase);
    free(address);
    return from;
}

static char *
make_message_id(const struct making *making, const char *name)
{
    char when[32] = "";
    struct tm parts;

    if (gmtime_r(&making->origin->now, &parts) != NULL)
        strftime(when, sizeof(when), "%Y%m%d%H%M", &parts);
    return memory_format(
        "%s: <%s.%016" PRIx64 "@%s>", name, when, making->origin->token, making->origin->host);
}

static void
add_received(struct making *making)
{
    struct control_file *control = &making->control;
    bool is_single = control->recipient_count == 1;
    const char *recipient = is_single ? control->recipients[0].address : "";

    add_header(control, "",
        memory_format("Received: (from %s@localhost)\n\tby %s (smailer/" SMAILER_VERSION ")%s%s;"
                      "%s%s",
            making->origin->user, making->origin->host, is_single ? "\n\tfor " : "", recipient,
            is_single ? " " : "\n\t", making->date));
}

/* What the message lacks (of its sending on, where it is sent on). */
static void
add_missing(struct making *making, const char *prefix)
{
    const struct input_message *message = making->message;
    struct control_file *control = &making->control;
    char name[32];

    text_format(name, sizeof(name), "%sDate", prefix);
    if (!input_message_has(message, name))
        add_header(control, "D", memory_format("%s: %s", name, making->date));
    text_format(name, sizeof(name), "%sFrom", prefix);
    if (!input_message_has(message, name))
        add_header(control, "F", make_from(making, name));
    text_format(name, sizeof(name), "%sMessage-Id", prefix);
    if (!input_message_has(message, name))
        add_header(control, "M", make_message_id(making, name));
}

/* Nobody but themselves may know of the recipients of a Bcc. */
static bool
is_hidden(const struct input_header *header)
{
    return (header->name_length == 3 && strncasecmp(header->text, "Bcc", 3) == 0) ||
           (header->name_length == 10 && strncasecmp(header->text, "Resent-Bcc", 10) == 0);
}

static void
add_headers(struct making *making)
{
    const struct input_message *message = making->message;
    struct control_file *control = &making->control;

    add_header(control, "P", memory_copy_text("Return-Path: <" MOMENT_SENDER ">"));
    add_received(making);
    if (input_message_is_resent(message))
        add_missing(making, "Resent-");
    add_missing(making, "");
    for (size_t i = 0; i < message->header_count; i++)
        if (!is_hidden(&message->headers[i]))
            add_header(control, "", memory_copy_text(message->headers[i].text));
}

/* A message that goes round in circles has to end somewhere (RFC 5321, section 6.3). */
static int
check_hops(const struct making *making, struct error *error)
{
    long hops = making->options->hops;
    size_t at = 0;

    while (input_message_header(making->message, "Received", &at) != NULL)
        hops++;
    if (hops <= HOPS_MAX)
        return EX_OK;
    error_set(error, "554 5.4.6 Too many hops %ld (%d max)", hops, HOPS_MAX);
    return EX_UNAVAILABLE;
}

static void
make_flags(struct making *making)
{
    const char *part = making->options->return_part;
    char *flags = making->control.flags;
    size_t used = 0;

    if (making->message->has_8bit)
        flags[used++] = '8';
    flags[used++] = 'b';
    if (part != NULL)
        flags[used++] = 'd';
    if (part != NULL && strcmp(part, "hdrs") == 0)
        flags[used++] = 'n';
    flags[used] = 's';
}

static bool
append_body(int content, const struct input_message *message, struct error *error)
{
    off_t at = 0;

    while ((uint64_t)at < message->body_size) {
        ssize_t count =
            sendfile(content, message->body, &at, (size_t)(message->body_size - (uint64_t)at));

        if (count <= 0 && errno != EINTR)
            return error_errno(error, "451 4.3.0 keep the message");
    }
    return true;
}

static bool
write_text(int content, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t count = write(content, text, length);

        if (count < 0 && errno != EINTR)
            return false;
        text += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static int
make_content(const struct making *making, int *content, struct error *error)
{
    const struct control_data none = {0};
    size_t length;
    char *text = control_file_format(&making->control, &none, &length);
    bool done;

    *content = memfd_create("submission", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    done = *content >= 0 && write_text(*content, text, length);
    free(text);
    if (!done) {
        error_errno(error, "451 4.3.0 keep the message");
        return EX_TEMPFAIL;
    }
    return append_body(*content, making->message, error) ? EX_OK : EX_TEMPFAIL;
}

static void
free_making(struct making *making)
{
    struct control_file *control = &making->control;

    for (size_t i = 0; i < control->header_count; i++)
        free((char *)(uintptr_t)control->headers[i].text);
    free(control->headers);
    free((char *)(uintptr_t)control->kept[0].text);
    free(control->kept);
    submission_recipients_free(control);
}

int
submission_make(const struct sendmail_options *options, const struct input_message *message,
    const struct submission_origin *origin, int *content, struct error *error)
{
    struct making making = {.options = options, .message = message, .origin = origin};
    struct tm local;
    int status;

    *content = -1;
    if (localtime_r(&origin->now, &local) != NULL)
        strftime(making.date, sizeof(making.date), "%a, %d %b %Y %H:%M:%S %z", &local);
    making.control.body_type = options->body_type;
    making.control.envelope_id = options->envelope_id;
    making.control.kept = memory_new(1, sizeof(*making.control.kept));
    making.control.kept_count = 1;
    making.control.kept[0] =
        (struct control_kept){'$', memory_format("_%s@localhost", origin->user)};
    make_flags(&making);
    status = find_sender(&making, error);
    if (status == EX_OK)
        status = check_hops(&making, error);
    if (status == EX_OK)
        status = submission_recipients_find(&making.control, options, message, origin->host, error);
    if (status == EX_OK) {
        add_headers(&making);
        status = make_content(&making, content, error);
    }
    free_making(&making);
    return status;
}
