#include "lib/turn.h"

int64_t
turn_begin(struct turn *turn, int64_t now)
{
    int64_t wait;

    if (turn->due < now - TURN_CREDIT)
        turn->due = now - TURN_CREDIT;
    wait = turn->due - now;
    turn->due += TURN_GAP;
    if (wait <= 0)
        return 0;
    return wait < TURN_GAP ? wait : TURN_GAP;
}
