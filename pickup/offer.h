/*
 * Mails on their way: who a mail is goes to qmgr, what is in it to a cleanup.
 */
#ifndef SMAILER_PICKUP_OFFER_H
#define SMAILER_PICKUP_OFFER_H

#include "pickup/base.h"

void offer_open(void);

/* Makes BASE one that is asked for mails. */
void offer_wake(struct base *base);

/* Offers what can be offered now, base by base in turn. To be called when anything has changed;
 * takes up the rest soon by itself where that is much. */
void offer_pump(void);

/* Offers no more. */
void offer_stop(void);

#endif
