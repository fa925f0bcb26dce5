#include "qmgr/maildrop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "qmgr/base.h"
#include "qmgr/submission.h"
#include "queue/control_file.h"

/* A file that did not become whole for so long never will. */
#define PARTIAL_SECONDS 86400

/* One message at a time: the next is taken when this one is on the disk. */
static struct {
    const char *path;
    struct event *next;
    struct event *again;
    DIR *names; /* the scan under way, or NULL */
    char name[256]; /* of the message in hand */
    bool stuck; /* a file that was taken cannot be removed: it would be taken again */
} drop;

void
maildrop_prepare(struct service_paths *paths)
{
    drop.path = memory_format("%s/maildrop", service_configuration()->settings.state_directory);
    service_allow(paths, drop.path, SANDBOX_READ | SANDBOX_LIST | SANDBOX_WRITE);
}

static void
end_scan(void)
{
    if (drop.names != NULL)
        closedir(drop.names);
    drop.names = NULL;
    if (!drop.stuck)
        service_timer_start(drop.again, service_configuration()->settings.scan_interval);
}

static void
remove_file(const char *name)
{
    if (unlinkat(dirfd(drop.names), name, 0) == 0 || errno == ENOENT)
        return;
    drop.stuck = true;
    log_error("%s/%s cannot be removed, nothing more is taken from there: %s", drop.path, name,
        strerror(errno));
}

/* What was refused for good would be refused again. */
static void
on_told(void *context, int status, const char *words)
{
    (void)context;
    if (status != EX_OK)
        log_warn("%s/%s: not taken%s: %s", drop.path, drop.name,
            status == EX_TEMPFAIL || status == EX_CANTCREAT ? " yet" : ", removed", words);
    if (status == EX_TEMPFAIL || status == EX_CANTCREAT) {
        end_scan();
        return;
    }
    remove_file(drop.name);
    if (fsync(dirfd(drop.names)) != 0)
        log_warn("sync %s: %s", drop.path, strerror(errno));
    if (drop.stuck)
        end_scan();
    else
        service_timer_start(drop.next, 0);
}

/* The first queue of sendmail's that main.cf names. */
static struct base *
find_base(void)
{
    struct base *base;

    for (uint32_t i = 0; (base = bases_get(i)) != NULL; i++)
        if (base_is_mqueue(base) && strcmp(base->settings->section, CONFIGURATION_NOTICES) != 0)
            return base;
    return NULL;
}

/* A copy that its writer cannot change any more; -1 on failure. */
static int
copy_sealed(int from, off_t size)
{
    int copy = memfd_create("submission", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct error error;
    off_t at = 0;

    while (copy >= 0 && at < size) {
        ssize_t count = sendfile(copy, from, &at, (size_t)(size - at));

        if (count == 0 || (count < 0 && errno != EINTR))
            break;
    }
    if (copy >= 0 && at == size && sealed_seal(copy, &error))
        return copy;
    if (copy >= 0)
        close(copy);
    return -1;
}

/* False where the file NAME is not for taking, now or ever. */
static bool
check(const char *name, const struct stat *status)
{
    const off_t most =
        (off_t)service_configuration()->settings.max_message_size + CONTROL_FILE_SIZE_MAX;

    if (!S_ISREG(status->st_mode) || status->st_nlink != 1 || status->st_size > most) {
        log_warn("%s/%s: no message, removed", drop.path, name);
        remove_file(name);
        return false;
    }
    if ((status->st_mode & S_IRGRP) != 0)
        return true;
    if (clock_now_ms() / 1000 - status->st_mtime > PARTIAL_SECONDS)
        remove_file(name);
    return false;
}

/* True where the file was taken in hand: on_told() is called. */
static bool
take(const char *name)
{
    struct stat status;
    int descriptor;
    int content;

    if (fstatat(dirfd(drop.names), name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !check(name, &status))
        return false;
    descriptor =
        openat(dirfd(drop.names), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        log_warn("%s/%s: %s", drop.path, name, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return false;
    }
    content = copy_sealed(descriptor, status.st_size);
    close(descriptor);
    if (content < 0)
        return false;
    strlcpy(drop.name, name, sizeof(drop.name));
    submission_take(find_base(), status.st_uid, content, on_told, NULL);
    close(content);
    return true;
}

static void
on_next(evutil_socket_t descriptor, short what, void *context)
{
    const struct dirent *entry;

    (void)descriptor;
    (void)what;
    (void)context;
    while (!drop.stuck && (entry = readdir(drop.names)) != NULL)
        if (entry->d_name[0] != '.' && take(entry->d_name))
            return;
    end_scan();
}

/* Begins a scan; a directory that is not there has nothing in it. */
static void
on_again(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    drop.names = find_base() != NULL ? opendir(drop.path) : NULL;
    if (drop.names != NULL)
        service_timer_start(drop.next, 0);
    else
        end_scan();
}

void
maildrop_open(void)
{
    if (service_on_demand())
        return;
    drop.next = service_timer(on_next, NULL);
    drop.again = service_timer(on_again, NULL);
    service_timer_start(drop.again, 0);
}
