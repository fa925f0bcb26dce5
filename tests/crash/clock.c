/*
 * Linked into the programs of a build for testing: the time of day is as far off as the file
 * "offset" above the programs' directories says (a whole number of seconds, 64 bits). It is mapped
 * before the sandbox closes, and followed at once.
 *
 * The kernel's own clock does not move: what it stamps files with is the true time.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t none;
static const volatile int64_t *offset = &none;

__attribute__((constructor)) static void
map_offset(void)
{
    char path[PATH_MAX + sizeof("/../../offset")];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    int file;
    void *mapped;

    if (length <= 0)
        return;
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    strcat(path, "/../offset");
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    mapped = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        offset = mapped;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *offset;
    return result;
}

time_t
time(time_t *where)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (where != NULL)
        *where = now.tv_sec;
    return now.tv_sec;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);

    (void)zone;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}
