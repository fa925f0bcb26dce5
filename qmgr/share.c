#include "qmgr/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/account.h"

#define NAME "qmgr/shared"
#define RECORD_SIZE 1024

/* The locks lie behind all that can be written: the table's, and then those of each record. */
#define TABLE_LOCK (INT64_C(1) << 40)
#define LOCKS_EACH 4096

enum lock_number {
    LOCK_RECORD, /* it is being read and written */
    LOCK_PAUSE, /* a mail is under way, after which there is a pause */
    LOCK_WANT, /* somebody wants a connection: shared by all who do */
    LOCK_CONNECTIONS /* the first of as many as the account may have */
};

/* Times are of the monotonic clock, which all processes share until the machine is started anew;
 * what is from before is passed over then. */
struct record {
    char address[328];
    int64_t second; /* the last one that is counted */
    int64_t rest_until; /* ms */
    uint32_t seconds[QUOTA_SECONDS];
};

_Static_assert(sizeof(struct record) <= RECORD_SIZE, "a record has its place");

static int file = -1;

void
share_prepare(void)
{
    const char *state = service_configuration()->settings.state_directory;
    char *directory = memory_format("%s/qmgr", state);
    char *path = memory_format("%s/" NAME, state);

    if (mkdir(directory, 0700) == 0 || errno == EEXIST)
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (file < 0)
        log_warn("%s: %s: the accounts' limits count for each daemon and each run of another queue "
                 "alone",
            path, strerror(errno));
    free(directory);
    free(path);
}

/* From now on nothing is shared. */
static void
give_up(const char *what)
{
    log_error("%s " NAME ": %s: the accounts' limits count for these programs alone", what,
        strerror(errno));
    close(file);
    file = -1;
}

/* --- locks --- */

static off_t
place_of(const struct account *account, uint32_t number)
{
    return TABLE_LOCK + (off_t)account->share.record * LOCKS_EACH + number;
}

/* False where another has it, or it cannot be had. These locks belong to the open file, so to this
 * process alone, and are no other's to free. */
static bool
lock(int command, short type, off_t place)
{
    struct flock wanted = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = place, .l_len = 1, .l_pid = 0};
    int result;

    do
        result = fcntl(file, command, &wanted);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

static void
unlock(off_t place)
{
    if (file >= 0 && !lock(F_OFD_SETLK, F_UNLCK, place))
        give_up("unlock");
}

/* Waits for it: nobody holds it for longer than a read and a write. */
static bool
lock_soon(off_t place)
{
    if (lock(F_OFD_SETLKW, F_WRLCK, place))
        return true;
    give_up("lock");
    return false;
}

/* True where somebody else has it. */
static bool
is_anothers(off_t place)
{
    struct flock asked = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place, .l_len = 1, .l_pid = 0};

    return fcntl(file, F_OFD_GETLK, &asked) == 0 && asked.l_type != F_UNLCK;
}

/* --- records --- */

static off_t
offset_of(uint32_t number)
{
    return (off_t)(number - 1) * RECORD_SIZE;
}

static bool
read_record(uint32_t number, struct record *record)
{
    if (pread(file, record, sizeof(*record), offset_of(number)) != (ssize_t)sizeof(*record))
        return false;
    record->address[sizeof(record->address) - 1] = '\0';
    return true;
}

static bool
write_record(uint32_t number, const struct record *record)
{
    return pwrite(file, record, sizeof(*record), offset_of(number)) == (ssize_t)sizeof(*record);
}

/* The number of the record of ADDRESS, which is made where there is none; 0 where that fails. */
static uint32_t
find_record(const char *address)
{
    struct record record;
    uint32_t number = 1;

    for (; read_record(number, &record); number++) {
        if (strcasecmp(record.address, address) == 0)
            return number;
    }
    record = (struct record){.second = 0};
    strlcpy(record.address, address, sizeof(record.address));
    return write_record(number, &record) ? number : 0;
}

/* True where ACCOUNT has a record, as it has from its first use on. */
static bool
is_shared(struct account *account)
{
    if (file < 0 || account->share.record != 0)
        return file >= 0;
    if (!lock_soon(TABLE_LOCK))
        return false;
    account->share.record = find_record(account->settings->address);
    unlock(TABLE_LOCK);
    if (account->share.record == 0)
        give_up("write");
    return file >= 0;
}

static void
load(struct account *account)
{
    struct quota *quota = &account->quota;
    struct record record;

    if (!read_record(account->share.record, &record))
        return;
    quota->second = record.second;
    quota->rest_until = record.rest_until;
    memcpy(quota->seconds, record.seconds, sizeof(quota->seconds));
}

static void
store(const struct account *account)
{
    const struct quota *quota = &account->quota;
    struct record record = {.second = quota->second, .rest_until = quota->rest_until};

    strlcpy(record.address, account->settings->address, sizeof(record.address));
    memcpy(record.seconds, quota->seconds, sizeof(record.seconds));
    if (!write_record(account->share.record, &record))
        give_up("write");
}

/* --- connections --- */

/* The kernel would give this process a lock twice. */
static bool
is_own(const struct account *account, uint32_t place)
{
    const struct worker *worker;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    {
        if (worker->place == place)
            return true;
    }
    return false;
}

uint32_t
share_take_connection(struct account *account)
{
    uint32_t most = account->settings->connections;

    if (!is_shared(account))
        return 0;
    for (uint32_t place = 0; place < most; place++) {
        if (is_own(account, place))
            continue;
        if (lock(F_OFD_SETLK, F_WRLCK, place_of(account, LOCK_CONNECTIONS + place)))
            return place;
        if (errno != EAGAIN && errno != EACCES) {
            give_up("lock");
            return 0;
        }
    }
    return SHARE_NONE;
}

void
share_release_connection(struct account *account, uint32_t place)
{
    if (place != SHARE_NONE && account->share.record != 0)
        unlock(place_of(account, LOCK_CONNECTIONS + place));
}

void
share_want(struct account *account, bool wants)
{
    if (account->share.wanting == wants || !is_shared(account))
        return;
    account->share.wanting = wants;
    if (!lock(F_OFD_SETLK, wants ? F_RDLCK : F_UNLCK, place_of(account, LOCK_WANT)))
        give_up("lock");
}

bool
share_is_wanted(struct account *account)
{
    return is_shared(account) && is_anothers(place_of(account, LOCK_WANT));
}

/* --- mails --- */

static bool
has_limits(const struct account *account)
{
    return account->limits.per_minute > 0 || account->limits.delay > 0;
}

void
share_look(struct account *account)
{
    if (has_limits(account) && is_shared(account))
        load(account);
}

/* True unless another program's mail is under way, after which there is a pause. */
static bool
take_pause(struct account *account)
{
    return account->limits.delay == 0 || lock(F_OFD_SETLK, F_WRLCK, place_of(account, LOCK_PAUSE));
}

static bool
begin(struct account *account, bool forced, struct quota_moment *moment)
{
    int64_t wall = clock_now_ms();
    int64_t steady = clock_monotonic_ms();
    bool has_room = quota_room(&account->quota, &account->limits, wall, steady) > 0;

    if (!forced && !has_room)
        return false;
    *moment = quota_begin(&account->quota, wall, steady);
    return true;
}

bool
share_begin(struct account *account, bool forced, struct quota_moment *moment)
{
    bool done;

    if (!has_limits(account) || !is_shared(account) || !lock_soon(place_of(account, LOCK_RECORD)))
        return begin(account, forced, moment);
    load(account);
    done = (take_pause(account) || forced) && begin(account, forced, moment);
    if (done) {
        /* Should this process die with it in hand, the pause counts from here. */
        account->quota.rest_until = clock_monotonic_ms() + account->limits.delay;
        store(account);
    }
    unlock(place_of(account, LOCK_RECORD));
    if (account->quota.begun == 0)
        unlock(place_of(account, LOCK_PAUSE));
    return done;
}

void
share_end(struct account *account, struct quota_moment moment, bool handed_over)
{
    bool shared =
        has_limits(account) && is_shared(account) && lock_soon(place_of(account, LOCK_RECORD));

    if (shared)
        load(account);
    quota_end(&account->quota, &account->limits, moment, handed_over, clock_monotonic_ms());
    if (!shared)
        return;
    store(account);
    unlock(place_of(account, LOCK_RECORD));
    if (account->quota.begun == 0)
        unlock(place_of(account, LOCK_PAUSE));
}
