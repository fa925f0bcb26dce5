/*
 * That there is one smailer only for a run directory: the lock on its pid file; and where clients
 * find it: the control socket.
 */
#ifndef SMAILER_MASTER_INSTANCE_H
#define SMAILER_MASTER_INSTANCE_H

#include <stdbool.h>

#include "lib/error.h"

struct instance {
    char *pid_path;
    int pid_descriptor; /* the lock */
    char *second_pid_path; /* --pid-file, or NULL */
    char *socket_path; /* NULL: none is bound */
    int listener; /* of the control socket; -1 */
};

/* Locks the pid file of RUN_DIRECTORY, which must be there, and writes it; SECOND_PID_PATH (NULL:
 * none) is written too. EX_OK; EX_TEMPFAIL where another smailer has it, of which ERROR then
 * speaks; or the status to end with for ERROR. */
int instance_take(struct instance *instance, const char *run_directory, const char *second_pid_path,
    struct error *error);

/* Binds the control socket. Everybody may connect: who may do what, control decides by the peer's
 * credentials. */
bool instance_listen(struct instance *instance, const char *run_directory, struct error *error);

/* Removes what the two above made. */
void instance_release(struct instance *instance);

#endif
