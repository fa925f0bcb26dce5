#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/find.h"
#include "queue/record.h"
#include "queue/sync.h"

struct queue_sweep {
    struct queue *queue;
    struct queue_sweep_rules rules;
    size_t phase;
    DIR *names; /* of the phase's directory, or NULL */
    int64_t now;
};

struct phase {
    enum directory directory;
    enum mail_state place;
    bool (*visit)(struct queue_sweep *, const struct phase *, const char *, struct error *);
};

static int64_t
milliseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

static bool
remove_name(struct queue *queue, enum directory directory, const char *name, struct error *error)
{
    directory_touch(queue, directory);
    return unlinkat(queue->directories[directory], name, 0) == 0 || errno == ENOENT ||
           error_errno(error, "remove %s/%s/%s", queue->path, directory_name(directory), name);
}

static bool
remove_mail(struct queue_sweep *sweep, const struct phase *phase,
    const struct mail_identity *identity, struct error *error)
{
    struct queue *queue = sweep->queue;
    enum directory records = directory_of_records(phase->place);
    struct mail_record record = {0};
    uint64_t hash = queue_mail_hash(queue, identity);

    if (records != DIRECTORY_COUNT)
        queue_mail_record(queue, identity, sweep->now, &record);
    if (!remove_name(queue, phase->directory, identity->name, error))
        return false;
    if (records != DIRECTORY_COUNT)
        record_remove(queue, records, hash);
    sweep->rules.removed(sweep->rules.context, queue, identity, hash, record.id);
    return true;
}

static bool
visit_mail(
    struct queue_sweep *sweep, const struct phase *phase, const char *name, struct error *error)
{
    int64_t keep = phase->place == MAIL_SENT ? sweep->rules.keep_sent : sweep->rules.keep_dropped;
    struct mail_identity identity = {.place = phase->place};
    struct stat status;

    if (keep <= 0 || name[0] == '.' ||
        fstatat(sweep->queue->directories[phase->directory], name, &status, AT_SYMLINK_NOFOLLOW) !=
            0 ||
        S_ISDIR(status.st_mode) || sweep->now - milliseconds(&status.st_ctim) <= keep)
        return true;
    memcpy(identity.name, name, strlen(name) + 1);
    find_identify(&identity, &status);
    return remove_mail(sweep, phase, &identity, error);
}

static bool
is_file_of(
    struct queue *queue, enum mail_state place, const char *name, const char *first, uint64_t hash)
{
    int directory = directory_get(queue, directory_of(place), NULL);
    struct mail_identity identity;
    struct stat status;

    if (directory < 0 || fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    find_identify(&identity, &status);
    return name_hash(queue, first, identity.mtime_ns) == hash;
}

/* Its file may have its first name, or one of those that it got instead. */
static bool
has_file(
    struct queue *queue, enum mail_state place, const struct mail_record *record, uint64_t hash)
{
    char variant[QUEUE_NAME_SIZE];

    if (is_file_of(queue, place, record->name, record->name, hash))
        return true;
    for (unsigned int i = 0; i < NAME_VARIANTS_MAX; i++) {
        name_variant(variant, record->name, hash, i);
        if (is_file_of(queue, place, variant, record->name, hash))
            return true;
    }
    return false;
}

/* Records whose file is gone, damaged ones, and what a death left half written. */
static bool
visit_record(
    struct queue_sweep *sweep, const struct phase *phase, const char *name, struct error *error)
{
    struct queue *queue = sweep->queue;
    struct mail_record record;
    struct stat status;
    uint64_t hash;

    if (record_is_under_way(name) ||
        fstatat(queue->directories[phase->directory], name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || sweep->now - milliseconds(&status.st_ctim) <= QUEUE_GRACE)
        return true;
    if (strlen(name) == NAME_HASH_SIZE - 1 && name_parse_hash(name, &hash) &&
        record_read(queue, phase->directory, hash, &record) &&
        has_file(queue, phase->place, &record, hash))
        return true;
    return remove_name(queue, phase->directory, name, error);
}

/* In a single directory. */
static bool
visit_leftover(
    struct queue_sweep *sweep, const struct phase *phase, const char *name, struct error *error)
{
    struct queue *queue = sweep->queue;

    (void)phase;
    (void)error;
    if (queue->kind->sweep(queue, name, sweep->now) && sweep->rules.alone != NULL)
        sweep->rules.alone(sweep->rules.context, name);
    return true;
}

static const struct phase SINGLE[] = {{DIRECTORY_QUEUE, MAIL_WAITING, visit_leftover}};
static const struct phase PHASES[] = {
    {DIRECTORY_SENT, MAIL_SENT, visit_mail},
    {DIRECTORY_DROP, MAIL_DROPPED, visit_mail},
    {DIRECTORY_STATE, MAIL_WAITING, visit_record},
    {DIRECTORY_DEFER_STATE, MAIL_DEFERRED, visit_record},
    {DIRECTORY_DROP_STATE, MAIL_DROPPED, visit_record},
};

static const struct phase *
get_phase(const struct queue_sweep *sweep)
{
    bool is_single = sweep->queue->kind->single_directory;
    size_t count =
        is_single ? sizeof(SINGLE) / sizeof(SINGLE[0]) : sizeof(PHASES) / sizeof(PHASES[0]);

    return sweep->phase < count ? &(is_single ? SINGLE : PHASES)[sweep->phase] : NULL;
}

struct queue_sweep *
queue_sweep_begin(struct queue *queue, const struct queue_sweep_rules *rules)
{
    struct queue_sweep *sweep = memory_new(1, sizeof(*sweep));

    sweep->queue = queue;
    sweep->rules = *rules;
    return sweep;
}

static void
next_phase(struct queue_sweep *sweep)
{
    closedir(sweep->names);
    sweep->names = NULL;
    sweep->phase++;
}

enum queue_result
queue_sweep_step(struct queue_sweep *sweep, int64_t now, size_t limit, struct error *error)
{
    const struct phase *phase = get_phase(sweep);
    const struct dirent *entry;

    memset(error, 0, sizeof(*error));
    if (phase == NULL)
        return QUEUE_DONE;
    if (!sync_trusts(sweep->queue, error))
        return QUEUE_FAILED;
    if (sweep->names == NULL)
        sweep->names = find_names(sweep->queue, phase->directory, error);
    if (sweep->names == NULL)
        return QUEUE_FAILED;
    sweep->now = now;
    for (size_t i = 0; i < limit; i++) {
        entry = readdir(sweep->names);
        if (entry == NULL) {
            next_phase(sweep);
            return QUEUE_MORE;
        }
        if (!phase->visit(sweep, phase, entry->d_name, error))
            return QUEUE_FAILED;
    }
    return QUEUE_MORE;
}

void
queue_sweep_end(struct queue_sweep *sweep)
{
    if (sweep == NULL)
        return;
    if (sweep->names != NULL)
        closedir(sweep->names);
    free(sweep);
}
