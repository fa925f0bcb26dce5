#include <time.h>

#include "lib/clock.h"

static int64_t
read_ms(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_now_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t
clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}
