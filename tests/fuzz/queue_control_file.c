/*
 * Any octets as a control file of sendmail's queue: what is good is, written and read again, the
 * same; it is no attack by then, and stays as it is.
 */
#include "queue/control_file.h"
#include "tests/fuzz/fuzz.h"

static void
check_text(const char *one, const char *other)
{
    require((one == NULL) == (other == NULL));
    require(one == NULL || strcmp(one, other) == 0);
}

static void
check_recipients(const struct control_file *one, const struct control_file *other)
{
    require(one->recipient_count == other->recipient_count);
    for (size_t i = 0; i < one->recipient_count; i++) {
        check_text(one->recipients[i].address, other->recipients[i].address);
        check_text(one->recipients[i].flags, other->recipients[i].flags);
        check_text(one->recipients[i].status, other->recipients[i].status);
        check_text(one->recipients[i].original, other->recipients[i].original);
        check_text(one->recipients[i].final, other->recipients[i].final);
        check_text(one->recipients[i].controller, other->recipients[i].controller);
    }
}

/* Those that are no headers are not written. */
static void
check_headers(const struct control_file *one, const struct control_file *other)
{
    size_t at = 0;

    for (size_t i = 0; i < one->header_count; i++) {
        if (one->headers[i].name_length == 0)
            continue;
        require(at < other->header_count);
        check_text(one->headers[i].condition, other->headers[at].condition);
        check_text(one->headers[i].text, other->headers[at].text);
        require(one->headers[i].name_length == other->headers[at].name_length);
        at++;
    }
    require(at == other->header_count);
}

static void
check_same(const struct control_file *one, const struct control_file *other)
{
    require(one->created == other->created && one->last_attempt == other->last_attempt);
    require(one->attempts == other->attempts && one->priority == other->priority);
    require(one->kept_count == other->kept_count);
    check_text(one->flags, other->flags);
    check_text(one->body_type, other->body_type);
    check_text(one->status, other->status);
    check_text(one->quarantine, other->quarantine);
    check_text(one->sender, other->sender);
    check_text(one->envelope_id, other->envelope_id);
    check_recipients(one, other);
    check_headers(one, other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct control_data DATA = {.device = 2049, .inode = 7};
    struct control_file file;
    struct control_file again;
    struct error error = {0};
    size_t length;
    char *text;

    /* What is behind an octet of zero is lost, and the CR before it is at the end then. */
    if (control_file_parse(&file, (const char *)data, size, &error) != CONTROL_GOOD ||
        !is_text((const char *)data, size)) {
        require(error.text[0] != '\0' || !is_text((const char *)data, size));
        control_file_free(&file);
        return 0;
    }
    text = control_file_format(&file, &DATA, &length);
    require(is_text(text, length));
    require(control_file_parse(&again, text, length, &error) == CONTROL_GOOD);
    check_same(&file, &again);
    control_file_free(&again);
    control_file_free(&file);
    free(text);
    return 0;
}
