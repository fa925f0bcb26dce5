/*
 * What a relay says in a challenge of its login (RFC 4954, section 4).
 */
#ifndef SMAILER_SMTP_CHALLENGE_H
#define SMAILER_SMTP_CHALLENGE_H

#include "smtp/reply.h"

/* The code of one. */
#define CHALLENGE 334

/* Makes of the words of REPLY, a challenge in base64, what they say in plain, where that is
 * printable ASCII; else leaves them. */
void challenge_decode(struct reply *reply);

#endif
