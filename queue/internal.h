/*
 * What the files of queue/ share about an opened queue. Nobody else includes it.
 */
#ifndef SMAILER_QUEUE_INTERNAL_H
#define SMAILER_QUEUE_INTERNAL_H

#include <sys/types.h>

#include "queue/queue.h"

/* The directories of a spool; a kind with others maps its own onto these. */
enum directory {
    DIRECTORY_QUEUE,
    DIRECTORY_STATE,
    DIRECTORY_SENT,
    DIRECTORY_DEFER,
    DIRECTORY_DEFER_STATE,
    DIRECTORY_DROP,
    DIRECTORY_DROP_STATE,
    DIRECTORY_COUNT
};

/* What a kind of queue does in its own way. */
struct queue_kind {
    const char *name;
    bool (*open)(struct queue *queue, struct error *error);
    bool (*name_is_mail)(const struct queue *queue, const char *name);
    /* Finds out the id's hash of a mail and the name that it comes from. */
    uint64_t (*origin)(
        struct queue *queue, const struct mail_identity *identity, char name[QUEUE_NAME_SIZE]);
    bool (*read_record)(
        struct queue *queue, const struct mail_identity *identity, struct mail_record *record);
    /* A move's two halves: all that can be done without anybody seeing it, and the commit. The
     * first returns true where there is a commit to make. */
    bool (*move_prepare)(struct queue_move *move);
    void (*move_commit)(struct queue_move *move);
    void (*move_abandon)(struct queue_move *move);

    /* The rest is for a kind that has one directory for all states, and whose mails are rewritten
     * instead of moved (mqueue_take, ...). */
    bool single_directory;
    /* Whether a file called NAME may be a mail in PLACE. */
    bool (*name_is_in)(const struct queue *queue, enum mail_state place, const char *name);
    /* Whether the mail of IDENTITY, open for reading, is in its place; fills in its order. */
    bool (*is_in_place)(struct queue *queue, struct mail_identity *identity, int descriptor);
    /* All that was changed before the last sync began is on the disk. */
    void (*synced)(struct queue *queue);
    /* Of a single directory: removes the file NAME where a death left it and nothing is lost with
     * it. True where it belongs to no mail, and is kept. */
    bool (*sweep)(struct queue *queue, const char *name, int64_t now);
};

extern const struct queue_kind QUEUE_SPOOL;
extern const struct queue_kind QUEUE_MQUEUE;

struct queue {
    const struct queue_kind *kind;
    char *section;
    char *sid;
    char *path;
    char *pattern;
    uint64_t max_message_size;
    int64_t retry_interval;
    int64_t expire;
    int64_t warn_after;
    bool writable;
    int directories[DIRECTORY_COUNT]; /* -1: not open */
    dev_t device;
    uid_t owner;
    gid_t group;
    mode_t mode;
    unsigned int touched; /* 1 << enum directory, since the last sync began, or it failed */
    unsigned int syncing; /* those that are in a flush, */
    size_t syncs[DIRECTORY_COUNT]; /* and which of its items they are */
    enum { STRIKES_UNKNOWN, STRIKES_NONE, STRIKES_POSSIBLE } strikes; /* records in .state */
    uint64_t serial; /* makes the names of temporary files differ */
    bool distrusted; /* a sync failed, and nothing worked since */
    int64_t probed; /* when that was last tried; ms of the monotonic clock */
    struct error distrust;
    /* Of an mqueue: data files without their control file, to be removed once it is gone for good.
     */
    char (*doomed)[QUEUE_NAME_SIZE];
    size_t doomed_count;
    size_t doomed_syncing; /* so many of them may go when the sync under way is over */
};

#endif
