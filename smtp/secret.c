#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/memory.h"
#include "smtp/secret.h"

/* Octets of the longest secret, with its NUL; tokens are longer than passwords. */
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

/* Into the SECRET_SIZE zeroed octets at TARGET. */
static bool
read_secret(int descriptor, char *target, struct error *error)
{
    size_t length = 0;
    ssize_t count;

    while ((count = pread(descriptor, target + length, SECRET_SIZE - length, (off_t)length)) > 0)
        length += (size_t)count;
    if (count < 0)
        return error_errno(error, "read the account's secret");
    if (length == SECRET_SIZE || memchr(target, '\0', length) != NULL)
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

    secrets.taken = memory_guarded(SECRET_SIZE);
    if (descriptor >= 0)
        done = read_secret(descriptor, secrets.taken, error);
    close_all();
    return done ? secrets.taken : NULL;
}

bool
secrets_replace(int descriptor, bool *same, struct error *error)
{
    char *fresh = memory_guarded(SECRET_SIZE);
    bool done = read_secret(descriptor, fresh, error);

    if (done) {
        *same = strcmp(fresh, secrets.taken) == 0;
        memcpy(secrets.taken, fresh, SECRET_SIZE);
    }
    memory_guarded_free(fresh, SECRET_SIZE);
    return done;
}

void
secrets_wipe(void)
{
    memory_guarded_free(secrets.taken, SECRET_SIZE);
    secrets.taken = NULL;
}
