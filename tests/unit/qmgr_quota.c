/*
 * Quotas by the minute and the day, and the pause between two mails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qmgr/quota.h"

#define HOUR (3600 * INT64_C(1000))
#define WALL (490000 * HOUR)

static void
no_limit_is_no_limit(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        quota_begin(&quota, WALL, 5);
    assert_int_equal(quota_room(&quota, &limits, WALL, 5), UINT32_MAX);
}

/* However they are spread, no 60 s have more than the limit. */
static void
no_minute_has_more(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {.per_minute = 10};
    int64_t begun[1000];
    size_t count = 0;

    (void)state;
    for (int64_t now = 0; now < 600000; now += 700) {
        for (uint32_t burst = 0; burst < 3; burst++) {
            if (quota_room(&quota, &limits, WALL + now, now) == 0)
                break;
            begun[count++] = now;
            quota_begin(&quota, WALL + now, now);
        }
    }
    assert_in_range(count, 95, 100);
    for (size_t i = 10; i < count; i++)
        assert_true(begun[i] - begun[i - 10] >= 60000);
}

static void
a_day_is_24_hours(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {.per_day = 3};

    (void)state;
    for (int i = 0; i < 3; i++)
        quota_begin(&quota, WALL + i * HOUR, i * HOUR);
    assert_int_equal(quota_room(&quota, &limits, WALL + 24 * HOUR, 0), 0);
    assert_int_equal(quota_room(&quota, &limits, WALL + 25 * HOUR, 0), 1);
    assert_int_equal(quota_room(&quota, &limits, WALL + 27 * HOUR, 0), 3);
}

static void
what_was_refused_does_not_count(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {.per_minute = 1, .per_day = 1};
    struct quota_moment moment = quota_begin(&quota, WALL, 0);

    (void)state;
    assert_int_equal(quota_room(&quota, &limits, WALL, 0), 0);
    quota_end(&quota, &limits, moment, false, 30000);
    assert_int_equal(quota_room(&quota, &limits, WALL, 30000), 1);
    moment = quota_begin(&quota, WALL, 30000);
    quota_end(&quota, &limits, moment, true, 30000);
    assert_int_equal(quota_room(&quota, &limits, WALL, 30000), 0);
    /* Long over when it is told: another mail's count is not taken off. */
    quota_begin(&quota, WALL + 30 * HOUR, 30 * HOUR);
    quota_end(&quota, &limits, moment, false, 30 * HOUR);
    assert_int_equal(quota_room(&quota, &limits, WALL + 30 * HOUR, 30 * HOUR), 0);
}

static void
the_pause_is_between_end_and_beginning(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {.delay = 1000};
    struct quota_moment moment;

    (void)state;
    assert_int_equal(quota_room(&quota, &limits, WALL, 100), 1);
    moment = quota_begin(&quota, WALL, 100);
    assert_int_equal(quota_room(&quota, &limits, WALL, 5000), 0);
    quota_end(&quota, &limits, moment, true, 6000);
    assert_int_equal(quota_room(&quota, &limits, WALL, 6999), 0);
    assert_int_equal(quota_left(&quota, &limits, WALL, 6999), UINT32_MAX);
    assert_int_equal(quota_room(&quota, &limits, WALL, 7000), 1);
}

static void
what_was_written_down_counts(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {.per_day = 10};

    (void)state;
    quota_recall(&quota, WALL / HOUR - 24, 4, WALL);
    quota_recall(&quota, WALL / HOUR, 3, WALL);
    quota_recall(&quota, WALL / HOUR - 25, 100, WALL);
    quota_recall(&quota, WALL / HOUR + 1, 100, WALL);
    quota_recall(&quota, -5, 100, WALL);
    quota_recall(&quota, INT64_MAX / 2, 100, WALL);
    assert_int_equal(quota_room(&quota, &limits, WALL, 0), 3);
    assert_int_equal(quota_room(&quota, &limits, WALL + HOUR, 0), 7);
}

static void
a_clock_that_is_set_back_frees_nothing_at_once(void **state)
{
    struct quota quota = {0};
    const struct quota_limits limits = {.per_day = 1};

    (void)state;
    quota_begin(&quota, WALL, 0);
    assert_int_equal(quota_room(&quota, &limits, WALL - 2 * HOUR, 0), 0);
    assert_int_equal(quota_room(&quota, &limits, WALL, 0), 0);
    /* A year: it was wrong before. */
    assert_int_equal(quota_room(&quota, &limits, WALL - 8760 * HOUR, 0), 1);
}

/* Two programs with one file: what either begins counts for both, once. */
static void
what_others_begin_counts(void **state)
{
    const struct quota_limits limits = {.per_day = 10};
    struct quota ours = {0};
    struct quota others = {0};
    struct quota seen[2] = {{0}};
    struct quota file = {0};
    struct quota_moment moment;

    (void)state;
    quota_recall(&file, WALL / HOUR - 3, 2, WALL);
    quota_merge(&ours, &seen[0], &file, WALL);
    quota_merge(&others, &seen[1], &file, WALL);
    assert_int_equal(quota_left(&ours, &limits, WALL, 0), 8);
    quota_begin(&ours, WALL, 0);
    moment = quota_begin(&ours, WALL, 0);
    quota_begin(&others, WALL, 0);
    quota_merge(&ours, &seen[0], &file, WALL);
    file = ours;
    assert_true(quota_merge(&others, &seen[1], &file, WALL));
    file = others;
    /* Nothing new: it is not to be written, or two would write for ever. */
    assert_false(quota_merge(&ours, &seen[0], &file, WALL));
    assert_int_equal(quota_left(&ours, &limits, WALL, 0), 5);
    assert_int_equal(quota_left(&others, &limits, WALL, 0), 5);
    /* It was not handed over after all, an hour later. */
    quota_end(&ours, &limits, moment, false, 0);
    quota_merge(&ours, &seen[0], &file, WALL + HOUR);
    file = ours;
    quota_merge(&others, &seen[1], &file, WALL + HOUR);
    assert_int_equal(quota_left(&others, &limits, WALL + HOUR, 0), 6);
}

/* A file that somebody wrote may say anything; what is written after it can be read again. */
static void
no_hour_counts_more_than_can_be_written(void **state)
{
    struct quota quota = {0};
    struct quota seen = {0};
    struct quota theirs = {0};
    const struct quota_limits limits = {.per_day = UINT32_MAX};

    (void)state;
    for (int i = 0; i < 200; i++)
        quota_recall(&theirs, WALL / HOUR, QUOTA_HOUR_MOST, WALL);
    assert_int_equal(quota_left(&theirs, &limits, WALL, 0), UINT32_MAX - QUOTA_HOUR_MOST);
    quota_begin(&quota, WALL, 0);
    assert_true(quota_merge(&quota, &seen, &theirs, WALL));
    assert_int_equal(quota_left(&quota, &limits, WALL, 0), UINT32_MAX - QUOTA_HOUR_MOST);
}

/* A pause that was written down before the machine was started anew. */
static void
a_pause_is_never_longer_than_it_may_be(void **state)
{
    struct quota quota = {.rest_until = 90000};
    const struct quota_limits limits = {.delay = 5000};

    (void)state;
    assert_int_equal(quota_room(&quota, &limits, WALL, 84999), 1);
    assert_int_equal(quota_room(&quota, &limits, WALL, 85000), 0);
    assert_int_equal(quota_room(&quota, &limits, WALL, 90000), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_is_no_limit),
        cmocka_unit_test(no_minute_has_more),
        cmocka_unit_test(a_day_is_24_hours),
        cmocka_unit_test(what_was_refused_does_not_count),
        cmocka_unit_test(the_pause_is_between_end_and_beginning),
        cmocka_unit_test(what_was_written_down_counts),
        cmocka_unit_test(what_others_begin_counts),
        cmocka_unit_test(a_clock_that_is_set_back_frees_nothing_at_once),
        cmocka_unit_test(no_hour_counts_more_than_can_be_written),
        cmocka_unit_test(a_pause_is_never_longer_than_it_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
