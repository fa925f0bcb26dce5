/*
 * The mails that a worker has in hand and no session: those that wait for one, and those that came
 * back from one that ended before they were tried, which go first.
 */
#ifndef SMAILER_SMTP_IN_HAND_H
#define SMAILER_SMTP_IN_HAND_H

#include "smtp/mail.h"

struct in_hand {
    struct mail_list waiting;
    struct mail_list returned;
};

void in_hand_init(struct in_hand *in_hand);

bool in_hand_is_empty(const struct in_hand *in_hand);

/* A new one. */
void in_hand_add(struct in_hand *in_hand, struct mail *mail);

/* One that a session was given, and that is to be tried by the next. */
void in_hand_return(struct in_hand *in_hand, struct mail *mail);

/* The one whose turn is next, which stays in hand, or NULL. */
struct mail *in_hand_next(struct in_hand *in_hand);

/* A session has got the one whose turn was next. */
void in_hand_passed_on(struct in_hand *in_hand);

/* Takes the mail of that number out; NULL where it is not there. */
struct mail *in_hand_take(struct in_hand *in_hand, uint64_t number);

#endif
