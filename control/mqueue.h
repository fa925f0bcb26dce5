/*
 * What sendmail(8) asks for: the queues of sendmail's among the bases.
 */
#ifndef SMAILER_CONTROL_MQUEUE_H
#define SMAILER_CONTROL_MQUEUE_H

#include "control/request.h"

/* ASK_JOBS: every job, for mailq. */
extern const struct request_kind JOBS_KIND;
/* ASK_RUN: a run over them. */
extern const struct request_kind MQUEUE_RUN_KIND;
/* SUBMIT: a message, whoever it comes from. */
extern const struct request_kind SUBMIT_KIND;

#define MQUEUE_NONE UINT32_MAX

/* The first queue after PREVIOUS (MQUEUE_NONE: of all) that is in DIRECTORY ("": anywhere);
 * MQUEUE_NONE where there is none. */
uint32_t mqueue_next(const char *directory, uint32_t previous);

/* The end of a request for which there is no queue in DIRECTORY. */
void mqueue_answer_none(struct request *request, const char *directory);

void jobs_found(struct channel *from, const struct message *message);
void jobs_ended(struct channel *from, const struct message *message);

/* True where the progress is of a run of this kind, which is told of it. */
bool mqueue_run_progressed(const struct message *message);

/* True where the line is of a run that is shown. */
bool mqueue_run_spoken(const struct message *message);

void submit_ended(struct channel *from, const struct message *message);

#endif
