/*
 * Listings that take turns: each has the request that it answers, and room at who asked for it.
 */
#ifndef SMAILER_PICKUP_TURNS_H
#define SMAILER_PICKUP_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;

/* The first member of a listing. */
struct turn {
    STAILQ_ENTRY(turn) next;
    uint32_t request;
    uint32_t room;
};

struct turns {
    /* Does one step of a listing that has room; false where that ended it. */
    bool (*step)(struct turn *turn);
    /* Ends it, with PROBLEM or "", and frees it, after turns_remove(). */
    void (*end)(struct turn *turn, const char *problem);
    /* False where none of them may go on now; NULL: they always may. */
    bool (*may_step)(void);
    STAILQ_HEAD(, turn) waiting;
    struct event *soon;
};

void turns_open(struct turns *turns);
void turns_add(struct turns *turns, struct turn *turn);
void turns_remove(struct turns *turns, struct turn *turn);

/* Goes on, for as long as other events can wait, and takes up the rest soon by itself. */
void turns_pump(struct turns *turns);

/* The listing of REQUEST, where there is one, has room for COUNT more; or is not wanted any more.
 */
void turns_give_room(struct turns *turns, uint32_t request, uint32_t count);
void turns_cancel(struct turns *turns, uint32_t request);
void turns_cancel_all(struct turns *turns);

#endif
