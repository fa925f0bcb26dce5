#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mark.h"

/* A file whose size stays cannot make who reads it fault. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

struct mark {
    _Atomic uint64_t number;
};

static struct mark *
map(int descriptor, int protection, struct error *error)
{
    void *memory = mmap(NULL, sizeof(struct mark), protection, MAP_SHARED, descriptor, 0);

    if (memory != MAP_FAILED)
        return memory;
    error_errno(error, "map a mark");
    return NULL;
}

struct mark *
mark_create(int *descriptor, struct error *error)
{
    struct mark *mark;

    *descriptor = memfd_create("mark", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*descriptor < 0) {
        error_errno(error, "create a mark");
        return NULL;
    }
    if (ftruncate(*descriptor, sizeof(struct mark)) != 0 ||
        fcntl(*descriptor, F_ADD_SEALS, SEALS) != 0) {
        error_errno(error, "size a mark");
        close(*descriptor);
        return NULL;
    }
    mark = map(*descriptor, PROT_READ | PROT_WRITE, error);
    if (mark == NULL)
        close(*descriptor);
    return mark;
}

struct mark *
mark_open(int descriptor, struct error *error)
{
    struct stat status;
    int seals = fcntl(descriptor, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(descriptor, &status) != 0 ||
        status.st_size != (off_t)sizeof(struct mark)) {
        error_set(error, "descriptor %d is no mark", descriptor);
        return NULL;
    }
    return map(descriptor, PROT_READ, error);
}

void
mark_set(struct mark *mark, uint64_t number)
{
    atomic_store_explicit(&mark->number, number, memory_order_relaxed);
}

uint64_t
mark_get(const struct mark *mark)
{
    return mark != NULL ? atomic_load_explicit(&mark->number, memory_order_relaxed) : 0;
}

void
mark_close(struct mark *mark)
{
    if (mark != NULL)
        munmap(mark, sizeof(*mark));
}
