/*
 * Finding files, for the other files of queue/.
 */
#ifndef SMAILER_QUEUE_FIND_H
#define SMAILER_QUEUE_FIND_H

#include <dirent.h>

#include "queue/directory.h"
#include "queue/name.h"

/* An iteration of its own over DIRECTORY; closedir() ends it. NULL with the reason on failure. */
DIR *find_names(struct queue *queue, enum directory directory, struct error *error);

void find_identify(struct mail_identity *identity, const struct stat *status);

/* True where STATUS is that of the very mail, not written to since. */
bool find_is_same(const struct mail_identity *identity, const struct stat *status);

#endif
