#include "smtp/in_hand.h"

void
in_hand_init(struct in_hand *in_hand)
{
    STAILQ_INIT(&in_hand->waiting);
    STAILQ_INIT(&in_hand->returned);
}

bool
in_hand_is_empty(const struct in_hand *in_hand)
{
    return STAILQ_EMPTY(&in_hand->waiting) && STAILQ_EMPTY(&in_hand->returned);
}

void
in_hand_add(struct in_hand *in_hand, struct mail *mail)
{
    STAILQ_INSERT_TAIL(&in_hand->waiting, mail, next);
}

void
in_hand_return(struct in_hand *in_hand, struct mail *mail)
{
    STAILQ_INSERT_TAIL(&in_hand->returned, mail, next);
}

struct mail *
in_hand_next(struct in_hand *in_hand)
{
    STAILQ_CONCAT(&in_hand->returned, &in_hand->waiting);
    STAILQ_CONCAT(&in_hand->waiting, &in_hand->returned);
    return STAILQ_FIRST(&in_hand->waiting);
}

void
in_hand_passed_on(struct in_hand *in_hand)
{
    STAILQ_REMOVE_HEAD(&in_hand->waiting, next);
}

/* The one with that number, out of MAILS. */
static struct mail *
take(struct mail_list *mails, uint64_t number)
{
    struct mail *mail;

    STAILQ_FOREACH(mail, mails, next)
    {
        if (mail->number != number)
            continue;
        STAILQ_REMOVE(mails, mail, mail, next);
        return mail;
    }
    return NULL;
}

struct mail *
in_hand_take(struct in_hand *in_hand, uint64_t number)
{
    struct mail *mail = take(&in_hand->returned, number);

    return mail != NULL ? mail : take(&in_hand->waiting, number);
}
