/*
 * What a process may do once it is at work: the only place where that is said (sandbox.def holds
 * the table). Landlock guards files and TCP, seccomp guards system calls.
 */
#ifndef SMAILER_SANDBOX_H
#define SMAILER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "lib/role.h"

/* What a role may do with a path and with everything below it. They are independent: a process may
 * be allowed to rename files that it cannot open. */
#define SANDBOX_READ 1U /* open files to read them */
#define SANDBOX_LIST 2U /* open directories to list them */
#define SANDBOX_WRITE 4U /* create, write, rename within and between such paths, remove, mkdir */

struct sandbox_path {
    const char *path; /* links in it are followed; NULL: DESCRIPTOR says what is meant */
    int descriptor; /* of a file or directory that is open already (O_PATH will do) */
    unsigned int access; /* SANDBOX_... */
};

enum sandbox_mode {
    SANDBOX_OFF, /* only what costs nothing: no new privileges, no core, no tracing */
    SANDBOX_AUTO, /* as much as the kernel has; a warning for what it lacks */
    SANDBOX_REQUIRED /* whatever the kernel lacks is an error */
};

/* Makes what ROLE's sandbox is entered with, for this process or those that it forks: that takes
 * longer than the rest of it, and memory. False with the reason where it cannot be made. */
bool sandbox_prepare(enum role role, struct error *error);

/* Confines the calling process, for good, to what ROLE needs and to the COUNT paths at PATHS; a
 * path that does not exist is passed over, and stays out of reach when it appears later. To be
 * called once all that needs more has been opened, before the process starts a thread, and in a
 * forked worker again with ROLE_WORKER, which narrows what the parent had. What a missing piece of
 * the kernel means, MODE says; but a process that may read anybody's files (spool_user = "*") never
 * goes on without Landlock. False also where a rule cannot be made: the process must then end.
 *
 * A call that is refused shows as "audit: type=1326 ... syscall=N" in the kernel's or auditd's log
 * (`ausyscall N` names it); one that is dangerous ends the process with SIGSYS, and shows there
 * too. With AddressSanitizer, seccomp is off and /proc may be read, for it cannot work otherwise.
 */
bool sandbox_enter(enum role role, const struct sandbox_path *paths, size_t count,
    enum sandbox_mode mode, struct error *error);

#endif
