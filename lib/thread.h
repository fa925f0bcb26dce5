/*
 * Threads beside a program's main one.
 */
#ifndef SMAILER_THREAD_H
#define SMAILER_THREAD_H

#include <pthread.h>

#include "lib/error.h"

/* Starts a thread that takes no signals: they are the main thread's. WHOSE ("the committer's") is
 * for the reason, where it returns false. */
bool thread_start(pthread_t *thread, void *(*run)(void *context), void *context, const char *whose,
    struct error *error);

#endif
