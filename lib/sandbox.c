#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/log.h"
#include "lib/privilege.h"
#include "lib/sandbox.h"
#include "lib/sandbox_parts.h"

/* What a process gives up whatever the mode. */
static bool
give_up(struct error *error)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_errno(error, "forbid core dumps");
    /* The leak checker traces its own process. */
    if (!SANDBOX_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_errno(error, "forbid tracing");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_errno(error, "forbid new privileges");
    return true;
}

/* Landlock confines the calling thread only, so there must be no other yet. */
static bool
check_single_thread(struct error *error)
{
    struct stat threads;

    if (SANDBOX_SANITIZED || stat("/proc/self/task", &threads) != 0 || threads.st_nlink <= 3)
        return true;
    return error_set(error, "the process has %ju threads already", (uintmax_t)threads.st_nlink - 2);
}

/* True where the process may go on after OUTCOME. The workers' parent has warned for them, and who
 * only asks is not to be bothered. */
static bool
accept_outcome(enum sandbox_outcome outcome, bool required, enum role role, struct error *error)
{
    if (outcome == SANDBOX_DONE)
        return true;
    if (outcome == SANDBOX_FAILED || required)
        return false;
    if (role != ROLE_WORKER && role != ROLE_CLIENT)
        log_warn("sandbox: %s; going on without it", error->text);
    return true;
}

/* Without Landlock, a process that may read anybody's files would have nothing to hold it. */
static bool
confine_files(enum role role, const struct sandbox_path *paths, size_t count,
    enum sandbox_mode mode, struct error *error)
{
    const bool reads_any = privilege_reads_any();

    if (mode == SANDBOX_OFF && reads_any)
        return error_set(error, "spool_user = \"*\" needs a sandbox, main.cf turns it off");
    /* Their children are programs of any kind. */
    if (mode == SANDBOX_OFF || role == ROLE_MASTER || role == ROLE_TOKEN)
        return true;
    return accept_outcome(sandbox_landlock(role, paths, count, error),
        reads_any || mode == SANDBOX_REQUIRED, role, error);
}

static bool
confine_calls(enum role role, enum sandbox_mode mode, struct error *error)
{
    return mode == SANDBOX_OFF ||
           accept_outcome(sandbox_seccomp(role, error), mode == SANDBOX_REQUIRED, role, error);
}

bool
sandbox_enter(enum role role, const struct sandbox_path *paths, size_t count,
    enum sandbox_mode mode, struct error *error)
{
    struct error reason = {0};

    /* The time zone is a file too. */
    tzset();
    if (give_up(&reason) && check_single_thread(&reason) &&
        confine_files(role, paths, count, mode, &reason) && confine_calls(role, mode, &reason))
        return true;
    return error_set(error, "sandbox: %s", reason.text);
}
