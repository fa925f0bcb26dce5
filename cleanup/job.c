#include "cleanup/job.h"

#include <bsd/string.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/outcome.h"
#include "lib/sealed.h"
#include "lib/text.h"
#include "queue/control_file.h"

#include "cleanup/address.h"
#include "cleanup/header.h"
#include "cleanup/job_header.h"
#include "cleanup/local.h"
#include "cleanup/seven_bit.h"

#define NANOSECONDS INT64_C(1000000000)

/* What recipients, details and problems may have together, that a message can carry them. */
enum { ENVELOPE_MAX = 60000, TEXT_MAX = 2048 };

/* The macro that says whose account a notice goes through. */
static const char ACCOUNT_MACRO[] = "{smailer_account}";

static const char *const NOTHING[] = {NULL};

static struct {
    const struct configuration *configuration;
    struct local **locals; /* of each queue, NULL: it is no mqueue */
    struct local_settings *settings;
    struct address testing; /* where every mail goes instead, */
    struct address tester; /* and from whom; "" where there is none */
    struct output content;
} desk;

/* A job that is judged. */
struct work {
    struct control_file control;
    const struct local *local;
    struct judgement *judgement;
    char sender[ADDRESS_MAX + 1];
    char *body;
    size_t length;
};

static bool
read_setting(struct address *address, const char *value, struct error *error)
{
    *address = (struct address){0};
    return value[0] == '\0' || address_read(address, value, strlen(value), error);
}

bool
job_open(const struct configuration *configuration, struct error *error)
{
    desk.configuration = configuration;
    desk.locals = memory_new(configuration->queue_count + 1, sizeof(desk.locals[0]));
    desk.settings = memory_new(configuration->queue_count + 1, sizeof(desk.settings[0]));
    for (size_t i = 0; i < configuration->queue_count; i++) {
        const struct queue_settings *queue = &configuration->queues[i];

        if (queue->kind != SECTION_MQUEUE)
            continue;
        desk.settings[i] =
            (struct local_settings){queue->aliases, queue->local_to, queue->hostname};
        desk.locals[i] = local_open(&desk.settings[i], error);
        if (desk.locals[i] == NULL)
            return false;
    }
    return read_setting(&desk.testing, configuration->settings.testing, error) &&
           read_setting(&desk.tester, configuration->settings.tester, error);
}

/* All of DESCRIPTOR, with a NUL behind its *LENGTH octets; NULL where it cannot be read. */
static char *
read_all(int descriptor, size_t *length, struct error *error)
{
    struct stat status;
    ssize_t count = 0;
    char *text;

    *length = 0;
    if (fstat(descriptor, &status) != 0 ||
        status.st_size > desk.configuration->settings.max_message_size) {
        error_set(error, "the file is larger than max_message_size");
        return NULL;
    }
    text = memory_new((size_t)status.st_size + 1, 1);
    while (*length < (size_t)status.st_size &&
           (count = pread(
                descriptor, text + *length, (size_t)status.st_size - *length, (off_t)*length)) > 0)
        *length += (size_t)count;
    if (count >= 0)
        return text;
    error_errno(error, "read the file");
    free(text);
    return NULL;
}

/* What is between the angle brackets, or all of it, in TARGET. */
static void
strip(char target[TEXT_MAX], const char *text)
{
    const char *end;
    size_t length;

    text += strspn(text, " \t");
    end = text + strlen(text);
    if (text[0] == '<' && end > text + 1 && end[-1] == '>') {
        text++;
        end--;
    }
    length = (size_t)(end - text);
    if (length >= TEXT_MAX)
        length = TEXT_MAX - 1;
    memcpy(target, text, length);
    target[length] = '\0';
}

/* A local sender is one of this host's. */
static bool
read_sender(struct work *work, struct error *error)
{
    char text[TEXT_MAX];
    char whole[TEXT_MAX + 256];
    struct address address;

    strip(text, work->control.sender != NULL ? work->control.sender : "");
    work->sender[0] = '\0';
    if (text[0] == '\0')
        return true;
    snprintf(whole, sizeof(whole), "%s%s%s", text, strchr(text, '@') != NULL ? "" : "@",
        strchr(text, '@') != NULL ? "" : local_hostname(work->local));
    if (!address_read(&address, whole, strlen(whole), error))
        return error_prefix(error, "the sender (S)");
    if (address.needs_smtputf8)
        work->judgement->flags |= MAIL_FLAG_SMTPUTF8;
    memcpy(work->sender, address.text, sizeof(work->sender));
    return true;
}

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

/* Without blanks and what cannot stand in a parameter. */
static bool
is_parameter(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || *text == '=')
            return false;
    return true;
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
add_problem(struct work *work, size_t line, enum outcome outcome, const char *words)
{
    char text[1000];
    int length = snprintf(text, sizeof(text), "%zu %d %s", line, (int)outcome, words);

    if (length >= (int)sizeof(text))
        length = (int)sizeof(text) - 1;
    if (envelope_size(work->judgement) + (size_t)length < ENVELOPE_MAX)
        output_bytes(&work->judgement->problems, text, (size_t)length + 1);
}

static void
add_recipient(struct work *work, size_t line, const char *text)
{
    const struct control_recipient *recipient = &work->control.recipients[line];
    struct judgement *judgement = work->judgement;
    struct address address;
    struct error error;
    char notify[64];
    char details[TEXT_MAX];
    int length;

    if (!address_read(&address, text, strlen(text), &error)) {
        add_problem(work, line, OUTCOME_DROPPED, error.text);
        return;
    }
    format_notify(recipient->flags, notify);
    length = snprintf(details, sizeof(details), "%zu %s %s", line, notify,
        recipient->original != NULL && is_parameter(recipient->original) ? recipient->original
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
add_local(struct work *work, size_t line, const char *name)
{
    static struct output addresses;
    struct error error;

    output_clear(&addresses);
    if (!local_resolve(work->local, name, &addresses, &error)) {
        add_problem(work, line, OUTCOME_DEFERRED, error.text);
        return;
    }
    for (size_t at = 0; at < addresses.used; at += strlen(addresses.data + at) + 1)
        add_recipient(work, line, addresses.data + at);
}

static void
add_line(struct work *work, size_t line)
{
    char text[TEXT_MAX];
    const char *start;

    strip(text, work->control.recipients[line].address);
    start = text[0] == '"' || text[0] == '\\' ? text + 1 : text;
    if (start[0] == '|')
        add_problem(work, line, OUTCOME_DROPPED, "it is a program: mail is not given to programs");
    else if (start[0] == '/')
        add_problem(work, line, OUTCOME_DROPPED, "it is a file: mail is not written to files");
    else if (strncasecmp(start, ":include:", 9) == 0)
        add_problem(work, line, OUTCOME_DROPPED, "it is a list: lists are not expanded here");
    else if (strchr(text, '@') == NULL)
        add_local(work, line, text);
    else if (!has_recipient(work->judgement, text))
        add_recipient(work, line, text);
    else
        add_problem(work, line, OUTCOME_SENT, "the same as another one");
}

/* First those that were not tried, for there may be more than can be sent to at once. */
static void
add_recipients(struct work *work)
{
    for (int tried = 0; tried < 2; tried++)
        for (size_t i = 0; i < work->control.recipient_count; i++)
            if ((work->control.recipients[i].status != NULL) == (tried == 1))
                add_line(work, i);
}

/* The account of a notice is that of the mail it is about. */
static void
choose_account(struct work *work)
{
    size_t length = strlen(ACCOUNT_MACRO);

    if (work->judgement->sender[0] != '\0')
        return;
    for (size_t i = 0; i < work->control.kept_count; i++) {
        const struct control_kept *kept = &work->control.kept[i];

        if (kept->letter == '$' && strncmp(kept->text, ACCOUNT_MACRO, length) == 0)
            strlcpy(
                work->judgement->account, kept->text + length, sizeof(work->judgement->account));
    }
}

static void
write_true_recipients(struct output *output, const struct control_file *control)
{
    char text[TEXT_MAX];
    char shown[TEXT_MAX + 2];

    for (size_t i = 0; i < control->recipient_count; i++) {
        int length;

        strip(text, control->recipients[i].address);
        length = snprintf(shown, sizeof(shown), "<%s>", text);
        header_text(output, "X-Smailer-Recipient", shown, (size_t)length);
    }
}

static int
seal(struct work *work, const char *name)
{
    struct error error;
    int content = sealed_create(name, desk.content.data, desk.content.used, &error);

    if (content < 0)
        judge_refuse(work->judgement, VERDICT_FAILED, &error);
    return content;
}

/* As it is. */
static void
compose(struct work *work)
{
    output_clear(&desk.content);
    job_headers_write(&desk.content, &work->control, work->sender, NOTHING);
    if (desk.testing.text[0] != '\0')
        write_true_recipients(&desk.content, &work->control);
    output_text(&desk.content, "\r\n");
    seven_bit_copy(&desk.content, work->body, work->length);
}

/* For a relay without 8BITMIME. A message that says nothing of MIME has to begin with that. */
static void
compose_encoded(struct work *work)
{
    static const char *const EXCEPT[] = {"Content-Transfer-Encoding", NULL};
    const struct seven_bit_type type = {
        .type = job_header_value(&work->control, "Content-Type"),
        .encoding = job_header_value(&work->control, "Content-Transfer-Encoding"),
    };
    bool replaces = seven_bit_replaces(&type, work->body, work->length);

    output_clear(&desk.content);
    job_headers_write(&desk.content, &work->control, work->sender, replaces ? EXCEPT : NOTHING);
    if (desk.testing.text[0] != '\0')
        write_true_recipients(&desk.content, &work->control);
    if (job_header_value(&work->control, "MIME-Version") == NULL)
        output_text(&desk.content, "MIME-Version: 1.0\r\n");
    if (type.type == NULL)
        output_format(&desk.content, "Content-Type: text/plain; charset=%s\r\n",
            text_is_utf8(work->body, work->length) ? "UTF-8" : "unknown-8bit");
    seven_bit_write(&desk.content, &type, work->body, work->length);
}

/* In testing, it is not what the job says. */
static void
take_testing(struct work *work)
{
    struct judgement *judgement = work->judgement;

    if (desk.testing.text[0] == '\0')
        return;
    output_clear(&judgement->recipients);
    output_clear(&judgement->details);
    output_clear(&judgement->problems);
    output_bytes(&judgement->recipients, desk.testing.text, strlen(desk.testing.text) + 1);
    output_format(&judgement->details, "%u - -", UINT32_MAX);
    output_bytes(&judgement->details, "", 1);
    if (desk.tester.text[0] != '\0')
        memcpy(judgement->sender, desk.tester.text, sizeof(desk.tester.text));
}

static void
take_options(struct work *work)
{
    struct judgement *judgement = work->judgement;
    const struct control_file *control = &work->control;

    if (control->envelope_id != NULL && is_parameter(control->envelope_id))
        strlcpy(judgement->envelope_id, control->envelope_id, sizeof(judgement->envelope_id));
    if (control_flag(control->flags, 'd'))
        judgement->flags |=
            control_flag(control->flags, 'n') ? MAIL_FLAG_RET_HDRS : MAIL_FLAG_RET_FULL;
}

static void
judge_delivery(struct work *work)
{
    struct judgement *judgement = work->judgement;
    const char *key;
    struct error error;

    add_recipients(work);
    take_options(work);
    take_testing(work);
    choose_account(work);
    key = judgement->account[0] != '\0' ? judgement->account : judgement->sender;
    judgement->verdict = VERDICT_MAIL;
    if (account_find(desk.configuration, key) == NULL) {
        error_set(&error, "no account for %s", key[0] != '\0' ? key : "the null sender");
        judge_refuse(judgement, VERDICT_NO_ACCOUNT, &error);
        return;
    }
    compose(work);
    judgement->content = seal(work, "mail");
    if (text_is_ascii(work->body, work->length) || judgement->content < 0)
        return;
    judgement->flags |= MAIL_FLAG_8BIT;
    compose_encoded(work);
    judgement->encoded = seal(work, "mail in 7 bits");
}

/* Bad header lines are dropped, and told of. */
static void
report_headers(const struct control_file *control)
{
    for (size_t i = 0; i < control->header_count; i++)
        if (control->headers[i].name_length == 0)
            log_warn("header syntax error, line \"%.100s\"", control->headers[i].text);
}

static void
describe(struct work *work)
{
    struct judgement *judgement = work->judgement;
    const char *subject = job_header_value(&work->control, "Subject");

    judgement->items = 1;
    if (work->control.created > 0)
        judgement->written = (time_t)work->control.created;
    if (subject != NULL)
        judge_set_subject(judgement, subject, strlen(subject));
    strlcpy(judgement->sender, work->sender, sizeof(judgement->sender));
}

/* For a listing: addresses as they are stored. */
static void
list(struct work *work)
{
    struct judgement *judgement = work->judgement;
    char text[TEXT_MAX];
    char shown[JUDGE_ADDRESS_MAX + 1];

    judgement->verdict = VERDICT_MAIL;
    for (size_t i = 0; i < work->control.recipient_count; i++) {
        strip(text, work->control.recipients[i].address);
        text_escape(shown, sizeof(shown), text);
        if (judgement->recipients.used + strlen(shown) + 1 <= JUDGE_RECIPIENTS_MAX)
            output_bytes(&judgement->recipients, shown, strlen(shown) + 1);
    }
    if (judgement->sender[0] == '\0') {
        strip(text, work->control.sender != NULL ? work->control.sender : "");
        text_escape(judgement->sender, sizeof(judgement->sender), text);
    }
}

static void
judge_control(struct work *work, const struct message_parse *parse, struct error *error)
{
    bool good = read_sender(work, error);

    describe(work);
    if (parse->purpose == PARSE_LIST) {
        list(work);
    } else if (!good) {
        judge_refuse(work->judgement, VERDICT_BAD, error);
    } else {
        report_headers(&work->control);
        work->body = read_all(parse->data, &work->length, error);
        if (work->body == NULL)
            judge_refuse(work->judgement, VERDICT_FAILED, error);
        else
            judge_delivery(work);
        free(work->body);
    }
}

void
judge_job(const struct message_parse *parse, struct judgement *judgement)
{
    struct work work = {.judgement = judgement};
    struct error error;
    enum control_state state;
    size_t length;
    char *text;

    judge_clear(judgement, (time_t)(parse->mtime_ns / NANOSECONDS));
    text = read_all(parse->file, &length, &error);
    if (text == NULL || parse->mqueue > desk.configuration->queue_count ||
        desk.locals[parse->mqueue - 1] == NULL) {
        judge_refuse(judgement, VERDICT_FAILED, &error);
        free(text);
        return;
    }
    work.local = desk.locals[parse->mqueue - 1];
    state = control_file_parse(&work.control, text, length, &error);
    if (state != CONTROL_GOOD && parse->purpose != PARSE_LIST)
        judge_refuse(judgement, VERDICT_BAD, &error);
    else
        judge_control(&work, parse, &error);
    control_file_free(&work.control);
    free(text);
}
