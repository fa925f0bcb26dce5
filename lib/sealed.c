#include "lib/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

bool
sealed_seal(int descriptor, struct error *error)
{
    if (fcntl(descriptor, F_ADD_SEALS, SEALS) != 0)
        return error_errno(error, "seal a memfd");
    return true;
}

static bool
octets_write(int descriptor, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, data, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return true;
}

int
sealed_create(const char *name, const void *data, size_t size, struct error *error)
{
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) {
        error_errno(error, "create the memfd %s", name);
        return -1;
    }
    bool written = octets_write(descriptor, data, size);
    if (!written)
        error_errno(error, "write %zu octets to the memfd %s", size, name);
    if (!written || !sealed_seal(descriptor, error)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

const void *
sealed_map(int descriptor, size_t limit, size_t *size, struct error *error)
{
    struct stat status;
    int seals = fcntl(descriptor, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(descriptor, &status) != 0) {
        error_set(error, "map descriptor %d: it is no sealed memfd", descriptor);
        return NULL;
    }
    if (status.st_size <= 0 || (size_t)status.st_size > limit) {
        error_set(error, "map descriptor %d: it has %jd octets, expected 1 to %zu", descriptor,
            (intmax_t)status.st_size, limit);
        return NULL;
    }
    *size = (size_t)status.st_size;
    void *data = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) {
        error_errno(error, "map %zu octets of descriptor %d", *size, descriptor);
        return NULL;
    }
    return data;
}

void
sealed_unmap(const void *data, size_t size)
{
    munmap((void *)(uintptr_t)data, size);
}
