#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/log.h"
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

/* True where the process may go on after OUTCOME. The workers' parent has warned for them. */
static bool
accept_outcome(enum sandbox_outcome outcome, bool required, enum role role, struct error *error)
{
    if (outcome == SANDBOX_DONE)
        return true;
    if (outcome == SANDBOX_FAILED || required)
        return false;
    if (role != ROLE_WORKER)
        log_warn("sandbox: %s; going on without it", error->text);
    return true;
}

bool
sandbox_enter(enum role role, const struct sandbox_path *paths, size_t count,
    enum sandbox_mode mode, struct error *error)
{
    struct error reason = {0};

    /* The time zone is a file too. */
    tzset();
    if (!give_up(&reason) || !check_single_thread(&reason))
        return error_set(error, "sandbox: %s", reason.text);
    if (mode == SANDBOX_OFF)
        return true;
    if (role != ROLE_MASTER && !accept_outcome(sandbox_landlock(role, paths, count, &reason),
                                   mode >= SANDBOX_FILES_REQUIRED, role, &reason))
        return error_set(error, "sandbox: %s", reason.text);
    if (!accept_outcome(sandbox_seccomp(role, &reason), mode == SANDBOX_REQUIRED, role, &reason))
        return error_set(error, "sandbox: %s", reason.text);
    return true;
}
