#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "master/program.h"

#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/local/libexec/smailer"
#endif

/* Where the executable lies in the new process while it is on its way; above it, nothing. */
#define EXECUTABLE_DESCRIPTOR (SERVICE_DESCRIPTOR + 1)

#define VARIABLE_COUNT (sizeof(VARIABLES) / sizeof(VARIABLES[0]))

/* Where the programs are, seen from this one: in a checkout, and installed. */
static const char *const PLACES[] = {"../libexec", "../libexec/smailer"};

const enum role PROGRAM_ROLES[] = {
    ROLE_PICKUP, ROLE_CLEANUP, ROLE_QMGR, ROLE_SMTP, ROLE_CONTROL, ROLE_SQL, ROLE_TOKEN};
const size_t PROGRAM_ROLE_COUNT = sizeof(PROGRAM_ROLES) / sizeof(PROGRAM_ROLES[0]);

/* All that a program needs of the environment; the last ones matter to builds for testing only. */
static const char *const VARIABLES[] = {
    "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH"};

static int
open_executable(const char *directory, enum role role)
{
    char *path = memory_format("%s/smailer-%s", directory, role_name(role));
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);

    free(path);
    return descriptor;
}

/* The directory that this program was started from; NULL where that is unknown. */
static char *
find_own_directory(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    if (length <= 0)
        return NULL;
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    return memory_copy_text(path);
}

static bool
open_all(struct programs *programs, const char *directory, struct error *error)
{
    for (size_t i = 0; i < PROGRAM_ROLE_COUNT; i++) {
        enum role role = PROGRAM_ROLES[i];

        programs->executables[role] = open_executable(directory, role);
        if (programs->executables[role] >= 0)
            continue;
        error_errno(error, "open the program %s/smailer-%s", directory, role_name(role));
        programs_close(programs);
        return false;
    }
    return true;
}

void
programs_init(struct programs *programs)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        programs->executables[i] = -1;
}

/* The first of the places that has a program, so that none that misses one is filled up with
 * another version's. */
static char *
find_programs(void)
{
    char *own = find_own_directory();

    for (size_t i = 0; own != NULL && i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
        char *directory = memory_format("%s/%s", own, PLACES[i]);
        int executable = open_executable(directory, ROLE_QMGR);

        if (executable >= 0) {
            close(executable);
            free(own);
            return directory;
        }
        free(directory);
    }
    free(own);
    return memory_copy_text(LIBEXECDIR);
}

bool
programs_open(struct programs *programs, struct error *error)
{
    char *directory = find_programs();
    bool opened;

    programs_init(programs);
    opened = open_all(programs, directory, error);
    free(directory);
    return opened;
}

void
programs_close(struct programs *programs)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (programs->executables[i] >= 0)
            close(programs->executables[i]);
        programs->executables[i] = -1;
    }
}

/* What stays of root's rights where the spools have many owners. */
static const unsigned KEPT[ROLE_COUNT] = {
    [ROLE_PICKUP] = PRIVILEGE_READ_ANY,
    [ROLE_QMGR] = PRIVILEGE_READ_ANY | PRIVILEGE_WRITE_ANY,
};

bool
program_find_rights(const struct configuration *configuration, enum role role,
    struct program_rights *rights, struct error *error)
{
    const char *spool_user = configuration->settings.spool_user;
    const char *user = configuration->programs[role].user;
    bool many_owners = strcmp(spool_user, "*") == 0;
    char own[32];

    *rights = (struct program_rights){.drop = privilege_is_root()};
    if (!rights->drop)
        return true;
    if (many_owners)
        rights->keep = KEPT[role];
    if (user == NULL || user[0] == '\0') {
        text_format(own, sizeof(own), "smailer-%s", role_name(role));
        user = many_owners ? own : spool_user;
    }
    if (!privilege_lookup(user, &rights->user, error))
        return error_prefix(
            error, "%s of smailer-%s", user == spool_user ? "spool_user" : "user", role_name(role));
    return true;
}

/* ---- in the new process ---- */

/* Descriptors that must be there when all others are closed, out of each other's way. */
static int
set_aside(int descriptor)
{
    int aside = fcntl(descriptor, F_DUPFD_CLOEXEC, EXECUTABLE_DESCRIPTOR + 1);

    if (aside < 0)
        fatal(EX_OSERR, "set a descriptor aside: %s", strerror(errno));
    return aside;
}

static void
place(int descriptor, int target)
{
    if (dup2(descriptor, target) < 0)
        fatal(EX_OSERR, "place descriptor %d: %s", target, strerror(errno));
}

static void
arrange_descriptors(const struct program_start *start)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = set_aside(start->log);
    int channel = set_aside(start->channel);
    int executable = set_aside(start->executable);

    if (null < 0)
        fatal(EX_OSERR, "open /dev/null: %s", strerror(errno));
    null = set_aside(null);
    place(log, STDERR_FILENO);
    log_redirect(STDERR_FILENO, start->target);
    place(null, STDIN_FILENO);
    place(null, STDOUT_FILENO);
    place(channel, SERVICE_DESCRIPTOR);
    place(executable, EXECUTABLE_DESCRIPTOR);
    if (fcntl(EXECUTABLE_DESCRIPTOR, F_SETFD, FD_CLOEXEC) != 0 ||
        close_range(EXECUTABLE_DESCRIPTOR + 1, ~0U, 0) != 0)
        fatal(EX_OSERR, "close what is master's: %s", strerror(errno));
}

static void
set_limits(int64_t memory)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            fatal(EX_OSERR, "raise the limit of open files: %s", strerror(errno));
    }
    limit = (struct rlimit){(rlim_t)memory, (rlim_t)memory};
    if (memory > 0 && setrlimit(RLIMIT_AS, &limit) != 0)
        fatal(EX_OSERR, "limit the memory: %s", strerror(errno));
}

static void
drop_rights(const struct program_rights *rights)
{
    struct error error;

    if (rights->drop && !privilege_drop(&rights->user, rights->keep, &error))
        fatal(EX_NOPERM, "%s", error.text);
}

static void
execute(enum role role)
{
    char name[32];
    char *arguments[] = {name, NULL};
    char *environment[VARIABLE_COUNT + 1];
    size_t count = 0;

    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const char *value = getenv(VARIABLES[i]);

        if (value != NULL)
            environment[count++] = memory_format("%s=%s", VARIABLES[i], value);
    }
    environment[count] = NULL;
    text_format(name, sizeof(name), "smailer-%s", role_name(role));
    fexecve(EXECUTABLE_DESCRIPTOR, arguments, environment);
    fatal(EX_OSERR, "execute %s: %s", name, strerror(errno));
}

static _Noreturn void
become(const struct program_start *start, pid_t master)
{
    log_open(role_name(start->role));
    arrange_descriptors(start);
    set_limits(start->memory_limit);
    drop_rights(&start->rights);
    if (!child_die_with(master))
        fatal(EX_OSERR, "bind this process's life to master's: %s", strerror(errno));
    execute(start->role);
    _exit(EX_OSERR);
}

/* ---- in master ---- */

pid_t
program_start(const struct program_start *start, struct error *error)
{
    pid_t master = getpid();
    pid_t pid = child_fork(error);

    if (pid == 0)
        become(start, master);
    if (pid < 0)
        error_prefix(error, "start smailer-%s", role_name(start->role));
    return pid;
}
