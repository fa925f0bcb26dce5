#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/text.h"
#include "master/directories.h"
#include "master/logs.h"

/* How much of a log's end is searched for a program's last words. */
#define TAIL_SIZE 16384

/* What stands before an error (see lib/log.c), and says nothing where it is one anyway. */
#define ERROR_WORD "error: "

/* The programs that have a log. */
static const enum role LOGGED[] = {ROLE_MASTER, ROLE_PICKUP, ROLE_CLEANUP, ROLE_QMGR, ROLE_SMTP,
    ROLE_CONTROL, ROLE_SQL, ROLE_TOKEN};
#define LOGGED_COUNT (sizeof(LOGGED) / sizeof(LOGGED[0]))

static int
open_file(const char *path, struct error *error)
{
    int descriptor =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    if (descriptor < 0)
        error_errno(error, "open the log %s", path);
    return descriptor;
}

static int
open_syslog(struct error *error)
{
    static const struct sockaddr_un ADDRESS = {AF_UNIX, "/dev/log"};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (descriptor < 0) {
        error_errno(error, "make a socket for syslog");
        return -1;
    }
    if (connect(descriptor, (const struct sockaddr *)&ADDRESS, sizeof(ADDRESS)) != 0) {
        error_errno(error, "connect to syslog at %s", ADDRESS.sun_path);
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static int
open_stderr(struct error *error)
{
    int descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (descriptor < 0)
        error_errno(error, "log to standard error");
    return descriptor;
}

static int
open_log(const struct logs *logs, enum role role, struct error *error)
{
    if (logs->paths[role] != NULL)
        return open_file(logs->paths[role], error);
    return logs->to == LOG_TO_SYSLOG ? open_syslog(error) : open_stderr(error);
}

void
logs_init(struct logs *logs)
{
    *logs = (struct logs){0};
    for (size_t i = 0; i < ROLE_COUNT; i++)
        logs->descriptors[i] = -1;
}

static void
choose(struct logs *logs, const struct settings *settings, const char *one_file)
{
    logs->to = one_file != NULL ? LOG_TO_FILES : (enum log_to)settings->log_to;
    logs->target = logs->to == LOG_TO_SYSLOG ? LOG_TARGET_SYSLOG : LOG_TARGET_FILE;
    for (size_t i = 0; i < LOGGED_COUNT; i++) {
        if (one_file != NULL)
            logs->paths[LOGGED[i]] = memory_copy_text(one_file);
        else if (logs->to == LOG_TO_FILES)
            logs->paths[LOGGED[i]] =
                memory_format("%s/%s.log", settings->log_directory, role_name(LOGGED[i]));
    }
}

bool
logs_open(
    struct logs *logs, const struct settings *settings, const char *one_file, struct error *error)
{
    logs_init(logs);
    choose(logs, settings, one_file);
    if (one_file == NULL && logs->to == LOG_TO_FILES &&
        !directories_make(settings->log_directory, NULL, error)) {
        error_prefix(error, "log_directory");
        logs_close(logs);
        return false;
    }
    for (size_t i = 0; i < LOGGED_COUNT; i++) {
        logs->descriptors[LOGGED[i]] = open_log(logs, LOGGED[i], error);
        if (logs->descriptors[LOGGED[i]] < 0) {
            logs_close(logs);
            return false;
        }
    }
    return true;
}

void
logs_reopen(struct logs *logs)
{
    struct error error;

    for (size_t i = 0; i < LOGGED_COUNT; i++) {
        int descriptor = open_log(logs, LOGGED[i], &error);

        if (descriptor < 0) {
            log_error("%s; the old one is used on", error.text);
            continue;
        }
        close(logs->descriptors[LOGGED[i]]);
        logs->descriptors[LOGGED[i]] = descriptor;
    }
}

void
logs_close(struct logs *logs)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        free(logs->paths[i]);
        logs->paths[i] = NULL;
        if (logs->descriptors[i] >= 0)
            close(logs->descriptors[i]);
        logs->descriptors[i] = -1;
    }
}

void
logs_use(const struct logs *logs)
{
    int copy = fcntl(logs->descriptors[ROLE_MASTER], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (copy >= 0)
        log_redirect(copy, logs->target);
    else
        log_error("out of descriptors for the log: %s", strerror(errno));
}

void
logs_change(struct logs *logs, const struct settings *settings, const char *one_file)
{
    struct logs changed;
    struct error error;

    if (!logs_open(&changed, settings, one_file, &error)) {
        log_error("%s; the logs stay where they are", error.text);
        return;
    }
    logs_close(logs);
    *logs = changed;
    logs_use(logs);
}

/* The end of the file PATH, as text. */
static bool
read_tail(const char *path, char tail[static TAIL_SIZE + 1])
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    ssize_t size = -1;

    if (descriptor < 0)
        return false;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        off_t start = status.st_size > TAIL_SIZE ? status.st_size - TAIL_SIZE : 0;

        size = pread(descriptor, tail, TAIL_SIZE, start);
    }
    close(descriptor);
    if (size < 0)
        return false;
    tail[size] = '\0';
    return true;
}

bool
logs_last_words(const struct logs *logs, enum role role, pid_t pid, char *words, size_t size)
{
    char tail[TAIL_SIZE + 1];
    char mark[64];
    const char *found = NULL;

    if (logs->paths[role] == NULL || !read_tail(logs->paths[role], tail))
        return false;
    text_format(mark, sizeof(mark), " smailer/%s[%d]: ", role_name(role), (int)pid);
    for (const char *next = tail; (next = strstr(next, mark)) != NULL; next++)
        found = next;
    if (found == NULL)
        return false;
    found += strlen(mark);
    if (strncmp(found, ERROR_WORD, strlen(ERROR_WORD)) == 0)
        found += strlen(ERROR_WORD);
    text_format(words, size, "%.*s", (int)strcspn(found, "\n"), found);
    return true;
}
