#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/memory.h"
#include "smtp/secret.h"

/* Octets of the longest secret; tokens are longer than passwords. */
#define SECRET_SIZE 16384

static struct {
    int *descriptors; /* by account; -1: none */
    uint32_t count;
    char *taken;
} secrets;

void
secrets_keep(uint32_t account, int descriptor)
{
    if (account >= secrets.count) {
        secrets.descriptors = memory_resize(secrets.descriptors, (size_t)account + 1, sizeof(int));
        while (secrets.count <= account)
            secrets.descriptors[secrets.count++] = -1;
    }
    if (secrets.descriptors[account] >= 0)
        close(secrets.descriptors[account]);
    secrets.descriptors[account] = descriptor;
}

static bool
read_secret(int descriptor, struct error *error)
{
    size_t length = 0;
    ssize_t count;

    while ((count = pread(
                descriptor, secrets.taken + length, SECRET_SIZE - length, (off_t)length)) > 0)
        length += (size_t)count;
    if (count < 0)
        return error_errno(error, "read the account's secret");
    if (length == SECRET_SIZE || memchr(secrets.taken, '\0', length) != NULL)
        return error_set(error, "read the account's secret: it is too long, or has a NUL");
    return true;
}

static void
close_all(void)
{
    for (uint32_t i = 0; i < secrets.count; i++) {
        if (secrets.descriptors[i] >= 0)
            close(secrets.descriptors[i]);
    }
    free(secrets.descriptors);
    secrets.descriptors = NULL;
    secrets.count = 0;
}

const char *
secrets_take(uint32_t account, struct error *error)
{
    int descriptor = account < secrets.count ? secrets.descriptors[account] : -1;
    bool done = true;

    secrets.taken =
        mmap(NULL, SECRET_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secrets.taken == MAP_FAILED) {
        secrets.taken = NULL;
        error_errno(error, "memory for the account's secret");
        return NULL;
    }
    /* Neither is a condition: a limit on locked memory must not stop the mail. */
    (void)mlock(secrets.taken, SECRET_SIZE);
    (void)madvise(secrets.taken, SECRET_SIZE, MADV_DONTDUMP);
    if (descriptor >= 0)
        done = read_secret(descriptor, error);
    close_all();
    return done ? secrets.taken : NULL;
}

void
secrets_wipe(void)
{
    if (secrets.taken != NULL)
        explicit_bzero(secrets.taken, SECRET_SIZE);
}
