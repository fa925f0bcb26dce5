/*
 * Whether the disk may be believed.
 */
#ifndef SMAILER_QUEUE_SYNC_H
#define SMAILER_QUEUE_SYNC_H

#include "queue/directory.h"

/* False with the reason after a failed sync, until writing and syncing works again. To be asked
 * before every change. */
bool sync_trusts(struct queue *queue, struct error *error);

/* From now on QUEUE is not trusted. Always false. */
bool sync_distrust(struct queue *queue, const struct error *reason);

/* WHAT of QUEUE's was not synced, for the reason in errno: as sync_distrust. */
bool sync_failed(struct queue *queue, const char *what, struct error *error);

/* Syncs new files that were written in DESCRIPTOR's file system. What fails is told once to each
 * description that was open then: it must not be one that others sync by at the same time. */
bool sync_file_system(struct queue *queue, int descriptor, struct error *error);

/* fdatasync(2), and what a failure means. */
bool sync_file(struct queue *queue, int descriptor, struct error *error);

/* fsync(2) of a directory that is none of the layout's. */
bool sync_directory(struct queue *queue, int descriptor, struct error *error);

#endif
