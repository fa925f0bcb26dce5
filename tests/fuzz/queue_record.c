/*
 * Any octets as the record beside a mail, and as what is to be recorded: what is written is read
 * again as it was.
 */
#include "queue/record.h"
#include "tests/fuzz/fuzz.h"

static void
check_same(const struct mail_record *one, const struct mail_record *other)
{
    require(strcmp(one->id, other->id) == 0 && strcmp(one->name, other->name) == 0);
    require(strcmp(one->stage, other->stage) == 0 && strcmp(one->reason, other->reason) == 0);
    require(one->attempts == other->attempts && one->strikes == other->strikes);
    require(one->first_try == other->first_try && one->last_try == other->last_try);
    require(one->code == other->code);
}

static void
check_written(const struct mail_record *record)
{
    char text[RECORD_TEXT_SIZE];
    struct mail_record again = {0};
    size_t length = record_format(text, record);

    require(length < sizeof(text) && is_text(text, length));
    require(record_parse(text, length, &again));
    check_same(record, &again);
}

static void
fill(char *target, size_t size, struct rest *rest)
{
    struct rest part = rest_take(rest, "", 1);
    size_t length = part.size < size ? part.size : size - 1;

    memcpy(target, part.octets, length);
    target[length] = '\0';
}

/* What moves and verdicts could have left in it. */
static void
make(struct mail_record *record, struct rest rest)
{
    fill(record->id, sizeof(record->id), &rest);
    fill(record->name, sizeof(record->name), &rest);
    fill(record->stage, sizeof(record->stage), &rest);
    fill(record->reason, sizeof(record->reason), &rest);
    if (rest.size < 20)
        return;
    memcpy(&record->attempts, rest.octets, 4);
    memcpy(&record->strikes, rest.octets + 4, 4);
    memcpy(&record->code, rest.octets + 8, 4);
    memcpy(&record->last_try, rest.octets + 12, 8);
    record->last_try &= INT64_MAX >> 22; /* ms, some thousand years */
    record->first_try = record->last_try / 2;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mail_record record;

    memset(&record, 0, sizeof(record));
    if (record_parse((const char *)data, size, &record))
        check_written(&record);
    memset(&record, 0, sizeof(record));
    make(&record, (struct rest){(const char *)data, size});
    check_written(&record);
    return 0;
}
