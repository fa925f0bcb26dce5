/*
 * The log of a program, one line an event, in the grammar of smailer-log(7).
 *
 * Whatever is logged is made safe here: no control character, no octet that is not UTF-8, nothing
 * that could pass for a line of its own.
 */
#ifndef SMAILER_LOG_H
#define SMAILER_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* How the lines leave: to a file or a terminal, or as datagrams to syslogd. */
enum log_target { LOG_TARGET_FILE, LOG_TARGET_SYSLOG };

/* PROGRAM is the role's name ("smtp") and must outlive the process. Lines go to descriptor 2 until
 * log_redirect. */
void log_open(const char *program);

void log_set_level(enum log_level level);

/* True where lines of LEVEL are written: spares the making of costly ones. */
bool log_is_at(enum log_level level);

/* From now on lines go to DESCRIPTOR, which the log owns; the one before is closed. */
void log_redirect(int descriptor, enum log_target target);

/* True once after lines could not be written any more (syslogd went away): ask for a new one. */
bool log_lost(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on this thread's lines of the level info are kept, while there is room, until
 * log_release(), and leave in one write: that is for what a program does in one turn of its event
 * loop. A line of another level, a fork, another log, and the end of the process let them go too;
 * who is killed loses those of the turn, of which its peers did not hear either. */
void log_hold(void);
void log_release(void);

/* Logs and ends the process with STATUS (sysexits.h). Only for main() and what must not go on.
 * (cppcheck does not see _Noreturn in a declaration.) */
void fatal(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

#endif
