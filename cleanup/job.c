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
#include "cleanup/job_recipients.h"
#include "cleanup/local.h"
#include "cleanup/seven_bit.h"
#include "cleanup/stored_address.h"

#define NANOSECONDS INT64_C(1000000000)

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

/* A local sender is one of this host's. */
static bool
read_sender(struct work *work, struct error *error)
{
    char text[STORED_ADDRESS_SIZE];
    char whole[STORED_ADDRESS_SIZE + 256];
    struct address address;

    stored_address_strip(text, work->control.sender != NULL ? work->control.sender : "");
    work->sender[0] = '\0';
    if (text[0] == '\0')
        return true;
    text_format(whole, sizeof(whole), "%s%s%s", text, strchr(text, '@') != NULL ? "" : "@",
        strchr(text, '@') != NULL ? "" : local_hostname(work->local));
    if (!stored_address_read(&address, whole, error))
        return error_prefix(error, "the sender (S)");
    if (address.needs_smtputf8)
        work->judgement->flags |= MAIL_FLAG_SMTPUTF8;
    memcpy(work->sender, address.text, sizeof(work->sender));
    return true;
}

/* The account of a notice is that of the mail it is about; of another's, that of the sender (S). */
static void
choose_account(struct work *work)
{
    size_t length = strlen(ACCOUNT_MACRO);

    if (work->judgement->sender[0] != '\0')
        return;
    memcpy(work->judgement->account, work->sender, sizeof(work->sender));
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
    char text[STORED_ADDRESS_SIZE];
    char shown[STORED_ADDRESS_SIZE + 2];

    for (size_t i = 0; i < control->recipient_count; i++) {
        int length;

        stored_address_strip(text, control->recipients[i].address);
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

/* Until when it is to be there, and what becomes of it otherwise. */
static void
take_deliver_by(struct work *work)
{
    static const struct {
        int mode;
        uint32_t flag;
    } MODES[] = {{CONTROL_BY_RETURN, MAIL_FLAG_BY_RETURN}, {CONTROL_BY_NOTIFY, MAIL_FLAG_BY_NOTIFY},
        {CONTROL_BY_TRACE, MAIL_FLAG_BY_TRACE}};
    const struct control_file *control = &work->control;

    if (control->created <= 0 || control->deliver_by_mode == 0 || control->deliver_by > INT32_MAX ||
        control->deliver_by < -INT32_MAX)
        return;
    work->judgement->deliver_by = control->created + control->deliver_by;
    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++)
        if ((control->deliver_by_mode & MODES[i].mode) != 0)
            work->judgement->flags |= MODES[i].flag;
}

static void
take_options(struct work *work)
{
    struct judgement *judgement = work->judgement;
    const struct control_file *control = &work->control;

    if (control->envelope_id != NULL && text_is_esmtp_value(control->envelope_id))
        strlcpy(judgement->envelope_id, control->envelope_id, sizeof(judgement->envelope_id));
    if (control_flag(control->flags, 'd'))
        judgement->flags |=
            control_flag(control->flags, 'n') ? MAIL_FLAG_RET_HDRS : MAIL_FLAG_RET_FULL;
    if (control->body_type != NULL && strcasecmp(control->body_type, "8BITMIME") == 0)
        judgement->flags |= MAIL_FLAG_8BITMIME;
    if (control->auth != NULL && text_is_esmtp_value(control->auth))
        strlcpy(judgement->auth, control->auth, sizeof(judgement->auth));
    take_deliver_by(work);
}

static void
judge_delivery(struct work *work)
{
    struct judgement *judgement = work->judgement;
    const char *key;
    struct error error;

    /* Nothing comes back of what came back, whatever its sender is called. */
    if (control_flag(work->control.flags, 'r'))
        judgement->sender[0] = '\0';
    job_recipients_add(judgement, &work->control, work->local);
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
report_headers(struct work *work)
{
    const struct control_file *control = &work->control;

    for (size_t i = 0; i < control->header_count; i++) {
        if (control->headers[i].name_length > 0)
            continue;
        log_warn("header syntax error, line \"%.100s\"", control->headers[i].text);
        work->judgement->flags |= MAIL_FLAG_FLAWED;
    }
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
    char text[STORED_ADDRESS_SIZE];
    char shown[JUDGE_ADDRESS_MAX + 1];

    judgement->verdict = VERDICT_MAIL;
    for (size_t i = 0; i < work->control.recipient_count; i++) {
        stored_address_strip(text, work->control.recipients[i].address);
        text_escape(shown, sizeof(shown), text);
        if (judgement->recipients.used + strlen(shown) + 1 <= JUDGE_RECIPIENTS_MAX)
            output_bytes(&judgement->recipients, shown, strlen(shown) + 1);
    }
    if (judgement->sender[0] == '\0') {
        stored_address_strip(text, work->control.sender != NULL ? work->control.sender : "");
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
        report_headers(work);
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
