#include "cli/submission_recipients.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "lib/address_list.h"
#include "lib/memory.h"

/* Where recipients are added. */
struct adding {
    struct control_file *control;
    char flags[CONTROL_FILE_FLAGS_SIZE];
    const char *host;
};

/* The same mailbox: only of the domain the case does not matter. */
static bool
is_same(const char *left, const char *right)
{
    const char *at = strrchr(left, '@');
    size_t local = at != NULL ? (size_t)(at - left) : strlen(left);

    return strncmp(left, right, local) == 0 && strcasecmp(left + local, right + local) == 0;
}

static bool
has_recipient(const struct control_file *control, const char *address)
{
    for (size_t i = 0; i < control->recipient_count; i++)
        if (is_same(control->recipients[i].address, address))
            return true;
    return false;
}

static void
add(struct adding *adding, const char *address)
{
    struct control_file *control = adding->control;
    struct control_recipient recipient = {.address = memory_copy_text(address)};

    memcpy(recipient.flags, adding->flags, sizeof(recipient.flags));
    recipient.final = strchr(address, '@') != NULL
                          ? memory_format("RFC822; %s", address)
                          : memory_format("RFC822; %s@%s", address, adding->host);
    control->recipients = memory_resize(
        control->recipients, control->recipient_count + 1, sizeof(*control->recipients));
    control->recipients[control->recipient_count++] = recipient;
}

/* The addresses of TEXT, a header's value or a word. */
static int
add_list(struct adding *adding, const char *text, struct error *error)
{
    char address[ADDRESS_LIST_SIZE];

    while (address_list_next(&text, address, error)) {
        if (strcmp(address, "<>") == 0) {
            error_set(error, "<>... List:; syntax illegal for recipient addresses");
            return EX_USAGE;
        }
        if (adding->control->recipient_count == CONTROL_FILE_RECIPIENTS_MAX) {
            error_set(error, "452 4.5.3 Too many recipients");
            return EX_UNAVAILABLE;
        }
        if (!has_recipient(adding->control, address))
            add(adding, address);
    }
    return error->text[0] == '\0' ? EX_OK : EX_USAGE;
}

/* A message that is sent on by somebody goes to the recipients of that alone. */
static int
add_headers(struct adding *adding, const struct input_message *message, struct error *error)
{
    static const char *const NAMES[2][3] = {
        {"To", "Cc", "Bcc"}, {"Resent-To", "Resent-Cc", "Resent-Bcc"}};
    bool is_resent = input_message_is_resent(message);
    int status = EX_OK;

    for (size_t i = 0; i < 3; i++) {
        const char *value;
        size_t at = 0;

        while (status == EX_OK &&
               (value = input_message_header(message, NAMES[is_resent][i], &at)) != NULL)
            status = add_list(adding, value, error);
    }
    return status;
}

/* The R line's flags: primary, and what -N says. */
static void
make_flags(char flags[CONTROL_FILE_FLAGS_SIZE], const struct sendmail_options *options)
{
    static const struct {
        unsigned int bit;
        char letter;
    } EVENTS[] = {{NOTIFY_SUCCESS, 'S'}, {NOTIFY_FAILURE, 'F'}, {NOTIFY_DELAY, 'D'}};
    unsigned int notify = options->notify_given ? options->notify : NOTIFY_FAILURE | NOTIFY_DELAY;
    size_t used = 0;

    memset(flags, 0, CONTROL_FILE_FLAGS_SIZE);
    flags[used++] = 'P';
    if (options->notify_given)
        flags[used++] = 'N';
    for (size_t i = 0; i < sizeof(EVENTS) / sizeof(EVENTS[0]); i++)
        if ((notify & EVENTS[i].bit) != 0)
            flags[used++] = EVENTS[i].letter;
}

int
submission_recipients_find(struct control_file *control, const struct sendmail_options *options,
    const struct input_message *message, const char *host, struct error *error)
{
    struct adding adding = {.control = control, .host = host};
    int status = EX_OK;

    if (options->word_count == 0 && !options->from_headers) {
        error_set(error, "Recipient names must be specified");
        return EX_USAGE;
    }
    make_flags(adding.flags, options);
    for (int i = 0; i < options->word_count && status == EX_OK; i++)
        status = add_list(&adding, options->words[i], error);
    if (status == EX_OK && options->from_headers)
        status = add_headers(&adding, message, error);
    if (status == EX_OK && control->recipient_count == 0) {
        error_set(error, "No recipient addresses found in header");
        return EX_USAGE;
    }
    return status;
}

void
submission_recipients_free(struct control_file *control)
{
    for (size_t i = 0; i < control->recipient_count; i++) {
        free((char *)(uintptr_t)control->recipients[i].address);
        free((char *)(uintptr_t)control->recipients[i].final);
    }
    free(control->recipients);
    control->recipients = NULL;
    control->recipient_count = 0;
}
