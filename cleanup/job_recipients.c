#include "cleanup/job_recipients.h"

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/outcome.h"
#include "lib/text.h"

#include "cleanup/stored_address.h"

/* What recipients, details and problems may have together, that a message can carry them. */
enum { ENVELOPE_MAX = 60000 };

/* What is added to, and from what. */
struct adding {
    struct judgement *judgement;
    const struct control_file *control;
    const struct local *local;
};

/* NOTIFY=, from the flags of an R line; "-": not given. */
static void
format_notify(const char *flags, char target[64])
{
    static const struct {
        char letter;
        const char *name;
    } EVENTS[] = {{'S', "SUCCESS"}, {'F', "FAILURE"}, {'D', "DELAY"}};

    target[0] = '\0';
    if (!control_flag(flags, 'N')) {
        strlcpy(target, "-", 64);
        return;
    }
    for (size_t i = 0; i < 3; i++)
        if (control_flag(flags, EVENTS[i].letter)) {
            strlcat(target, target[0] != '\0' ? "," : "", 64);
            strlcat(target, EVENTS[i].name, 64);
        }
    if (target[0] == '\0')
        strlcpy(target, "NEVER", 64);
}

static size_t
envelope_size(const struct judgement *judgement)
{
    return judgement->recipients.used + judgement->details.used + judgement->problems.used;
}

static bool
has_recipient(const struct judgement *judgement, const char *address)
{
    const struct output *recipients = &judgement->recipients;

    for (size_t at = 0; at < recipients->used; at += strlen(recipients->data + at) + 1)
        if (strcmp(recipients->data + at, address) == 0)
            return true;
    return false;
}

static void
add_problem(struct adding *adding, size_t line, enum outcome outcome, const char *words)
{
    char text[1000];
    int length = snprintf(text, sizeof(text), "%zu %d %s", line, (int)outcome, words);

    if (length >= (int)sizeof(text))
        length = (int)sizeof(text) - 1;
    if (envelope_size(adding->judgement) + (size_t)length < ENVELOPE_MAX)
        output_bytes(&adding->judgement->problems, text, (size_t)length + 1);
}

static void
add_recipient(struct adding *adding, size_t line, const char *text)
{
    const struct control_recipient *recipient = &adding->control->recipients[line];
    struct judgement *judgement = adding->judgement;
    struct address address;
    struct error error;
    char notify[64];
    char details[STORED_ADDRESS_SIZE];
    int length;

    if (!stored_address_read(&address, text, &error)) {
        add_problem(adding, line, OUTCOME_DROPPED, error.text);
        return;
    }
    if (has_recipient(judgement, address.text)) {
        add_problem(adding, line, OUTCOME_SENT, "the same as another one");
        return;
    }
    format_notify(recipient->flags, notify);
    length = snprintf(details, sizeof(details), "%zu %s %s", line, notify,
        recipient->original != NULL && text_is_esmtp_value(recipient->original)
            ? recipient->original
            : "-");
    if (length >= (int)sizeof(details) ||
        envelope_size(judgement) + strlen(address.text) + (size_t)length + 2 > ENVELOPE_MAX)
        return;
    if (address.needs_smtputf8)
        judgement->flags |= MAIL_FLAG_SMTPUTF8;
    output_bytes(&judgement->recipients, address.text, strlen(address.text) + 1);
    output_bytes(&judgement->details, details, (size_t)length + 1);
}

/* Nothing is delivered here: what is no address has to become some. */
static void
add_local(struct adding *adding, size_t line, const char *name)
{
    static struct output addresses;
    struct error error;

    output_clear(&addresses);
    if (!local_resolve(adding->local, name, &addresses, &error)) {
        add_problem(adding, line, OUTCOME_DEFERRED, error.text);
        return;
    }
    for (size_t at = 0; at < addresses.used; at += strlen(addresses.data + at) + 1)
        add_recipient(adding, line, addresses.data + at);
}

/* What a recipient is called that is none; NULL: it may be one. */
static const char *
find_objection(const char *text)
{
    text += strspn(text, "<\"\\ ");
    if (text[0] == '\0' || text[0] == '>')
        return "there is no address";
    if (text[0] == '|')
        return "it is a program: mail is not given to programs";
    if (text[0] == '/')
        return "it is a file: mail is not written to files";
    return strncasecmp(text, ":include:", 9) == 0 ? "it is a list: lists are not expanded here"
                                                  : NULL;
}

static void
add_line(struct adding *adding, size_t line)
{
    const char *stored = adding->control->recipients[line].address;
    const char *objection = find_objection(stored);
    char text[STORED_ADDRESS_SIZE];

    stored_address_strip(text, stored);
    if (objection != NULL)
        add_problem(adding, line, OUTCOME_DROPPED, objection);
    else if (strchr(text, '@') == NULL)
        add_local(adding, line, text);
    else
        add_recipient(adding, line, text);
}

void
job_recipients_add(
    struct judgement *judgement, const struct control_file *control, const struct local *local)
{
    struct adding adding = {judgement, control, local};

    /* First those that were not tried, for there may be more than can be sent to at once. */
    for (int tried = 0; tried < 2; tried++)
        for (size_t i = 0; i < control->recipient_count; i++)
            if ((control->recipients[i].status != NULL) == (tried == 1))
                add_line(&adding, i);
}
