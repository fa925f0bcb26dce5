/*
 * The directories of a queue: opened without following links, made where missing.
 */
#ifndef SMAILER_QUEUE_DIRECTORY_H
#define SMAILER_QUEUE_DIRECTORY_H

#include <sys/stat.h>

#include "queue/internal.h"

/* Where the mails of PLACE lie, and where their records. */
enum directory directory_of(enum mail_state place);
enum directory directory_of_records(enum mail_state place); /* DIRECTORY_COUNT: has none */

/* "defer/.state", relative to the queue. */
const char *directory_name(enum directory directory);

/* True where NAME, in a queue, is that of a directory of smailer's. */
bool directory_has_name(const char *name);

/* The descriptor of DIRECTORY, which is opened if it was not; -1 with the reason on failure
 * (code ENOENT: it does not exist). */
int directory_get(struct queue *queue, enum directory directory, struct error *error);

/* Opens all anew that was removed or replaced, and makes what is missing in a writable queue. */
bool directory_refresh(struct queue *queue, struct error *error);

/* True where a file of that owner may be believed: the queue's owner, or the current user. */
bool directory_trusts(const struct queue *queue, uid_t owner);

/* Remembers that DIRECTORY has to be synced. */
void directory_touch(struct queue *queue, enum directory directory);

/* Gives the file or directory the queue's owner and the permissions MODE. */
bool directory_adorn(
    const struct queue *queue, int descriptor, mode_t mode, const char *name, struct error *error);

/* Opens what PATH names below DIRECTORY, following no link on the way; -1 with errno set. */
int directory_open_below(int directory, const char *path, int flags);

/* The same, name by name, for kernels before 5.6. ".." and empty names are refused. */
int directory_walk(int directory, const char *path, int flags);

/* Makes the directory NAME in PARENT, complete before it gets its name. EEXIST is success. */
bool directory_make(struct queue *queue, int parent, const char *name, struct error *error);

/* Removes what a death in directory_make left in the queue itself. */
bool directory_clean(struct queue *queue, struct error *error);

#endif
