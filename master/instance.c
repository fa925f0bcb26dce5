#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/run_directory.h"
#include "master/instance.h"

/* A master that has just started has the lock before its number is in the file. */
#define PID_TRIES 100
#define PID_TRY_NS 10000000

#define SOCKET_BACKLOG 64

/* The number in the file; 0 where there is none. */
static long
read_pid(int descriptor)
{
    char text[24];
    ssize_t size = pread(descriptor, text, sizeof(text) - 1, 0);

    if (size <= 0)
        return 0;
    text[size] = '\0';
    return strtol(text, NULL, 10);
}

static void
describe_other(int descriptor, struct error *error)
{
    const struct timespec pause = {0, PID_TRY_NS};
    long pid = read_pid(descriptor);

    for (int i = 0; pid <= 0 && i < PID_TRIES; i++) {
        nanosleep(&pause, NULL);
        pid = read_pid(descriptor);
    }
    error_set(
        error, "smailer is already active (pid %ld). Multiple instances are not supported.", pid);
}

static bool
is_same_file(int descriptor, const char *path)
{
    struct stat open_file;
    struct stat named;

    return fstat(descriptor, &open_file) == 0 && lstat(path, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* A master that ends removes its file: a lock on what has no name any more is worth nothing. */
static int
lock_file(struct instance *instance, struct error *error)
{
    for (;;) {
        int descriptor =
            open(instance->pid_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);

        if (descriptor < 0) {
            error_errno(error, "open the pid file %s", instance->pid_path);
            return error->code == EACCES ? EX_NOPERM : EX_CANTCREAT;
        }
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            describe_other(descriptor, error);
            close(descriptor);
            return EX_TEMPFAIL;
        }
        if (is_same_file(descriptor, instance->pid_path)) {
            instance->pid_descriptor = descriptor;
            return EX_OK;
        }
        close(descriptor);
    }
}

static bool
write_pid(int descriptor, const char *path, struct error *error)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, text, (size_t)length, 0) != (ssize_t)length)
        return error_errno(error, "write the pid file %s", path);
    /* The umask is not ours to rely on, and smailer.init is for everybody to ask. */
    if (fchmod(descriptor, 0644) != 0)
        return error_errno(error, "set the mode of the pid file %s", path);
    return true;
}

static bool
write_second(const char *path, struct error *error)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0644);
    bool written;

    if (descriptor < 0)
        return error_errno(error, "open the pid file %s", path);
    written = write_pid(descriptor, path, error);
    close(descriptor);
    return written;
}

int
instance_take(struct instance *instance, const char *run_directory, const char *second_pid_path,
    struct error *error)
{
    int status;

    *instance = (struct instance){.pid_descriptor = -1, .listener = -1};
    instance->pid_path = memory_format("%s/" RUN_PID_FILE, run_directory);
    status = lock_file(instance, error);
    if (status != EX_OK)
        return status;
    if (!write_pid(instance->pid_descriptor, instance->pid_path, error))
        return EX_CANTCREAT;
    if (second_pid_path == NULL || strcmp(second_pid_path, instance->pid_path) == 0)
        return EX_OK;
    if (!write_second(second_pid_path, error))
        return EX_CANTCREAT;
    instance->second_pid_path = memory_copy_text(second_pid_path);
    return EX_OK;
}

static bool
bind_socket(int descriptor, const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(error, "the control socket's path %s has more than %zu octets", path,
            sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    /* The lock is ours, so what is there is left over from a master that was killed. */
    if (unlink(path) != 0 && errno != ENOENT)
        return error_errno(error, "remove the old control socket %s", path);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0)
        return error_errno(error, "bind the control socket %s", path);
    if (chmod(path, 0666) != 0)
        return error_errno(error, "set the mode of the control socket %s", path);
    if (listen(descriptor, SOCKET_BACKLOG) != 0)
        return error_errno(error, "listen on the control socket %s", path);
    return true;
}

bool
instance_listen(struct instance *instance, const char *run_directory, struct error *error)
{
    int descriptor = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (descriptor < 0)
        return error_errno(error, "make the control socket");
    instance->socket_path = memory_format("%s/" RUN_CONTROL_SOCKET, run_directory);
    if (!bind_socket(descriptor, instance->socket_path, error)) {
        close(descriptor);
        return false;
    }
    instance->listener = descriptor;
    return true;
}

static void
remove_file(const char *path)
{
    if (path != NULL && unlink(path) != 0 && errno != ENOENT)
        log_warn("remove %s: %s", path, strerror(errno));
}

/* Names that were taken away, and that another master uses by now, are not this one's. */
static bool
owns_names(const struct instance *instance)
{
    return instance->pid_descriptor >= 0 &&
           is_same_file(instance->pid_descriptor, instance->pid_path);
}

void
instance_release(struct instance *instance)
{
    if (instance->listener >= 0)
        close(instance->listener);
    if (owns_names(instance)) {
        remove_file(instance->socket_path);
        remove_file(instance->second_pid_path);
        remove_file(instance->pid_path);
    }
    if (instance->pid_descriptor >= 0)
        close(instance->pid_descriptor);
    free(instance->socket_path);
    free(instance->second_pid_path);
    free(instance->pid_path);
    *instance = (struct instance){.pid_descriptor = -1, .listener = -1};
}
