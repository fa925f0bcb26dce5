#include "master/queues.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "master/program.h"

#define SID_MAX 255
#define NOTICES_EXPIRE (INT64_C(5) * 24 * 3600 * 1000)

/* What names a directory in the kernel. */
struct identity {
    dev_t device;
    ino_t inode;
};

struct search {
    struct configuration *configuration;
    struct identity *found; /* one for each queue; all zero for a table */
    unsigned tables;
    bool warn;
};

typedef void (*section_find)(struct search *search, const struct section_settings *section);

/* A sid stands in command lines, in logs and behind a section's name: one line of UTF-8, without a
 * slash, and no hidden directory. */
static bool
sid_is_valid(const char *sid)
{
    size_t length = strlen(sid);
    if (length == 0 || length > SID_MAX || sid[0] == '.' || !text_is_utf8(sid, length))
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)sid[i] < 0x20 || sid[i] == 0x7f || sid[i] == '/')
            return false;
    return true;
}

/* Opens the directory STEP in DESCRIPTOR, which is closed; -1 with errno set, ELOOP for a link. */
static int
directory_step(int descriptor, const char *step)
{
    struct stat status;
    int next = openat(descriptor, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int reason = errno;
    if (next < 0 && fstatat(descriptor, step, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode))
        reason = ELOOP;
    close(descriptor);
    errno = reason;
    return next;
}

/* Opens the directory RELATIVE below DESCRIPTOR, step by step, following no link; -1 with errno
 * set. */
static int
directory_open_below(int descriptor, const char *relative)
{
    int at = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    char *path = memory_copy_text(relative);
    char *rest = path;
    for (char *step = strsep(&rest, "/"); at >= 0 && step != NULL; step = strsep(&rest, "/"))
        if (step[0] != '\0')
            at = directory_step(at, step);
    int reason = errno;
    free(path);
    errno = reason;
    return at;
}

/* The place of the queue that is the directory STATUS already, or queue_count. */
static size_t
queue_with(const struct search *search, const struct stat *status)
{
    size_t i = 0;
    while (i < search->configuration->queue_count &&
           (search->found[i].inode != status->st_ino || search->found[i].device != status->st_dev))
        i++;
    return i;
}

static void
text_replace(char **text, const char *with)
{
    free(*text);
    *text = memory_copy_text(with);
}

/* This host's name, as people know it. */
static void
hostname_set(char **hostname)
{
    char name[HOST_NAME_MAX + 1] = "";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
        text_replace(hostname, "localhost");
    else
        text_replace(hostname, name);
}

/* Says it where nothing could be moved in a queue, for what is made there must be its owner's. */
static void
owner_check(const struct configuration *configuration, const struct queue_settings *queue,
    const struct stat *status)
{
    struct program_rights rights;
    struct error error;
    const struct passwd *entry;

    if (!program_find_rights(configuration, ROLE_QMGR, &rights, &error) ||
        (rights.keep & PRIVILEGE_WRITE_ANY) != 0 ||
        status->st_uid == (rights.drop ? rights.user.uid : geteuid()))
        return;
    entry = getpwuid(status->st_uid);
    log_warn("queue %s/%s: %s belongs to user %s (%u), who is not the one that smailer-qmgr runs "
             "as: nothing can be moved in it; spool_user names the owner, or \"*\" for many",
        queue->section, queue->sid, queue->path, entry != NULL ? entry->pw_name : "unknown",
        (unsigned)status->st_uid);
}

/* Adds the base SID of SECTION, whose queue is PATH, the directory STATUS; NULL where that is
 * another base's already. It lives until the next one is added. */
static struct queue_settings *
queue_add(struct search *search, const struct section_settings *section, const char *sid,
    const char *path, const struct stat *status)
{
    struct configuration *configuration = search->configuration;
    size_t twin = queue_with(search, status);
    if (twin < configuration->queue_count) {
        if (search->warn)
            log_warn("queue %s/%s: left out, its directory is %s/%s's already", section->name, sid,
                configuration->queues[twin].section, configuration->queues[twin].sid);
        return NULL;
    }
    struct queue_settings *queue = configuration_add_queue(configuration);
    queue->kind = section->kind;
    text_replace(&queue->section, section->name);
    text_replace(&queue->sid, sid);
    text_replace(&queue->path, path);
    text_replace(&queue->pattern, section->pattern != NULL ? section->pattern : "*");
    queue->interval = configuration->settings.retry_interval;
    if (search->warn)
        owner_check(configuration, queue, status);
    search->found = memory_resize(search->found, configuration->queue_count, sizeof *search->found);
    search->found[configuration->queue_count - 1] =
        (struct identity){.device = status->st_dev, .inode = status->st_ino};
    return queue;
}

static void
base_find(struct search *search, const struct section_settings *section, int root, const char *sid)
{
    struct stat status;
    char *relative = memory_format("%s/%s", sid, section->path);
    int directory = directory_open_below(root, relative);
    int reason = errno;
    char *path = memory_format("%s/%s", section->root, relative);
    free(relative);
    if (directory >= 0 && fstat(directory, &status) == 0)
        queue_add(search, section, sid, path, &status);
    else if (search->warn && reason != ENOENT && reason != ENOTDIR)
        log_warn("queue %s/%s: %s/%s/%s cannot be used: %s", section->name, sid, section->root, sid,
            section->path, strerror(reason));
    if (directory >= 0)
        close(directory);
    free(path);
}

static int
entry_is_sid(const struct dirent *entry)
{
    return sid_is_valid(entry->d_name);
}

static int
entry_compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Every ROOT/SID/PATH that is a directory. */
static void
spool_find(struct search *search, const struct section_settings *section)
{
    struct dirent **entries = NULL;
    size_t before = search->configuration->queue_count;
    int root = open(section->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = root < 0 ? -1 : scandirat(root, ".", &entries, entry_is_sid, entry_compare);
    if (count < 0 && search->warn)
        log_warn("spool %s: root %s: %s; it is used once it is there", section->name, section->root,
            strerror(errno));
    for (int i = 0; i < count; i++) {
        base_find(search, section, root, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (count >= 0 && search->warn && search->configuration->queue_count == before)
        log_warn("spool %s: no base below %s has the directory %s; one that appears is used",
            section->name, section->root, section->path);
    if (root >= 0)
        close(root);
}

/* A table is the queue of one base, which is called as its section is. */
static void
table_find(struct search *search, const struct section_settings *section)
{
    struct configuration *configuration = search->configuration;
    struct queue_settings *queue = configuration_add_queue(configuration);
    queue->kind = section->kind;
    text_replace(&queue->section, section->name);
    text_replace(&queue->sid, section->name);
    text_replace(&queue->conninfo, section->conninfo);
    text_replace(&queue->table, section->table);
    text_replace(&queue->key, section->key);
    text_replace(&queue->time, section->time);
    text_replace(&queue->sender, section->sender);
    text_replace(&queue->address, section->address);
    text_replace(&queue->topic, section->topic);
    text_replace(&queue->content, section->content);
    text_replace(&queue->status, section->status);
    queue->lease = section->lease;
    queue->batch = section->batch;
    queue->keep_sent = section->keep_sent;
    queue->keep_dropped = section->keep_dropped;
    queue->instance = search->tables++;
    search->found = memory_resize(search->found, configuration->queue_count, sizeof *search->found);
    search->found[configuration->queue_count - 1] = (struct identity){0};
}

/* A queue of sendmail's is that of one base, which is called as its section is. */
static void
mqueue_find(struct search *search, const struct section_settings *section)
{
    struct stat status;
    if (stat(section->directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
        if (search->warn)
            log_warn("mqueue %s: directory %s: %s; it is used once it is there", section->name,
                section->directory, strerror(errno));
        return;
    }
    struct queue_settings *queue =
        queue_add(search, section, section->name, section->directory, &status);
    if (queue == NULL)
        return;
    queue->interval = section->interval;
    queue->expire = section->expire;
    queue->warn_after = section->warn_after;
    text_replace(&queue->aliases, section->aliases);
    text_replace(&queue->local_to, section->local_to);
    text_replace(&queue->hostname, section->hostname);
    if (queue->hostname[0] == '\0')
        hostname_set(&queue->hostname);
}

static const section_find FIND[SECTION_KIND_COUNT] = {
    [SECTION_SPOOL] = spool_find, [SECTION_SQL] = table_find, [SECTION_MQUEUE] = mqueue_find};

static bool
notices_are_wanted(const struct configuration *configuration)
{
    for (size_t i = 0; i < configuration->account_count; i++)
        if (strcmp(configuration->accounts[i].notify, "none") != 0)
            return true;
    return false;
}

/* The queue for what is told of mails that have no mqueue of their own. */
static void
notices_add(struct configuration *configuration)
{
    struct queue_settings *queue = configuration_add_queue(configuration);
    queue->kind = SECTION_MQUEUE;
    text_replace(&queue->section, CONFIGURATION_NOTICES);
    text_replace(&queue->sid, CONFIGURATION_NOTICES);
    text_replace(&queue->pattern, "*");
    free(queue->path);
    queue->path = memory_format("%s/notices", configuration->settings.state_directory);
    queue->interval = configuration->settings.retry_interval;
    queue->expire = NOTICES_EXPIRE;
    hostname_set(&queue->hostname);
}

void
queues_find(struct configuration *configuration, bool warn)
{
    struct search search = {.configuration = configuration, .warn = warn};
    configuration_clear_queues(configuration);
    for (size_t i = 0; i < configuration->section_count; i++)
        FIND[configuration->sections[i].kind](&search, &configuration->sections[i]);
    if (notices_are_wanted(configuration))
        notices_add(configuration);
    free(search.found);
}

static bool
queues_equal(const struct configuration *a, const struct configuration *b)
{
    if (a->queue_count != b->queue_count)
        return false;
    for (size_t i = 0; i < a->queue_count; i++)
        if (a->queues[i].kind != b->queues[i].kind ||
            strcmp(a->queues[i].path, b->queues[i].path) != 0 ||
            strcmp(a->queues[i].section, b->queues[i].section) != 0 ||
            strcmp(a->queues[i].sid, b->queues[i].sid) != 0)
            return false;
    return true;
}

bool
queues_changed(const struct configuration *configuration)
{
    struct configuration now = *configuration; /* whose sections are borrowed */
    now.queues = NULL;
    now.queue_count = 0;
    queues_find(&now, false);
    bool changed = !queues_equal(configuration, &now);
    configuration_clear_queues(&now);
    return changed;
}
