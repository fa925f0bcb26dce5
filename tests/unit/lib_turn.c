#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/turn.h"

#define START 1000000000000

/* Turns that begin as soon as they may, each of which takes no time, until UNTIL. */
static int
count_turns(struct turn *turn, int64_t now, int64_t until)
{
    int count = 0;

    while (now < until) {
        int64_t wait = turn_begin(turn, now);

        assert_in_range(wait, 0, TURN_GAP);
        now += wait;
        count++;
    }
    return count;
}

static void
who_was_idle_need_not_wait(void **state)
{
    struct turn turn = {0};

    (void)state;
    for (int64_t i = 0; i < TURN_CREDIT / TURN_GAP; i++)
        assert_int_equal(turn_begin(&turn, START), 0);
}

static void
who_is_busy_takes_a_turn_a_gap(void **state)
{
    struct turn turn = {0};
    int first = count_turns(&turn, START, START + 100 * (int64_t)TURN_GAP);

    (void)state;
    assert_in_range(first, 100, 100 + TURN_CREDIT / TURN_GAP + 1);
    assert_in_range(
        count_turns(&turn, START + 100 * (int64_t)TURN_GAP, START + 200 * (int64_t)TURN_GAP), 99,
        101);
}

static void
credit_comes_back_with_time_and_no_more_than_before(void **state)
{
    struct turn turn = {0};
    int64_t later = START + 1000 * TURN_CREDIT;

    (void)state;
    count_turns(&turn, START, START + 100 * (int64_t)TURN_GAP);
    for (int64_t i = 0; i < TURN_CREDIT / TURN_GAP + 1; i++)
        assert_int_equal(turn_begin(&turn, later), 0);
    assert_int_equal(turn_begin(&turn, later), TURN_GAP);
}

static void
slow_turns_never_wait(void **state)
{
    struct turn turn = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(turn_begin(&turn, START + i * 2 * (int64_t)TURN_GAP), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_idle_need_not_wait),
        cmocka_unit_test(who_is_busy_takes_a_turn_a_gap),
        cmocka_unit_test(credit_comes_back_with_time_and_no_more_than_before),
        cmocka_unit_test(slow_turns_never_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
