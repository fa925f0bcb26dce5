#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/throttle.h"

static void
failures_double_the_delay_up_to_a_minute(void **state)
{
    static const int64_t DELAYS[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
    unsigned failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(DELAYS) / sizeof(DELAYS[0]); i++)
        assert_int_equal(throttle_delay(&failures, false, 10), DELAYS[i]);
    assert_int_equal(failures, sizeof(DELAYS) / sizeof(DELAYS[0]));
}

static void
many_failures_do_not_overflow(void **state)
{
    unsigned failures = 1000000;

    (void)state;
    assert_int_equal(throttle_delay(&failures, false, 10), 60000);
}

static void
a_job_ends_the_delay(void **state)
{
    unsigned failures = 7;

    (void)state;
    assert_int_equal(throttle_delay(&failures, true, 10), 0);
    assert_int_equal(failures, 0);
    assert_int_equal(throttle_delay(&failures, false, 10), 1000);
}

static void
some_seconds_of_health_end_the_delay(void **state)
{
    unsigned failures = 7;

    (void)state;
    assert_int_equal(throttle_delay(&failures, false, 4000), 60000);
    assert_int_equal(throttle_delay(&failures, false, 6000), 0);
    assert_int_equal(failures, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_double_the_delay_up_to_a_minute),
        cmocka_unit_test(many_failures_do_not_overflow),
        cmocka_unit_test(a_job_ends_the_delay),
        cmocka_unit_test(some_seconds_of_health_end_the_delay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
