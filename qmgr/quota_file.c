#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/quota_file.h"

#define NAME "quotas"
#define NEW_NAME ".quotas.new"
#define LINE_SIZE 2048

static struct {
    char *path; /* of the directory; NULL: none */
    int directory;
    ino_t written; /* the file as this process left it; another one is another program's */
    struct quota *seen; /* of each account, as it was written down or read last */
    struct quota *theirs; /* and as the file has it; hour 0: it says nothing of it */
    uint32_t count;
    bool failing; /* writing does: said once */
} file = {.directory = -1};

static bool
is_needed(void)
{
    const struct configuration *configuration = service_configuration();

    for (size_t i = 0; i < configuration->account_count; i++) {
        if (configuration->accounts[i].mails_per_day > 0)
            return true;
    }
    return false;
}

const char *
quota_file_prepare(void)
{
    if (!is_needed())
        return NULL;
    file.path = memory_format("%s/qmgr", service_configuration()->settings.state_directory);
    if (mkdir(file.path, 0700) == 0 || errno == EEXIST)
        file.directory = open(file.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (file.directory >= 0)
        return file.path;
    log_warn("%s: %s: mails_per_day starts anew with every restart", file.path, strerror(errno));
    return NULL;
}

static struct account *
find(const char *address)
{
    struct account *account;

    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++) {
        if (strcasecmp(account->settings->address, address) == 0)
            return account;
    }
    return NULL;
}

/* A number of decimal digits, and what comes behind it. */
static bool
take_number(const char **text, int64_t most, int64_t *number)
{
    char *end;

    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    *number = strtoll(*text, &end, 10);
    *text = end + (*end == ' ');
    return errno == 0 && *number <= most && (*end == ' ' || *end == '\0');
}

/* False where LINE is not as it should be; what is understood counts. */
static bool
read_line(char *line)
{
    char *address = strsep(&line, "\t");
    struct account *account = find(address);
    const char *text = line;
    int64_t hour;
    int64_t count;

    if (text == NULL)
        return false;
    while (*text != '\0') {
        if (!take_number(&text, INT64_MAX / 2, &hour) ||
            !take_number(&text, QUOTA_HOUR_MOST, &count))
            return false;
        if (account != NULL)
            quota_recall(&file.theirs[account->number], hour, (uint32_t)count, clock_now_ms());
    }
    return true;
}

/* False where not everything could be understood. */
static bool
read_stream(FILE *stream)
{
    char line[LINE_SIZE];
    bool right = true;

    while (fgets(line, sizeof(line), stream) != NULL) {
        size_t length = strcspn(line, "\n");

        right = line[length] == '\n' && right;
        line[length] = '\0';
        right = read_line(line) && right;
    }
    if (!right || ferror(stream) != 0)
        log_warn("%s/" NAME " is damaged: what it says of mails_per_day is used as far as it can "
                 "be understood",
            file.path);
    return right && ferror(stream) == 0;
}

/* Fills in what the file says; false where it is damaged. */
static bool
read_file(void)
{
    int descriptor = openat(file.directory, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FILE *stream;
    bool is_whole;

    memset(file.theirs, 0, file.count * sizeof(*file.theirs));
    if (descriptor < 0 && errno == ENOENT)
        return true;
    if (descriptor < 0) {
        log_warn("open %s/" NAME ": %s", file.path, strerror(errno));
        return false;
    }
    stream = fdopen(descriptor, "r");
    if (stream == NULL) {
        close(descriptor);
        return false;
    }
    is_whole = read_stream(stream);
    (void)fclose(stream);
    return is_whole;
}

/* What the file does not know any more, this process still does. True where the file has to be
 * written. */
static bool
merge(void)
{
    struct account *account;
    bool is_new = false;

    for (uint32_t i = 0; (account = accounts_get(i)) != NULL && i < file.count; i++) {
        if (file.theirs[i].hour == 0)
            file.theirs[i] = file.seen[i];
        is_new |= quota_merge(&account->quota, &file.seen[i], &file.theirs[i], clock_now_ms());
    }
    return is_new;
}

void
quota_file_read(void)
{
    if (file.directory < 0)
        return;
    while (accounts_get(file.count) != NULL)
        file.count++;
    free(file.seen);
    free(file.theirs);
    file.seen = memory_new(file.count, sizeof(*file.seen));
    file.theirs = memory_new(file.count, sizeof(*file.theirs));
    (void)read_file(); /* it has said what is wrong */
    (void)merge();
}

static void
write_account(FILE *stream, const struct account *account)
{
    const struct quota *quota = &account->quota;

    fprintf(stream, "%s\t", account->settings->address);
    for (int64_t hour = quota->hour - QUOTA_HOURS + 1; hour <= quota->hour; hour++) {
        uint32_t count = quota->hours[(uint64_t)hour % QUOTA_HOURS];

        if (count > 0)
            fprintf(stream, "%" PRId64 " %" PRIu32 " ", hour, count);
    }
    fprintf(stream, "\n");
}

static bool
write_new(struct error *error)
{
    int descriptor = openat(
        file.directory, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *stream = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    const struct account *account;
    bool failed;

    if (stream == NULL) {
        error_errno(error, "open %s/" NEW_NAME, file.path);
        if (descriptor >= 0)
            close(descriptor);
        return false;
    }
    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++) {
        if (account->settings->mails_per_day > 0)
            write_account(stream, account);
    }
    failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed)
        return error_errno(error, "write %s/" NEW_NAME, file.path);
    if (renameat(file.directory, NEW_NAME, file.directory, NAME) != 0)
        return error_errno(error, "rename %s/" NEW_NAME, file.path);
    return true;
}

/* True where a count changed; from now on it is not. */
static bool
take_changes(void)
{
    struct account *account;
    bool changed = false;

    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++) {
        changed = (account->settings->mails_per_day > 0 && account->quota.changed) || changed;
        account->quota.changed = false;
    }
    return changed;
}

/* True where another program has written since this one did. */
static bool
is_anothers(void)
{
    struct stat status;

    return fstatat(file.directory, NAME, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_ino != file.written;
}

/* Takes in what others have counted, and writes down what they have not. */
static bool
exchange(struct error *error)
{
    struct stat status;
    bool is_new;
    bool done;

    if (flock(file.directory, LOCK_EX) != 0)
        return error_errno(error, "lock %s", file.path);
    /* Of a damaged one, what this process knows is better. */
    is_new = !read_file();
    if (is_new)
        memset(file.theirs, 0, file.count * sizeof(*file.theirs));
    is_new |= merge();
    done = !is_new || write_new(error);
    if (done && fstatat(file.directory, NAME, &status, AT_SYMLINK_NOFOLLOW) == 0)
        file.written = status.st_ino;
    flock(file.directory, LOCK_UN);
    return done;
}

/* Not synced: a program that dies loses nothing by that, and a power cut the last counts. */
static void
bring_together(void)
{
    struct error error;

    if (exchange(&error)) {
        file.failing = false;
        return;
    }
    if (!file.failing)
        log_error("%s: mails_per_day may start anew with a restart", error.text);
    file.failing = true;
}

void
quota_file_write(void)
{
    if (file.directory >= 0 && take_changes())
        bring_together();
}

void
quota_file_look(void)
{
    if (file.directory >= 0 && is_anothers())
        bring_together();
}
