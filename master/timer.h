/*
 * Master's timers and its clock.
 */
#ifndef SMAILER_MASTER_TIMER_H
#define SMAILER_MASTER_TIMER_H

#include <stdint.h>

#include <event2/event.h>

/* A timer of BASE, not started; event_free() takes it back. Never NULL. */
struct event *timer_new(struct event_base *base, event_callback_fn callback, void *context);

/* It calls once, after so many milliseconds; one that was started before starts anew. */
void timer_start(struct event *timer, int64_t milliseconds);

void timer_stop(struct event *timer);

/* Milliseconds of a clock that nobody sets. */
int64_t timer_now(void);

#endif
