#include "pickup/turns.h"
#include "lib/service.h"

/* Steps before other events get their turn. */
#define BURST 64

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    turns_pump(context);
}

void
turns_open(struct turns *turns)
{
    STAILQ_INIT(&turns->waiting);
    turns->soon = service_timer(on_soon, turns);
}

void
turns_add(struct turns *turns, struct turn *turn)
{
    STAILQ_INSERT_TAIL(&turns->waiting, turn, next);
}

void
turns_remove(struct turns *turns, struct turn *turn)
{
    STAILQ_REMOVE(&turns->waiting, turn, turn, next);
}

/* The first that has room goes on; then it is the others' turn. */
static bool
step_one(struct turns *turns)
{
    struct turn *turn;

    STAILQ_FOREACH(turn, &turns->waiting, next)
    {
        if (turn->room == 0)
            continue;
        if (turns->step(turn)) {
            turns_remove(turns, turn);
            turns_add(turns, turn);
        }
        return true;
    }
    return false;
}

void
turns_pump(struct turns *turns)
{
    bool more = true;

    for (int i = 0; i < BURST && more; i++)
        more = (turns->may_step == NULL || turns->may_step()) && step_one(turns);
    if (more)
        service_timer_start(turns->soon, 0);
}

static struct turn *
find(const struct turns *turns, uint32_t request)
{
    struct turn *turn;

    STAILQ_FOREACH(turn, &turns->waiting, next)
    {
        if (turn->request == request)
            return turn;
    }
    return NULL;
}

void
turns_give_room(struct turns *turns, uint32_t request, uint32_t count)
{
    struct turn *turn = find(turns, request);

    if (turn != NULL)
        turn->room += count;
    turns_pump(turns);
}

void
turns_cancel(struct turns *turns, uint32_t request)
{
    struct turn *turn = find(turns, request);

    if (turn != NULL)
        turns->end(turn, "");
}

void
turns_cancel_all(struct turns *turns)
{
    while (!STAILQ_EMPTY(&turns->waiting))
        turns->end(STAILQ_FIRST(&turns->waiting), "");
}
