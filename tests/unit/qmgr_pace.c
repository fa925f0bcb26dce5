#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qmgr/pace.h"

#define NOW INT64_C(5000)

static void
note(struct pace *pace, int64_t now, int count)
{
    for (int i = 0; i < count; i++)
        pace_note(pace, now);
}

static void
nothing_is_known_in_the_first_interval(void **state)
{
    struct pace pace;

    (void)state;
    pace_begin(&pace, NOW);
    assert_int_equal(pace_of(&pace, NOW), UINT32_MAX);
    note(&pace, NOW + 1, 3);
    assert_int_equal(pace_of(&pace, NOW + PACE_MS - 1), UINT32_MAX);
    assert_int_equal(pace_of(&pace, NOW + PACE_MS), 3);
}

static void
the_better_of_two_intervals_counts(void **state)
{
    struct pace pace;

    (void)state;
    pace_begin(&pace, NOW);
    note(&pace, NOW, 10);
    note(&pace, NOW + PACE_MS, 2);
    assert_int_equal(pace_of(&pace, NOW + PACE_MS), 10);
    note(&pace, NOW + PACE_MS + 1, 18);
    assert_int_equal(pace_of(&pace, NOW + PACE_MS + 1), 20);
}

static void
what_stands_still_has_none(void **state)
{
    struct pace pace;

    (void)state;
    pace_begin(&pace, NOW);
    note(&pace, NOW, 10);
    assert_int_equal(pace_of(&pace, NOW + 2 * PACE_MS), 0);
    note(&pace, NOW + 3 * PACE_MS, 4);
    assert_int_equal(pace_of(&pace, NOW + 3 * PACE_MS), 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_in_the_first_interval),
        cmocka_unit_test(the_better_of_two_intervals_counts),
        cmocka_unit_test(what_stands_still_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
