/*
 * Starting a program: from a fork of master to a process with its own rights and nothing of
 * master's.
 */
#ifndef SMAILER_MASTER_PROGRAM_H
#define SMAILER_MASTER_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/privilege.h"
#include "lib/role.h"

/* The programs that master starts. */
extern const enum role PROGRAM_ROLES[];
extern const size_t PROGRAM_ROLE_COUNT;

/* What is needed to start them: the files, opened at the start, so that an upgrade under way does
 * not mix versions within a generation. */
struct programs {
    int executables[ROLE_COUNT]; /* -1 for what is no program */
};

/* Whom a program runs as. */
struct program_rights {
    bool drop; /* master is root: the rest counts */
    struct privilege_user user;
    unsigned keep; /* PRIVILEGE_... */
};

struct program_start {
    enum role role;
    int executable;
    struct program_rights rights;
    int64_t memory_limit; /* octets; 0: none */
    int log;
    enum log_target target;
    int channel; /* becomes SERVICE_DESCRIPTOR */
};

/* None is open. */
void programs_init(struct programs *programs);

/* Opens the programs: in ../libexec or ../libexec/smailer seen from this program's directory, or
 * else in LIBEXECDIR. */
bool programs_open(struct programs *programs, struct error *error);

void programs_close(struct programs *programs);

/* Whom ROLE runs as by CONFIGURATION; an error says which user is missing, and what makes it. */
bool program_find_rights(const struct configuration *configuration, enum role role,
    struct program_rights *rights, struct error *error);

/* Starts the program as the leader of a process group of its own, which dies with master. What
 * fails in the new process ends it with EX_OSERR or EX_NOPERM, and is in its log. -1 where there
 * is no new process. */
pid_t program_start(const struct program_start *start, struct error *error);

#endif
