#include <string.h>

#include "lib/error.h"

#include "cleanup/mail.h"
#include "cleanup/time.h"

struct fields {
    struct item_text texts[ITEM_FIELDS];
    unsigned int counts[ITEM_FIELDS];
};

static void
gather(struct fields *fields, const struct document *document, size_t item)
{
    size_t count = document_fields(document, item);

    for (size_t i = 0; i < ITEM_FIELDS; i++)
        fields->texts[i].text = "";
    for (size_t i = 0; i < count; i++) {
        struct item_text text = document_field(document, item, i);

        if (fields->counts[text.field]++ == 0)
            fields->texts[text.field] = text;
    }
}

static bool
check_counts(const struct fields *fields, struct error *error)
{
    for (size_t i = 0; i < ITEM_FIELDS; i++)
        if (fields->counts[i] > 1)
            return error_set(error, "%s occurs %u times", item_field_name((enum item_field)i),
                fields->counts[i]);
    return true;
}

static bool
read_address(struct address *address, const struct fields *fields, enum item_field field,
    struct error *error)
{
    const struct item_text *text = &fields->texts[field];

    *address = (struct address){0};
    if (fields->counts[field] == 0)
        return error_set(error, "%s is missing", item_field_name(field));
    if (address_read(address, text->text, text->length, error))
        return true;
    *address = (struct address){0};
    return error_prefix(error, "%s", item_field_name(field));
}

bool
mail_read(struct mail *mail, const struct document *document, size_t item, time_t fallback,
    struct error *error)
{
    struct fields fields = {0};
    struct error ignored;
    bool good;

    gather(&fields, document, item);
    mail->sender_text = fields.texts[ITEM_SENDER];
    mail->recipient_text = fields.texts[ITEM_ADDRESS];
    mail->subject = fields.texts[ITEM_TOPIC];
    mail->content = fields.texts[ITEM_CONTENT];
    mail->time_known =
        time_read(&mail->written, fields.texts[ITEM_TIME].text, fields.texts[ITEM_TIME].length);
    if (!mail->time_known)
        mail->written = fallback;
    good = read_address(&mail->sender, &fields, ITEM_SENDER, error);
    good = read_address(&mail->recipient, &fields, ITEM_ADDRESS, good ? error : &ignored) && good;
    if (!good || !check_counts(&fields, error))
        return false;
    if (mail->subject.length > MAIL_SUBJECT_MAX)
        return error_set(error, "%s has %zu octets, %d are the most", item_field_name(ITEM_TOPIC),
            mail->subject.length, MAIL_SUBJECT_MAX);
    return true;
}
