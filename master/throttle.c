#include "master/throttle.h"

#define FIRST_MS 1000
#define LONGEST_MS 60000
#define HEALTHY_MS 5000
#define DOUBLINGS 6 /* after which it is the longest */

int64_t
throttle_delay(unsigned *failures, bool worked, int64_t served)
{
    int64_t delay;

    if (worked || served >= HEALTHY_MS) {
        *failures = 0;
        return 0;
    }
    delay = (int64_t)FIRST_MS << (*failures < DOUBLINGS ? *failures : DOUBLINGS);
    ++*failures;
    return delay < LONGEST_MS ? delay : LONGEST_MS;
}
