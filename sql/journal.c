#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "sql/journal.h"

#define FILES 2
#define FILE_FULL (1U << 20) /* then the other one's turn comes, once that is empty */
#define FILE_MOST (1U << 30)
#define MAGIC UINT32_C(0x4A4C4D53)
#define ENTRY_MOST 16384
#define CLAIMANT_SIZE 128

enum entry_kind { ENTRY_RESULT = 1, ENTRY_SETTLED };

/* An entry: this, and for a result its texts, each with its NUL: table, version, key, stage,
 * reason, id. The sum is of all behind it. */
struct entry {
    uint32_t magic;
    uint32_t size; /* of all */
    uint64_t sum;
    uint64_t number;
    int64_t recorded_at;
    uint64_t retry_in;
    uint32_t kind;
    uint32_t state;
    uint32_t attempts;
    uint32_t strikes;
    uint32_t code;
    uint32_t padding;
};

static struct {
    int descriptors[FILES];
    off_t sizes[FILES];
    uint64_t unsettled[FILES];
    uint64_t first[FILES]; /* the number of the first entry since it was empty */
    size_t turn;
    uint64_t number;
    bool is_dirty;
    bool is_open;
    char *table;
    char claimant[CLAIMANT_SIZE];
} journal = {.descriptors = {-1, -1}};

void
result_free(struct result *result)
{
    free(result->key);
    free(result->stage);
    free(result->reason);
    free(result->id);
    free(result);
}

/* FNV-1a, against halves of entries after a power cut. */
static uint64_t
sum_of(const unsigned char *octets, size_t size)
{
    uint64_t sum = UINT64_C(14695981039346656037);

    for (size_t i = offsetof(struct entry, number); i < size; i++)
        sum = (sum ^ octets[i]) * UINT64_C(1099511628211);
    return sum;
}

/* ---- opening ---- */

static int
open_file(const char *directory, const char *name, struct error *error)
{
    char *path = memory_format("%s/%s", directory, name);
    int descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (descriptor < 0)
        error_errno(error, "open %s", path);
    free(path);
    return descriptor;
}

/* A host that was copied is another one. */
static bool
make_claimant(int descriptor, const char *host, struct error *error)
{
    unsigned char random[8];
    int length;

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return error_errno(error, "get random octets");
    length = snprintf(journal.claimant, sizeof(journal.claimant),
        "%s %02x%02x%02x%02x%02x%02x%02x%02x", host, random[0], random[1], random[2], random[3],
        random[4], random[5], random[6], random[7]);
    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, journal.claimant, (size_t)length, 0) != length || fsync(descriptor) != 0)
        return error_errno(error, "write the claimant's name");
    return true;
}

static bool
read_claimant(int descriptor, struct error *error)
{
    char host[65] = "";
    size_t length;
    ssize_t size = pread(descriptor, journal.claimant, sizeof(journal.claimant) - 1, 0);

    if (gethostname(host, sizeof(host) - 1) != 0)
        return error_errno(error, "find this host's name");
    length = strlen(host);
    if (size < 0)
        return error_errno(error, "read the claimant's name");
    journal.claimant[size] = '\0';
    if ((size_t)size == length + 17 && memcmp(journal.claimant, host, length) == 0 &&
        journal.claimant[length] == ' ')
        return true;
    return make_claimant(descriptor, host, error);
}

bool
journal_open(const char *directory, const char *table, struct error *error)
{
    static const char *const NAMES[FILES] = {"journal.0", "journal.1"};
    int descriptor = open_file(directory, "claimant", error);

    if (descriptor < 0)
        return false;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return error_set(error, "another smailer works with %s", directory);
    if (!read_claimant(descriptor, error))
        return false;
    for (size_t i = 0; i < FILES; i++) {
        struct stat status;

        journal.descriptors[i] = open_file(directory, NAMES[i], error);
        if (journal.descriptors[i] < 0)
            return false;
        if (fstat(journal.descriptors[i], &status) != 0)
            return error_errno(error, "look at %s/%s", directory, NAMES[i]);
        journal.sizes[i] = status.st_size;
    }
    journal.table = memory_copy_text(table);
    journal.is_open = true;
    return true;
}

const char *
journal_claimant(void)
{
    return journal.is_open ? journal.claimant : "";
}

/* ---- reading ---- */

/* The next text in the entry, NULL where it is not one. */
static const char *
next_text(const unsigned char **at, const unsigned char *end)
{
    const char *text = (const char *)*at;
    const unsigned char *nul = memchr(*at, '\0', (size_t)(end - *at));

    if (nul == NULL)
        return NULL;
    *at = nul + 1;
    return text;
}

static struct result *
unpack(const struct entry *entry, const unsigned char *octets)
{
    const unsigned char *at = octets + sizeof(*entry);
    const unsigned char *end = octets + entry->size;
    const char *texts[6];
    struct result *result;

    for (size_t i = 0; i < 6; i++) {
        texts[i] = next_text(&at, end);
        if (texts[i] == NULL)
            return NULL;
    }
    if (strcmp(texts[0], journal.table) != 0) {
        log_error("the journal has what became of row %s of %s, which is not this queue's table",
            texts[2], texts[0]);
        return NULL;
    }
    result = memory_new(1, sizeof(*result));
    *result = (struct result){.number = entry->number,
        .recorded_at = entry->recorded_at,
        .state = entry->state,
        .attempts = entry->attempts,
        .strikes = entry->strikes,
        .code = entry->code,
        .retry_in = entry->retry_in,
        .again = true};
    strlcpy(result->version, texts[1], sizeof(result->version));
    result->key = memory_copy_text(texts[2]);
    result->stage = memory_copy_text(texts[3]);
    result->reason = memory_copy_text(texts[4]);
    result->id = memory_copy_text(texts[5]);
    return result;
}

static void
remove_settled(struct result_list *results, uint64_t number)
{
    struct result *result;

    TAILQ_FOREACH(result, results, next)
    {
        if (result->number != number)
            continue;
        TAILQ_REMOVE(results, result, next);
        result_free(result);
        return;
    }
}

static void
insert_sorted(struct result_list *results, struct result *result)
{
    struct result *before = TAILQ_LAST(results, result_list);

    while (before != NULL && before->number > result->number)
        before = TAILQ_PREV(before, result_list, next);
    if (before != NULL && before->number == result->number)
        result_free(result);
    else if (before == NULL)
        TAILQ_INSERT_HEAD(results, result, next);
    else
        TAILQ_INSERT_AFTER(results, before, result, next);
}

/* Takes in one entry; the size of it, or 0 at the end. */
static size_t
read_entry(const unsigned char *octets, size_t left, struct result_list *results)
{
    struct entry entry;
    struct result *result;

    if (left < sizeof(entry))
        return 0;
    memcpy(&entry, octets, sizeof(entry));
    if (entry.magic != MAGIC || entry.size < sizeof(entry) || entry.size > left ||
        entry.sum != sum_of(octets, entry.size))
        return 0;
    if (entry.number > journal.number)
        journal.number = entry.number;
    if (entry.kind == ENTRY_SETTLED)
        remove_settled(results, entry.number);
    else if ((result = unpack(&entry, octets)) != NULL)
        insert_sorted(results, result);
    return entry.size;
}

/* Behind a half of an entry nothing is ever read: what is written next must not lie there. */
static void
cut_off(size_t file, size_t size)
{
    log_warn("the journal ends in half an entry, as a power cut leaves it");
    if (ftruncate(journal.descriptors[file], (off_t)size) == 0)
        journal.sizes[file] = (off_t)size;
    else
        log_error("the journal cannot be cut off: %s", strerror(errno));
}

static void
read_file(size_t file, struct result_list *results)
{
    size_t size = (size_t)journal.sizes[file];
    unsigned char *octets;
    size_t at = 0;
    size_t step;

    if (size == 0 || size > FILE_MOST)
        return;
    octets = memory_new(size, 1);
    if (pread(journal.descriptors[file], octets, size, 0) == (ssize_t)size) {
        while ((step = read_entry(octets + at, size - at, results)) > 0)
            at += step;
        if (at < size)
            cut_off(file, at);
    } else {
        log_error("the journal cannot be read: %s", strerror(errno));
    }
    free(octets);
}

/* ---- writing ---- */

static void
write_entry(size_t file, unsigned char *octets, size_t size)
{
    struct entry entry;

    memcpy(&entry, octets, sizeof(entry));
    entry.magic = MAGIC;
    entry.size = (uint32_t)size;
    memcpy(octets, &entry, sizeof(entry));
    entry.sum = sum_of(octets, size);
    memcpy(octets, &entry, sizeof(entry));
    if (pwrite(journal.descriptors[file], octets, size, journal.sizes[file]) != (ssize_t)size) {
        log_error("the journal cannot be written: %s: a mail may be sent twice", strerror(errno));
        return;
    }
    journal.sizes[file] += (off_t)size;
}

static bool
add_text(unsigned char *octets, size_t *size, const char *text)
{
    size_t length = strlen(text) + 1;

    if (length > ENTRY_MOST - *size)
        return false;
    memcpy(octets + *size, text, length);
    *size += length;
    return true;
}

static void
put(size_t file, const struct result *result)
{
    unsigned char octets[ENTRY_MOST];
    struct entry entry = {.number = result->number,
        .recorded_at = result->recorded_at,
        .retry_in = result->retry_in,
        .kind = ENTRY_RESULT,
        .state = result->state,
        .attempts = result->attempts,
        .strikes = result->strikes,
        .code = result->code};
    size_t size = sizeof(entry);

    journal.unsettled[file]++;
    memcpy(octets, &entry, sizeof(entry));
    if (add_text(octets, &size, journal.table) && add_text(octets, &size, result->version) &&
        add_text(octets, &size, result->key) && add_text(octets, &size, result->stage) &&
        add_text(octets, &size, result->reason) && add_text(octets, &size, result->id))
        write_entry(file, octets, size);
    else
        log_error("the key of a row is too long for the journal");
    journal.is_dirty = true;
}

void
journal_append(struct result *result)
{
    result->number = ++journal.number;
    if (!journal.is_open)
        return;
    if (journal.sizes[journal.turn] > FILE_FULL && journal.sizes[1 - journal.turn] == 0) {
        journal.turn = 1 - journal.turn;
        journal.first[journal.turn] = result->number;
    }
    put(journal.turn, result);
}

static void
empty(size_t file)
{
    if (ftruncate(journal.descriptors[file], 0) == 0)
        journal.sizes[file] = 0;
}

/* What is left is written into one file before the other is emptied. */
void
journal_read(struct result_list *results)
{
    struct result_list left = TAILQ_HEAD_INITIALIZER(left);
    struct result *result;

    if (!journal.is_open)
        return;
    for (size_t i = 0; i < FILES; i++)
        read_file(i, &left);
    TAILQ_FOREACH(result, &left, next)
    put(journal.turn, result);
    if (TAILQ_EMPTY(&left)) {
        empty(0);
        empty(1);
        return;
    }
    journal_sync();
    empty(1 - journal.turn);
    log_info(
        "what became of %zu mails is written down again", (size_t)journal.unsettled[journal.turn]);
    TAILQ_CONCAT(results, &left, next);
}

void
journal_settle(const struct result *result)
{
    unsigned char octets[sizeof(struct entry)];
    struct entry entry = {.number = result->number, .kind = ENTRY_SETTLED};
    size_t file = journal.turn;

    if (!journal.is_open)
        return;
    /* The other file has the older entries. */
    if (result->number < journal.first[file] && journal.unsettled[1 - file] > 0)
        file = 1 - file;
    if (journal.unsettled[file] > 0)
        journal.unsettled[file]--;
    if (journal.unsettled[0] == 0 && journal.unsettled[1] == 0)
        journal.is_dirty = false;
    if (journal.unsettled[file] == 0 && (file != journal.turn || journal.sizes[file] > FILE_FULL) &&
        ftruncate(journal.descriptors[file], 0) == 0) {
        journal.sizes[file] = 0;
        journal.first[file] = journal.number + 1;
        return;
    }
    memcpy(octets, &entry, sizeof(entry));
    write_entry(file, octets, sizeof(octets));
}

bool
journal_needs_sync(void)
{
    return journal.is_dirty;
}

void
journal_sync(void)
{
    for (size_t i = 0; i < FILES && journal.is_open; i++) {
        if (journal.sizes[i] > 0 && fdatasync(journal.descriptors[i]) != 0)
            log_error("the journal cannot be synced: %s", strerror(errno));
    }
    journal.is_dirty = false;
}
