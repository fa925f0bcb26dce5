#include "master/secrets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/sealed.h"

#define SECRET_MAX 1024

void
secrets_free(struct secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++)
        if (secrets->descriptors[i] >= 0)
            close(secrets->descriptors[i]);
    free(secrets->descriptors);
    *secrets = (struct secrets){0};
}

void
secrets_add(struct secrets *secrets, int descriptor)
{
    secrets->descriptors =
        memory_resize(secrets->descriptors, secrets->count + 1, sizeof *secrets->descriptors);
    secrets->descriptors[secrets->count++] = descriptor;
}

int
secret_seal(char *secret, struct error *error)
{
    size_t length = strlen(secret);
    int descriptor = -1;
    if (length == 0 || length > SECRET_MAX)
        error_set(error, "a password must have 1 to %d octets, not %zu", SECRET_MAX, length);
    else
        descriptor = sealed_create("smailer-secret", secret, length, error);
    explicit_bzero(secret, length);
    return descriptor;
}

bool
secret_is_guarded(const char *path, const struct stat *status, struct error *error)
{
    bool own = status->st_uid == 0 || status->st_uid == geteuid();
    bool own_group = status->st_gid == 0 || status->st_gid == getegid();
    if (!own)
        return error_set(error, "%s has a secret in it and belongs to user %u: expected root or %u",
            path, status->st_uid, geteuid());
    if ((status->st_mode & S_IRWXO) != 0 || ((status->st_mode & S_IRWXG) != 0 && !own_group))
        return error_set(error,
            "%s has a secret in it and others can read it (mode %03o): expected 600, as chmod "
            "makes "
            "it",
            path, status->st_mode & 0777U);
    return true;
}

void
secrets_forget(void)
{
    static char zeros[2][BUFSIZ];
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    void *(*volatile find)(const void *, int, size_t) = memchr;

    for (size_t size = sizeof zeros[0]; size > 0; size /= 2) {
        copy(zeros[1], zeros[0], size);
        find(zeros[1], 1, size);
    }
}

/* Reads the file's beginning into TEXT and ends it after the first line. */
static bool
first_line_read(int descriptor, const char *path, char *text, size_t size, struct error *error)
{
    size_t used = 0;
    ssize_t got = 1;
    while (got > 0 && used < size - 1) {
        got = read(descriptor, text + used, size - 1 - used);
        if (got < 0)
            return error_errno(error, "read %s", path);
        used += (size_t)got;
    }
    text[used] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    return true;
}

static bool
file_check(int descriptor, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return error_errno(error, "look at %s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, "%s is no regular file", path);
    return secret_is_guarded(path, &status, error);
}

int
secret_read(const char *path, struct error *error)
{
    char text[SECRET_MAX + 2] = "";
    int secret = -1;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0) {
        error_errno(error, "open %s", path);
        return -1;
    }
    if (file_check(descriptor, path, error) &&
        first_line_read(descriptor, path, text, sizeof text, error)) {
        secret = secret_seal(text, error);
        if (secret < 0)
            error_prefix(error, "%s", path);
    }
    explicit_bzero(text, sizeof text);
    close(descriptor);
    return secret;
}
