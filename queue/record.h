/*
 * The record beside a mail: a small text file, one `key: value` a line, the version first.
 *
 *     smailer record 1
 *     id: 17.10.2011000011_BB1C7C8F5EC83BC7
 *     name: mail.xml
 *     attempts: 3
 *     ...
 *
 * Text is escaped as lib/text.h does, so that any octets survive. Times are seconds with three
 * decimals. The next try is not in the text: it is the file's mtime.
 */
#ifndef SMAILER_QUEUE_RECORD_H
#define SMAILER_QUEUE_RECORD_H

#include "queue/directory.h"

#define RECORD_TEXT_SIZE 8192

/* Returns how many octets TEXT got. */
size_t record_format(char text[RECORD_TEXT_SIZE], const struct mail_record *record);

/* Takes nothing but what record_format writes; next_try is left as it is. */
bool record_parse(const char *text, size_t length, struct mail_record *record);

/* Reads the record of that hash. False where there is none, or one that is damaged or a stranger's,
 * which is logged. */
bool record_read(
    struct queue *queue, enum directory directory, uint64_t hash, struct mail_record *record);

/* Writes it under a temporary name (which goes to NAME), not synced. Returns its descriptor, or
 * -1 with the reason. */
int record_write(struct queue *queue, enum directory directory, const struct mail_record *record,
    char name[QUEUE_TEMPORARY_SIZE], struct error *error);

/* True where this process writes a record under that temporary NAME. */
bool record_is_under_way(const char *name);

/* Gives it its name, in place of an older one. */
bool record_publish(struct queue *queue, enum directory directory, const char *name, uint64_t hash,
    struct error *error);

/* Removes the record of that hash, if there is one. */
void record_remove(struct queue *queue, enum directory directory, uint64_t hash);

#endif
