/*
 * Where it is written down what became of a mail: on the disk, by the committer, or in a database,
 * by smailer-sql. Both are told by a commit, and hand it back done (finish_collect).
 */
#ifndef SMAILER_QMGR_RECORDER_H
#define SMAILER_QMGR_RECORDER_H

#include <stdbool.h>

#include "lib/channel.h"
#include "lib/configuration.h"
#include "qmgr/base.h"
#include "qmgr/committer.h"

struct recorder {
    void (*submit)(struct commit *commit);
    bool (*is_open)(const struct base *base);
    const char *places[MAIL_STATE_COUNT]; /* how the log tells where a mail is now */
    const char *replaced; /* and that it was not the same any more */
};

/* The one for queues of KIND. */
const struct recorder *recorder_of(enum section_kind kind);

/* True where BASE's mails can be recorded. */
bool recorder_is_open(const struct base *base);

void recorder_handle_recorded(struct channel *from, const struct message *message);
void recorder_handle_journaled(struct channel *from, const struct message *message);
void recorder_handle_lease(struct channel *from, const struct message *message);

#endif
