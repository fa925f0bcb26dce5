#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sandbox_parts.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define CLONE_NAMESPACES                                                                           \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
        CLONE_NEWNET)
/* In the table, the process that the filter is made for. */
#define OWN_PID UINT64_MAX

/* System calls newer than the table: an unknown one fails as it would on an older kernel, which is
 * what a newer libc expects. (Up to 511, where x86-64 begins to number another ABI's.) */
#define NEW_CALLS_FIRST 451
#define NEW_CALLS_LAST 511

struct condition {
    unsigned int argument;
    uint64_t mask; /* 0: none */
    uint64_t value;
};

enum verdict { VERDICT_ALLOW, VERDICT_KILL, VERDICT_QUIET };

static const struct call {
    int number;
    unsigned int roles;
    enum verdict verdict;
    uint16_t code; /* an errno value, where the verdict needs one */
    struct condition condition;
} CALLS[] = {
#define BIT(ROLE) ROLE_BIT(ROLE_##ROLE)
#define PATH(roles, path, access)
#define DIRECTORY_OF(roles, path, access)
#define CALL(name, roles) {SCMP_SYS(name), roles, VERDICT_ALLOW, 0, {0, 0, 0}},
#define CALL_IF(name, roles, argument, mask, value)                                                \
    {SCMP_SYS(name), roles, VERDICT_ALLOW, 0, {argument, mask, value}},
#define FATAL(name, roles) {SCMP_SYS(name), roles, VERDICT_KILL, 0, {0, 0, 0}},
#define QUIET(name, roles, code) {SCMP_SYS(name), roles, VERDICT_QUIET, code, {0, 0, 0}},
#define QUIET_IF(name, roles, code, argument, mask, value)                                         \
    {SCMP_SYS(name), roles, VERDICT_QUIET, code, {argument, mask, value}},
#include "lib/sandbox.def"
};

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

static uint32_t
verdict_action(enum verdict verdict, uint16_t code)
{
    switch (verdict) {
    case VERDICT_ALLOW:
        return SCMP_ACT_ALLOW;
    case VERDICT_QUIET:
        return SCMP_ACT_ERRNO(code);
    case VERDICT_KILL:
        break;
    }
    return SCMP_ACT_KILL_PROCESS;
}

static bool
report(int result, struct error *error, const char *what)
{
    if (result == 0)
        return true;
    errno = -result;
    return error_errno(error, "seccomp: %s", what);
}

static bool
add_rule(scmp_filter_ctx filter, uint32_t action, int number, const struct condition *condition,
    struct error *error)
{
    uint64_t value = condition->value == OWN_PID ? (uint64_t)getpid() : condition->value;
    struct scmp_arg_cmp compare = {condition->argument, SCMP_CMP_MASKED_EQ, condition->mask, value};
    unsigned int conditions = condition->mask != 0 ? 1 : 0;

    return report(
        seccomp_rule_add_array(filter, action, number, conditions, &compare), error, "add a rule");
}

/* True where ROLE's children are programs of any kind: what is named nowhere is allowed. */
static bool
is_open(enum role role)
{
    return role == ROLE_MASTER || role == ROLE_TOKEN;
}

static bool
add_calls(scmp_filter_ctx filter, enum role role, bool quiet, struct error *error)
{
    for (size_t i = 0; i < COUNT_OF(CALLS); i++) {
        const struct call *call = &CALLS[i];

        if ((call->roles & ROLE_BIT(role)) == 0 || (call->verdict == VERDICT_QUIET) != quiet)
            continue;
        /* What a filter does anyway cannot be a rule of it. */
        if (is_open(role) && call->verdict == VERDICT_ALLOW)
            continue;
        if (!add_rule(filter, verdict_action(call->verdict, call->code), call->number,
                &call->condition, error))
            return false;
    }
    return true;
}

/* True where ROLE's filter lets a socket of FAMILY pass. */
static bool
family_passes(enum role role, unsigned int family)
{
    for (size_t i = 0; i < COUNT_OF(CALLS); i++)
        if (CALLS[i].number == SCMP_SYS(socket) && CALLS[i].verdict == VERDICT_ALLOW &&
            (CALLS[i].roles & ROLE_BIT(role)) != 0 && CALLS[i].condition.value == family)
            return true;
    return false;
}

static bool
add_families(scmp_filter_ctx filter, enum role role, struct error *error)
{
    for (unsigned int family = 0; family < AF_MAX; family++) {
        const struct condition condition = {0, UINT32_MAX, family};

        if (!family_passes(role, family) &&
            !add_rule(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), &condition, error))
            return false;
    }
    return true;
}

static bool
add_new_calls(scmp_filter_ctx filter, struct error *error)
{
    const struct condition always = {0, 0, 0};

    for (int number = NEW_CALLS_FIRST; number <= NEW_CALLS_LAST; number++)
        if (!add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), number, &always, error))
            return false;
    return true;
}

/* A tree in place of a list, every thread, and (but for the quiet ones) the audit log. */
static bool
load(scmp_filter_ctx filter, bool quiet, struct error *error)
{
    return report(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), error, "optimise") &&
           report(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1), error, "take all threads") &&
           report(seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, quiet ? 0 : 1), error, "log") &&
           report(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), error,
               "forbid other ABIs") &&
           report(seccomp_load(filter), error, "load the filter");
}

/* Whether a refusal is logged is a matter of the whole filter: hence one for the quiet ones, which
 * passes all else, and one for the rest, which passes the quiet ones. */
static bool
enter_quiet(enum role role, struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool entered;

    if (filter == NULL)
        return error_set(error, "seccomp: no filter");
    entered = add_calls(filter, role, true, error) && load(filter, true, error);
    seccomp_release(filter);
    return entered;
}

static bool
enter_main(enum role role, struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(is_open(role) ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    bool entered;

    if (filter == NULL)
        return error_set(error, "seccomp: no filter");
    entered = add_calls(filter, role, false, error) && add_families(filter, role, error) &&
              (is_open(role) || add_new_calls(filter, error)) && load(filter, false, error);
    seccomp_release(filter);
    return entered;
}

enum sandbox_outcome
sandbox_seccomp(enum role role, struct error *error)
{
    if (SANDBOX_SANITIZED)
        return SANDBOX_DONE;
    /* 3: that a process can be killed as a whole. */
    if (seccomp_api_get() < 3) {
        error_set(error, "the kernel has no seccomp filters to confine system calls with");
        return SANDBOX_LACKING;
    }
    if (!is_open(role) && !enter_quiet(role, error))
        return SANDBOX_FAILED;
    return enter_main(role, error) ? SANDBOX_DONE : SANDBOX_FAILED;
}
