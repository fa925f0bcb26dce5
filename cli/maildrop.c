#include "cli/maildrop.h"
#include "lib/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The mode of a file that is not whole yet, and of one that is. */
#define MODE_PARTIAL 0200
#define MODE_WHOLE 0640

static bool
copy(int from, int to)
{
    struct stat status;
    off_t at = 0;

    if (fstat(from, &status) != 0)
        return false;
    while (at < status.st_size) {
        ssize_t count = sendfile(to, from, &at, (size_t)(status.st_size - at));

        if (count == 0 || (count < 0 && errno != EINTR))
            return false;
    }
    return true;
}

/* The last sync is for the mode; on the file systems of Linux the name is on the disk by then. */
static bool
fill(int descriptor, int content)
{
    return copy(content, descriptor) && fsync(descriptor) == 0 &&
           fchmod(descriptor, MODE_WHOLE) == 0 && fsync(descriptor) == 0;
}

bool
maildrop_leave(const char *directory, int content, struct error *error)
{
    uint64_t token = 0;
    char path[PATH_MAX];
    int descriptor;
    bool done;

    if (getrandom(&token, sizeof(token), 0) != sizeof(token))
        token = (uint64_t)getpid();
    if (!text_format(path, sizeof(path), "%s/%" PRIx64 ".%016" PRIx64, directory,
            (uint64_t)time(NULL), token))
        return error_set(error, "the name of %s is too long", directory);
    descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_PARTIAL);
    if (descriptor < 0)
        return error_errno(error, "create a file in %s", directory);
    done = fill(descriptor, content) || error_errno(error, "write %s", path);
    close(descriptor);
    if (!done)
        unlink(path);
    return done;
}
