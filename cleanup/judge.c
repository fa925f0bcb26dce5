#include <string.h>

#include "lib/account.h"
#include "lib/sealed.h"
#include "lib/text.h"

#include "cleanup/compose.h"
#include "cleanup/document.h"
#include "cleanup/encoding.h"
#include "cleanup/header.h"
#include "cleanup/judge.h"
#include "cleanup/mail.h"
#include "cleanup/split.h"

#define NANOSECONDS INT64_C(1000000000)

/* What every file is judged with, and memory that serves them all. */
static struct {
    const struct configuration *configuration;
    struct document *document;
    struct output content;
    struct address testing; /* where every mail goes instead, */
    struct address tester; /* and from whom; "" where there is none */
} desk;

/* What a document that is no mail at all is. */
static const enum parse_verdict VERDICTS[] = {
    [DOCUMENT_UNPARSABLE] = VERDICT_UNREADABLE,
    [DOCUMENT_INVALID] = VERDICT_BAD,
    [DOCUMENT_UNREADABLE] = VERDICT_FAILED,
};

/* Reads the address that is the value of KEY, which may be empty. */
static bool
read_setting(struct address *address, const char *key, const char *value, struct error *error)
{
    *address = (struct address){0};
    if (value[0] == '\0' || address_read(address, value, strlen(value), error))
        return true;
    return error_prefix(error, "%s = %s", key, value);
}

bool
judge_open(const struct configuration *configuration, struct error *error)
{
    const struct settings *settings = &configuration->settings;

    desk.configuration = configuration;
    desk.document = document_new();
    return read_setting(&desk.testing, "testing", settings->testing, error) &&
           read_setting(&desk.tester, "tester", settings->tester, error) &&
           encoding_open_all(error);
}

void
judge_close(void)
{
    document_free(desk.document);
    output_release(&desk.content);
    encoding_close_all();
}

void
judge_clear(struct judgement *judgement, time_t written)
{
    judgement->written = written;
    judgement->account[0] = '\0';
    judgement->envelope_id[0] = '\0';
    judgement->auth[0] = '\0';
    judgement->deliver_by = 0;
    judgement->encoded = -1;
    judgement->small = (struct bytes){0};
    output_clear(&judgement->details);
    output_clear(&judgement->problems);
    judgement->flags = 0;
    judgement->items = 0;
    judgement->sender[0] = '\0';
    judgement->reason[0] = '\0';
    judgement->content = -1;
    output_clear(&judgement->recipients);
    output_clear(&judgement->subject);
    output_bytes(&judgement->subject, "", 1);
}

void
judge_refuse(struct judgement *judgement, enum parse_verdict verdict, const struct error *error)
{
    size_t length = text_cut(error->text, strlen(error->text), JUDGE_REASON_MAX);

    judgement->verdict = verdict;
    memcpy(judgement->reason, error->text, length);
    judgement->reason[length] = '\0';
}

/* The address that was read, or else what stands in its place. */
static void
show_address(
    char target[JUDGE_ADDRESS_MAX + 1], const struct address *address, const struct item_text *raw)
{
    struct output line = {0};

    if (address->text[0] != '\0' || raw == NULL) {
        memcpy(target, address->text, sizeof(address->text));
        return;
    }
    header_line(&line, raw->text, raw->length);
    text_escape_bytes(target, JUDGE_ADDRESS_MAX + 1, line.data, line.used);
    output_release(&line);
}

static void
add_recipient(
    struct judgement *judgement, const struct address *address, const struct item_text *raw)
{
    char recipient[JUDGE_ADDRESS_MAX + 1];

    show_address(recipient, address, raw);
    if (judgement->recipients.used + strlen(recipient) + 1 <= JUDGE_RECIPIENTS_MAX)
        output_bytes(&judgement->recipients, recipient, strlen(recipient) + 1);
}

void
judge_set_subject(struct judgement *judgement, const char *text, size_t length)
{
    output_clear(&judgement->subject);
    header_line(&judgement->subject, text, length);
    judgement->subject.used =
        text_cut(judgement->subject.data, judgement->subject.used, JUDGE_SUBJECT_MAX);
    output_bytes(&judgement->subject, "", 1);
}

static void
describe(struct judgement *judgement, const struct mail *mail)
{
    judgement->written = mail->written;
    if (!mail->time_known)
        judgement->flags |= MAIL_FLAG_NO_TIME;
    show_address(judgement->sender, &mail->sender, &mail->sender_text);
    add_recipient(judgement, &mail->recipient, &mail->recipient_text);
    judge_set_subject(judgement, mail->subject.text, mail->subject.length);
}

/* Makes the content of what desk.content holds, in a memory file. */
static void
seal(struct judgement *judgement, enum parse_verdict verdict, const char *name)
{
    struct error error;

    judgement->verdict = verdict;
    judgement->content = sealed_create(name, desk.content.data, desk.content.used, &error);
    if (judgement->content < 0)
        judge_refuse(judgement, VERDICT_FAILED, &error);
}

/* NULL for an address that is empty. */
static const struct address *
if_set(const struct address *address)
{
    return address->text[0] != '\0' ? address : NULL;
}

/* In testing, it is not what the mail says. */
static void
take_envelope(struct judgement *judgement, const struct envelope *envelope)
{
    judgement->flags |= envelope->eight_bit ? MAIL_FLAG_8BIT : 0;
    judgement->flags |= envelope->needs_smtputf8 ? MAIL_FLAG_SMTPUTF8 : 0;
    show_address(judgement->sender, envelope->sender, NULL);
    output_clear(&judgement->recipients);
    add_recipient(judgement, envelope->recipient, NULL);
}

static void
judge_delivery(
    struct judgement *judgement, const struct message_parse *parse, const struct mail *mail)
{
    struct compose_settings settings = {
        .hash = parse->hash,
        .now = time(NULL),
        .testing = if_set(&desk.testing),
        .tester = if_set(&desk.tester),
    };
    struct envelope envelope = compose_envelope(mail, &settings);
    const struct account_settings *account =
        account_find(desk.configuration, envelope.sender->text);
    struct error error;

    take_envelope(judgement, &envelope);
    if (account == NULL) {
        error_set(&error, "no account for %s", envelope.sender->text);
        judge_refuse(judgement, VERDICT_NO_ACCOUNT, &error);
        return;
    }
    settings.sender_name = account->name;
    compose_message(&desk.content, mail, &settings);
    if (desk.content.used <= SMALL_MAIL_MAX)
        judgement->small = (struct bytes){desk.content.data, desk.content.used};
    else
        seal(judgement, VERDICT_MAIL, "mail");
}

static void
judge_mail(struct judgement *judgement, const struct message_parse *parse, time_t fallback)
{
    struct mail mail;
    struct error error;
    bool good = mail_read(&mail, desk.document, 0, fallback, &error);

    describe(judgement, &mail);
    judgement->verdict = VERDICT_MAIL;
    if (!good)
        judge_refuse(judgement, VERDICT_BAD, &error);
    else if (parse->purpose != PARSE_LIST)
        judge_delivery(judgement, parse, &mail);
}

static void
judge_list(struct judgement *judgement, const struct message_parse *parse, time_t fallback)
{
    struct mail mail;
    struct error error;

    mail_read(&mail, desk.document, 0, fallback, &error);
    describe(judgement, &mail);
    judgement->verdict = VERDICT_LIST;
    if (parse->purpose != PARSE_LIST) {
        split_write(&desk.content, desk.document);
        seal(judgement, VERDICT_LIST, "list");
        return;
    }
    for (size_t i = 1; i < judgement->items; i++) {
        mail_read(&mail, desk.document, i, fallback, &error);
        add_recipient(judgement, &mail.recipient, &mail.recipient_text);
    }
}

void
judge_file(const struct message_parse *parse, struct judgement *judgement)
{
    size_t largest = (size_t)desk.configuration->settings.max_message_size;
    time_t fallback = (time_t)(parse->mtime_ns / NANOSECONDS);
    enum document_result result;
    struct error error;

    judge_clear(judgement, fallback);
    result = document_read(desk.document, parse->file, largest, &error);
    if (result != DOCUMENT_PARSED) {
        judge_refuse(judgement, VERDICTS[result], &error);
        return;
    }
    judgement->items = (uint32_t)document_items(desk.document);
    (judgement->items == 1 ? judge_mail : judge_list)(judgement, parse, fallback);
}
