/*
 * What the files of the kind "mqueue" share. Nobody else includes it.
 */
#ifndef SMAILER_QUEUE_MQUEUE_INTERNAL_H
#define SMAILER_QUEUE_MQUEUE_INTERNAL_H

#include "queue/directory.h"
#include "queue/mqueue.h"

struct mqueue_job {
    struct queue *queue;
    char id[MQUEUE_ID_SIZE];
    char name[QUEUE_NAME_SIZE]; /* of its control file */
    int descriptor; /* of it, which has the locks */
    struct control_file control;
    ino_t transcript; /* 0: none */
    bool had_transcript; /* of somebody who died, or of another program */
    int64_t attempts; /* before this one, as the next */
    int64_t priority;
};

/* When a job's time comes (ms): some of its recipients may not have been tried at all. */
int64_t mqueue_next_try(const struct queue *queue, const struct control_file *control);

/* True where NAME is LETTER, "f" and an id. */
bool mqueue_is_name(const char *name, char letter);

/* Removes the file NAME where a death left it more than an hour ago and nothing is lost with it: a
 * tf beside its qf, an xf without one. True where it is a df, or a tf, whose job has no control
 * file: what it was is not known, so it stays. */
bool mqueue_sweep(struct queue *queue, const char *name, int64_t now);

/* "tf" and the id. */
void mqueue_name(char name[QUEUE_NAME_SIZE], char letter, const char *id);

/* Reads and parses the control file DESCRIPTOR. */
enum control_state mqueue_read(int descriptor, struct control_file *control, struct error *error);

/* Locks DESCRIPTOR as sendmail does, in both ways. False where somebody else has it. */
bool mqueue_lock(int descriptor);

/* Writes CONTROL as the new file tfID, synced and locked; its descriptor, or -1. */
int mqueue_write(
    struct queue *queue, const char *id, const struct control_file *control, struct error *error);

/* Faults of programs over the job so far; 0 removes what is remembered of them. */
uint32_t mqueue_strikes(struct queue *queue, const char *id);
bool mqueue_set_strikes(struct queue *queue, const char *id, uint32_t strikes, struct error *error);

/* Takes those who leave out of CONTROL, and notes why the rest is deferred. The texts are
 * DECISION's. Twice is the same as once. */
void mqueue_apply(struct control_file *control, const struct mqueue_decision *decision);

/* The job's control file is gone: its data goes once that is on the disk. */
void mqueue_doom(struct queue *queue, const char *id);

#endif
