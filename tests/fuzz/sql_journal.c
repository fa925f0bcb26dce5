/*
 * Any octets as the journal's files: what is read is in order, each number once, and what is
 * written is read again as it was. Sums are put right where the first octet is odd, so that what is
 * behind them is reached; the second then says where the second file begins.
 */
#include "sql/journal.c"

#include <sys/mman.h>

#include "tests/fuzz/fuzz.h"

static char place[] = "/dev/shm/smailer-fuzz-XXXXXX";

static void
remove_files(void)
{
    static const char *const NAMES[] = {"journal.0", "journal.1", "claimant"};

    for (size_t i = 0; i < 3; i++) {
        char path[64];

        snprintf(path, sizeof(path), "%s/%s", place, NAMES[i]);
        unlink(path);
    }
    rmdir(place);
}

/* Entries one behind the other, as read_entry() goes through them. What settles a result is in the
 * result's file, so each file has numbers of its own, above LEAST. */
static void
mend_sums(unsigned char *octets, size_t size, uint64_t least)
{
    struct entry entry;

    for (size_t at = 0; size - at >= sizeof(entry); at += entry.size) {
        memcpy(&entry, octets + at, sizeof(entry));
        entry.magic = MAGIC;
        entry.number = least + (entry.number & UINT32_MAX);
        if (entry.size < sizeof(entry) || entry.size > size - at)
            entry.size = (uint32_t)(size - at);
        memcpy(octets + at, &entry, sizeof(entry));
        entry.sum = sum_of(octets + at, entry.size);
        memcpy(octets + at, &entry, sizeof(entry));
    }
}

static void
write_file(const char *name, const unsigned char *octets, size_t size)
{
    char path[64];
    int descriptor;

    snprintf(path, sizeof(path), "%s/%s", place, name);
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(descriptor >= 0 && write(descriptor, octets, size) == (ssize_t)size);
    close(descriptor);
}

/* The journal is a process's; here it lives once for each input, and twice. */
static void
begin(int claimant)
{
    static const char *const NAMES[FILES] = {"journal.0", "journal.1"};
    struct error error;

    memset(&journal, 0, sizeof(journal));
    for (size_t i = 0; i < FILES; i++) {
        struct stat status;

        journal.descriptors[i] = open_file(place, NAMES[i], &error);
        require(journal.descriptors[i] >= 0 && fstat(journal.descriptors[i], &status) == 0);
        journal.sizes[i] = status.st_size;
    }
    require(read_claimant(claimant, &error));
    journal.table = memory_copy_text("mails");
    journal.is_open = true;
}

static void
end(void)
{
    for (size_t i = 0; i < FILES; i++)
        close(journal.descriptors[i]);
    free(journal.table);
}

static size_t
check_order(const struct result_list *results)
{
    const struct result *result;
    uint64_t last = 0;
    size_t count = 0;

    TAILQ_FOREACH(result, results, next)
    {
        require(count == 0 || result->number > last);
        last = result->number;
        count++;
    }
    return count;
}

static void
check_same(const struct result *one, const struct result *other)
{
    require(one->recorded_at == other->recorded_at && one->retry_in == other->retry_in);
    require(one->state == other->state && one->attempts == other->attempts);
    require(one->strikes == other->strikes && one->code == other->code);
    require(strcmp(one->version, other->version) == 0 && strcmp(one->key, other->key) == 0);
    require(strcmp(one->stage, other->stage) == 0 && strcmp(one->reason, other->reason) == 0);
    require(strcmp(one->id, other->id) == 0);
}

static void
free_all(struct result_list *results)
{
    struct result *result;

    while ((result = TAILQ_FIRST(results)) != NULL) {
        TAILQ_REMOVE(results, result, next);
        result_free(result);
    }
}

/* A restart later it is all there still, whatever was behind it. */
static void
check_read_again(int claimant, const struct result_list *results)
{
    struct result_list again;

    begin(claimant);
    TAILQ_INIT(&again);
    journal_read(&again);
    require(check_order(&again) == check_order(results));
    end();
    free_all(&again);
}

/* What was read, written to an empty journal. */
static void
check_written(int claimant, struct result_list *results)
{
    struct result_list again;
    struct result *result;
    const struct result *other;

    write_file("journal.0", (const unsigned char *)"", 0);
    write_file("journal.1", (const unsigned char *)"", 0);
    begin(claimant);
    TAILQ_FOREACH(result, results, next)
    journal_append(result);
    end();
    begin(claimant);
    TAILQ_INIT(&again);
    journal_read(&again);
    require(check_order(&again) == check_order(results));
    other = TAILQ_FIRST(&again);
    TAILQ_FOREACH(result, results, next)
    {
        check_same(result, other);
        other = TAILQ_NEXT(other, next);
    }
    while ((result = TAILQ_FIRST(results)) != NULL) {
        TAILQ_REMOVE(results, result, next);
        journal_settle(result);
        result_free(result);
    }
    end();
    free_all(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int claimant = -1;
    static unsigned char octets[1 << 16];
    struct result_list results;
    size_t first;

    if (claimant < 0) {
        require(mkdtemp(place) != NULL && atexit(remove_files) == 0);
        claimant = memfd_create("claimant", MFD_CLOEXEC);
        log_set_level(LOG_LEVEL_ERROR);
    }
    if (size < 2 || size > sizeof(octets))
        return 0;
    size -= 2;
    memcpy(octets, data + 2, size);
    first = size;
    if (data[0] % 2 == 1) {
        first = size * data[1] / UINT8_MAX;
        mend_sums(octets, first, 0);
        mend_sums(octets + first, size - first, UINT64_C(1) << 32);
    }
    write_file("journal.0", octets, first);
    write_file("journal.1", octets + first, size - first);
    begin(claimant);
    TAILQ_INIT(&results);
    journal_read(&results);
    check_order(&results);
    end();
    check_read_again(claimant, &results);
    check_written(claimant, &results);
    return 0;
}
