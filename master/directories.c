#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/memory.h"
#include "master/directories.h"

/* Everybody may add, only the owner may look and remove; files get the owner's group. */
#define DROP_MODE 03733

static bool
make_one(const char *path, struct error *error)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return error_errno(error, "make the directory %s", path);
    return true;
}

static bool
make_all(const char *path, struct error *error)
{
    char *part = memory_copy_text(path);
    bool made = true;

    for (char *slash = part; made && (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        made = make_one(part, error);
    }
    free(part);
    return made && make_one(path, error);
}

static bool
is_empty(int directory)
{
    DIR *stream = fdopendir(fcntl(directory, F_DUPFD_CLOEXEC, 0));
    const struct dirent *entry;
    size_t count = 0;

    if (stream == NULL)
        return false;
    while ((entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            count++;
    }
    closedir(stream);
    return count == 0;
}

static bool
settle_owner(
    int directory, const char *path, const struct privilege_user *owner, struct error *error)
{
    struct stat status;

    if (fstat(directory, &status) != 0)
        return error_errno(error, "look at the directory %s", path);
    if ((status.st_mode & S_IWOTH) != 0)
        return error_set(error, "the directory %s may be written by everybody: chmod o-w", path);
    if (status.st_uid == owner->uid)
        return true;
    if (status.st_uid == geteuid() && is_empty(directory)) {
        if (fchown(directory, owner->uid, owner->gid) != 0)
            return error_errno(error, "give the directory %s to its user", path);
    } else if (status.st_uid != geteuid() && status.st_uid != 0)
        return error_set(error, "the directory %s belongs to user %u, not to %u, who needs it",
            path, (unsigned)status.st_uid, (unsigned)owner->uid);
    return true;
}

/* A link that a stranger made may lead anywhere. */
static bool
check_link(const char *path, struct error *error)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return error_errno(error, "look at the directory %s", path);
    if (S_ISLNK(status.st_mode) && status.st_uid != 0 && status.st_uid != geteuid())
        return error_set(error, "%s is a link that user %u made", path, (unsigned)status.st_uid);
    return true;
}

bool
directories_make(const char *path, const struct privilege_user *owner, struct error *error)
{
    const struct privilege_user self = {.uid = geteuid(), .gid = getegid()};
    bool settled;
    int directory;

    if (!make_all(path, error) || !check_link(path, error))
        return false;
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(error, "open the directory %s", path);
    settled = settle_owner(directory, path, owner != NULL ? owner : &self, error);
    close(directory);
    return settled;
}

bool
directories_make_drop(const char *path, const struct privilege_user *owner, struct error *error)
{
    char *drop = memory_format("%s/maildrop", path);
    int directory = -1;
    bool made;

    made = mkdir(drop, 0700) == 0 || errno == EEXIST;
    if (made)
        directory = open(drop, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    made = directory >= 0 && (owner == NULL || fchown(directory, owner->uid, owner->gid) == 0) &&
           fchmod(directory, DROP_MODE) == 0;
    if (!made)
        error_errno(error, "make the directory %s", drop);
    if (directory >= 0)
        close(directory);
    free(drop);
    return made;
}
