#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/sandbox_parts.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define CLONE_NAMESPACES                                                                           \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
        CLONE_NEWNET)
/* In the table, the process that enters the sandbox. Whoever makes the filters need not be that
 * one, so that they let such a call pass; a filter of its own then looks at it. */
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

/* Whether a refusal is logged is a matter of the whole filter: hence one for the quiet ones, which
 * passes all else, and one for the rest, which passes the quiet ones. */
struct filters {
    struct sock_fprog quiet; /* none where it is empty */
    struct sock_fprog main;
};

/* What was made ahead. */
static struct filters prepared[ROLE_COUNT];

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
    struct scmp_arg_cmp compare = {
        condition->argument, SCMP_CMP_MASKED_EQ, condition->mask, condition->value};
    unsigned int conditions = condition->mask != 0 && condition->value != OWN_PID ? 1 : 0;

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

/* The filter as the kernel takes it. */
static bool
read_program(int file, struct sock_fprog *program, struct error *error)
{
    off_t size = lseek(file, 0, SEEK_END);

    if (size <= 0 || (size_t)size / sizeof(struct sock_filter) > UINT16_MAX)
        return error_set(error, "seccomp: a filter of %jd octets", (intmax_t)size);
    program->len = (unsigned short)((size_t)size / sizeof(struct sock_filter));
    program->filter = memory_new(program->len, sizeof(struct sock_filter));
    if (pread(file, program->filter, (size_t)size, 0) == (ssize_t)size)
        return true;
    free(program->filter);
    program->filter = NULL;
    return error_errno(error, "seccomp: read a filter");
}

/* A tree in place of a list. */
static bool
compile(scmp_filter_ctx filter, struct sock_fprog *program, struct error *error)
{
    int file;
    bool done;

    if (!report(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), error, "optimise") ||
        !report(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), error,
            "forbid other ABIs"))
        return false;
    file = memfd_create("seccomp", MFD_CLOEXEC);
    if (file < 0)
        return error_errno(error, "seccomp: make a file for a filter");
    done = report(seccomp_export_bpf(filter, file), error, "compile a filter") &&
           read_program(file, program, error);
    close(file);
    return done;
}

static bool
make_quiet(enum role role, struct sock_fprog *program, struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool made;

    if (filter == NULL)
        return error_set(error, "seccomp: no filter");
    made = add_calls(filter, role, true, error) && compile(filter, program, error);
    seccomp_release(filter);
    return made;
}

static bool
make_main(enum role role, struct sock_fprog *program, struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(is_open(role) ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    bool made;

    if (filter == NULL)
        return error_set(error, "seccomp: no filter");
    made = add_calls(filter, role, false, error) && add_families(filter, role, error) &&
           (is_open(role) || add_new_calls(filter, error)) && compile(filter, program, error);
    seccomp_release(filter);
    return made;
}

/* For every thread. */
static bool
load(const struct sock_fprog *program, unsigned int flags, struct error *error)
{
    long result =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_TSYNC, program);

    if (result > 0)
        return error_set(error, "seccomp: thread %ld cannot take the filter", result);
    return result == 0 || error_errno(error, "seccomp: load a filter");
}

/* CALL, whose other processes the table does not name, is for this process only. */
static bool
enter_own(const struct call *call, struct error *error)
{
    const uint32_t number = offsetof(struct seccomp_data, nr);
    const uint32_t argument = (uint32_t)(offsetof(struct seccomp_data, args) +
                                         call->condition.argument * sizeof(uint64_t));
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call->number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {COUNT_OF(filter), filter};

    return load(&program, SECCOMP_FILTER_FLAG_LOG, error);
}

static bool
enter_all_own(enum role role, struct error *error)
{
    if (is_open(role))
        return true;
    for (size_t i = 0; i < COUNT_OF(CALLS); i++)
        if ((CALLS[i].roles & ROLE_BIT(role)) != 0 && CALLS[i].condition.value == OWN_PID &&
            !enter_own(&CALLS[i], error))
            return false;
    return true;
}

/* From version 3 of the interface on, a process can be killed as a whole. */
static bool
has_filters(void)
{
    return seccomp_api_get() >= 3;
}

bool
sandbox_prepare(enum role role, struct error *error)
{
    struct filters *filters = &prepared[role];

    if (SANDBOX_SANITIZED || !has_filters() || filters->main.filter != NULL)
        return true;
    if ((!is_open(role) && !make_quiet(role, &filters->quiet, error)) ||
        !make_main(role, &filters->main, error))
        return false;
    malloc_trim(0); /* what that took is a good part of a small process */
    return true;
}

enum sandbox_outcome
sandbox_seccomp(enum role role, struct error *error)
{
    const struct filters *filters = &prepared[role];

    if (SANDBOX_SANITIZED)
        return SANDBOX_DONE;
    if (!has_filters()) {
        error_set(error, "the kernel has no seccomp filters to confine system calls with");
        return SANDBOX_LACKING;
    }
    if (!sandbox_prepare(role, error) || !enter_all_own(role, error) ||
        (filters->quiet.filter != NULL && !load(&filters->quiet, 0, error)) ||
        !load(&filters->main, SECCOMP_FILTER_FLAG_LOG, error))
        return SANDBOX_FAILED;
    return SANDBOX_DONE;
}
