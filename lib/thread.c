#include <errno.h>
#include <signal.h>

#include "lib/thread.h"

bool
thread_start(pthread_t *thread, void *(*run)(void *context), void *context, const char *whose,
    struct error *error)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return errno == 0 || error_errno(error, "start %s thread", whose);
}
