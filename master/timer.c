#include <sysexits.h>
#include <time.h>

#include "lib/log.h"
#include "master/timer.h"

struct event *
timer_new(struct event_base *base, event_callback_fn callback, void *context)
{
    struct event *timer = evtimer_new(base, callback, context);

    if (timer == NULL)
        fatal(EX_OSERR, "no memory for a timer");
    return timer;
}

void
timer_start(struct event *timer, int64_t milliseconds)
{
    struct timeval interval = {milliseconds / 1000, (milliseconds % 1000) * 1000};

    if (evtimer_add(timer, &interval) != 0)
        fatal(EX_OSERR, "a timer cannot be started");
}

void
timer_stop(struct event *timer)
{
    evtimer_del(timer);
}

int64_t
timer_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
