#include "master/throttle.h"

#define FIRST_MS 1000
#define LONGEST_MS 60000
#define DOUBLINGS 6 /* after which it is the longest */

int64_t
throttle_delay(unsigned *failures, bool worked, int64_t lived)
{
    int64_t delay;

    if (worked || lived >= LONGEST_MS) {
        *failures = 0;
        return 0;
    }
    delay = (int64_t)FIRST_MS << (*failures < DOUBLINGS ? *failures : DOUBLINGS);
    ++*failures;
    return delay < LONGEST_MS ? delay : LONGEST_MS;
}
