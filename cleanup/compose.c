#include <stdio.h>

#include "lib/mail_id.h"

#include "cleanup/body.h"
#include "cleanup/compose.h"
#include "cleanup/header.h"

enum { DATE_SIZE = 64 };

struct envelope
compose_envelope(const struct mail *mail, const struct compose_settings *settings)
{
    struct envelope envelope = {.sender = &mail->sender, .recipient = &mail->recipient};

    if (settings->testing != NULL)
        envelope.recipient = settings->testing;
    if (settings->testing != NULL && settings->tester != NULL)
        envelope.sender = settings->tester;
    envelope.needs_smtputf8 = envelope.sender->needs_smtputf8 || envelope.recipient->needs_smtputf8;
    envelope.eight_bit = envelope.needs_smtputf8;
    return envelope;
}

/* RFC 5322, section 3.3; the program never leaves the C locale. */
static void
write_date(struct output *output, time_t now)
{
    char text[DATE_SIZE];
    struct tm parts = {0};

    localtime_r(&now, &parts);
    strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S %z\r\n", &parts);
    output_text(output, text);
}

/* The same at every try, since the id is. */
static void
write_message_id(
    struct output *output, const struct mail *mail, uint64_t hash, const struct address *sender)
{
    char id[MAIL_ID_SIZE];

    mail_id_format(id, sizeof(id), mail->written, hash);
    output_format(output, "Message-ID: <%s@%s>\r\n", id, sender->text + sender->domain);
}

static void
write_true_recipient(struct output *output, const struct address *recipient)
{
    char shown[sizeof(recipient->text) + 2];
    int length = snprintf(shown, sizeof(shown), "<%s>", recipient->text);

    header_text(output, "X-Smailer-Recipient", shown, (size_t)length);
}

static void
write_content_fields(struct output *output, const struct body *body)
{
    output_text(output, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=");
    output_text(output, body->ascii ? "us-ascii" : "UTF-8");
    output_text(output, "\r\nContent-Transfer-Encoding: ");
    output_text(output, body_encoding_name(body->encoding));
    output_text(output, "\r\n");
}

void
compose_message(
    struct output *output, const struct mail *mail, const struct compose_settings *settings)
{
    /* Kept from mail to mail, for its memory. */
    static struct body body;
    struct envelope envelope = compose_envelope(mail, settings);

    body_prepare(&body, mail->content.text, mail->content.length);
    output_clear(output);
    header_mailbox(output, "From", settings->sender_name, envelope.sender->text);
    header_mailbox(output, "To", "", envelope.recipient->text);
    header_text(output, "Subject", mail->subject.text, mail->subject.length);
    write_date(output, settings->now);
    write_message_id(output, mail, settings->hash, envelope.sender);
    output_text(output, "Auto-Submitted: auto-generated\r\n");
    write_content_fields(output, &body);
    if (settings->testing != NULL)
        write_true_recipient(output, &mail->recipient);
    output_text(output, "\r\n");
    body_write(&body, output);
}
