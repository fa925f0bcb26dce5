/*
 * What a file of a queue is: a mail, which is composed, a list, which is split, or neither.
 */
#ifndef SMAILER_CLEANUP_JUDGE_H
#define SMAILER_CLEANUP_JUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "lib/message.h"

#include "cleanup/output.h"

/* What messages.def lets through. */
enum {
    JUDGE_ADDRESS_MAX = 320,
    JUDGE_RECIPIENTS_MAX = 65536,
    JUDGE_SUBJECT_MAX = 1000,
    JUDGE_REASON_MAX = 500
};

struct judgement {
    enum parse_verdict verdict;
    uint32_t flags; /* MAIL_FLAG_... */
    uint32_t items; /* mails in the file */
    time_t written; /* when the (first) mail was, or the file */
    /* The envelope; of a bad mail, what the fields say, made safe to show. */
    char sender[JUDGE_ADDRESS_MAX + 1];
    struct output recipients; /* each with its NUL; of a list, those that there is room for */
    struct output subject; /* of the (first) mail, on one line, NUL-terminated */
    char reason[JUDGE_REASON_MAX + 1];
    int content; /* a sealed memfd, the caller's to close: message or split list; or -1 */
    struct bytes small; /* the message, where it is so small that it needs none; until the next */

    /* Of jobs of an mqueue; see VERDICT. */
    char account[JUDGE_ADDRESS_MAX + 1];
    char envelope_id[256];
    char auth[501];
    int64_t deliver_by;
    struct output details;
    struct output problems;
    int encoded; /* as content: the message in 7 bits, or -1 */
};

/* Empties JUDGEMENT; WRITTEN is all that is known. */
void judge_clear(struct judgement *judgement, time_t written);

/* It is of that VERDICT, for the reason that ERROR has. */
void judge_refuse(
    struct judgement *judgement, enum parse_verdict verdict, const struct error *error);

/* TEXT becomes the subject, on one line. */
void judge_set_subject(struct judgement *judgement, const char *text, size_t length);

/* Opens what files of this process are judged with. CONFIGURATION must live as long. */
bool judge_open(const struct configuration *configuration, struct error *error);

void judge_close(void);

/* Judges the file of PARSE, whose descriptor stays the caller's. Where it is to be delivered (and
 * not listed), its content is made. What JUDGEMENT held before is gone, but it must be all zero
 * before its first use. */
void judge_file(const struct message_parse *parse, struct judgement *judgement);

#endif
