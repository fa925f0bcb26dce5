/*
 * What lies in the run directory.
 */
#ifndef SMAILER_RUN_DIRECTORY_H
#define SMAILER_RUN_DIRECTORY_H

#define RUN_PID_FILE "smailer.pid" /* master's, which holds a lock (flock) on it */
#define RUN_CONTROL_SOCKET "control" /* SOCK_SEQPACKET, see lib/channel.h */

#endif
