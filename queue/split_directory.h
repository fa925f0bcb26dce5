/*
 * The hidden directory in which a list becomes its documents, beside the list:
 *
 *     .split-HASH-INODE-SIZE/
 *         list.0001.xml ...
 *         .list/list.xml
 *
 * Its name says which list it is: its id's hash, its inode and size, 16 upper-case hexadecimal
 * digits each. The documents have their names to be.
 *
 * The list's rename into it is the commit. Without a list in it the split is undone, with it the
 * documents move out; the list is removed only when they are out for good.
 */
#ifndef SMAILER_QUEUE_SPLIT_DIRECTORY_H
#define SMAILER_QUEUE_SPLIT_DIRECTORY_H

#include <dirent.h>

#include "queue/internal.h"

#define SPLIT_NAME_SIZE 64
#define SPLIT_LIST ".list"

struct split_directory {
    struct queue *queue;
    char name[SPLIT_NAME_SIZE];
    uint64_t hash;
    uint64_t inode;
    uint64_t size;
    int descriptor;
    DIR *entries; /* of the pass that is under way, or NULL */
    bool changed; /* the pass took something out */
};

/* Makes it for the list IDENTITY with that hash. */
bool split_directory_make(struct split_directory *directory, struct queue *queue,
    const struct mail_identity *identity, uint64_t hash, struct error *error);

/* True where a file called NAME is meant to be one. */
bool split_directory_is_name(const char *name);

/* Opens the one called NAME. False also where that is no name of one. */
bool split_directory_open(
    struct split_directory *directory, struct queue *queue, const char *name, struct error *error);

void split_directory_close(struct split_directory *directory);

/* Makes the place for the list; returns its descriptor, or -1 with the reason. */
int split_directory_make_list(struct split_directory *directory, struct error *error);

/* QUEUE_DONE: the list is in it, so the split is committed. QUEUE_GONE: there is no file in its
 * place. QUEUE_REPLACED: another file is. NAME gets the file's name. */
enum queue_result split_directory_find_list(
    struct split_directory *directory, char name[QUEUE_NAME_SIZE], struct error *error);

/* Takes the file NAME back into the queue. */
bool split_directory_restore(
    struct split_directory *directory, const char *name, struct error *error);

/* Moves up to LIMIT documents out; after the last one, the list and the directory are removed. */
enum queue_result split_directory_finish(
    struct split_directory *directory, size_t limit, struct error *error);

/* Removes up to LIMIT documents, and then the directory. Fails where a file is in the list's place.
 */
enum queue_result split_directory_undo(
    struct split_directory *directory, size_t limit, struct error *error);

#endif
