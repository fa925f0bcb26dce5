/*
 * What is to be synced, apart from the queues whose it is: any thread may do that, while the queues
 * are used on. A flush is made, run and looked at one after the other.
 */
#ifndef SMAILER_QUEUE_FLUSH_H
#define SMAILER_QUEUE_FLUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define FLUSH_GROUP 16 /* so many of one file system are synced by one syncfs(2) */
#define FLUSH_NOTHING SIZE_MAX

struct queue;

/* All zero: nothing. */
struct queue_flush {
    struct flush_item *items;
    size_t item_count;
    struct flush_system *systems; /* file systems */
    size_t system_count;
};

/* Adds a new file of QUEUE's; DESCRIPTOR becomes the flush's. Returns what flush_check takes. */
size_t flush_add_file(struct queue_flush *flush, const struct queue *queue, int descriptor);

/* Adds a directory, which NAME stays valid for; DESCRIPTOR stays the queue's. */
size_t flush_add_directory(
    struct queue_flush *flush, const struct queue *queue, int descriptor, const char *name);

/* Syncs all of it. The only one that takes its time, and that any thread may call. */
void queue_flush_run(struct queue_flush *flush);

/* After the run: false with the reason where ITEM, of QUEUE, was not synced, and QUEUE is not
 * trusted from now on. */
bool flush_check(
    const struct queue_flush *flush, size_t item, struct queue *queue, struct error *error);

/* Nothing is in it any more. */
void queue_flush_clear(struct queue_flush *flush);

#endif
