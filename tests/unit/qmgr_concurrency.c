/*
 * How many connections an account may have, and how often a relay that fails is probed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qmgr/concurrency.h"
#include "qmgr/health.h"

static void
it_begins_with_all(void **state)
{
    struct concurrency concurrency;

    (void)state;
    concurrency_init(&concurrency, 20);
    concurrency_note_success(&concurrency, 0);
    assert_int_equal(concurrency_allowed(&concurrency), 20);
}

static void
a_refusal_leaves_those_that_are_up(void **state)
{
    struct concurrency concurrency;

    (void)state;
    concurrency_init(&concurrency, 20);
    assert_true(concurrency_note_refusal(&concurrency, 5, 0));
    assert_int_equal(concurrency_allowed(&concurrency), 5);
    /* The others that were begun with it. */
    assert_false(concurrency_note_refusal(&concurrency, 5, 1));
    assert_int_equal(concurrency_allowed(&concurrency), 5);
    assert_true(concurrency_note_refusal(&concurrency, 0, 2));
    assert_int_equal(concurrency_allowed(&concurrency), 1);
}

/* A relay with ten mails a second on each connection, that bears SEVEN. */
static void
it_settles_below_what_is_refused(void **state)
{
    struct concurrency concurrency;
    unsigned refusals = 0;

    (void)state;
    concurrency_init(&concurrency, 20);
    for (int64_t now = 0; now < 3600000; now += 100) {
        if (concurrency_allowed(&concurrency) > 7) {
            refusals++;
            concurrency_note_refusal(&concurrency, 7, now);
        }
        assert_true(concurrency_allowed(&concurrency) == 7);
        for (uint32_t i = 0; i < concurrency_allowed(&concurrency); i++)
            concurrency_note_success(&concurrency, now);
    }
    assert_in_range(refusals, 5, 25); /* of 36,000 occasions */
}

static void
it_comes_back_when_the_relay_is_well(void **state)
{
    struct concurrency concurrency;
    int64_t now = 0;

    (void)state;
    concurrency_init(&concurrency, 20);
    concurrency_note_refusal(&concurrency, 1, now);
    while (concurrency_allowed(&concurrency) < 20 && now < 600000) {
        now += 100;
        for (uint32_t i = 0; i < concurrency_allowed(&concurrency); i++)
            concurrency_note_success(&concurrency, now);
    }
    assert_int_equal(concurrency_allowed(&concurrency), 20);
    assert_in_range(now, 1000, 60000);
}

static void
probes_become_rarer(void **state)
{
    const struct health_gaps gaps = {1000, 8000};
    static const int64_t EXPECTED[] = {1000, 2000, 4000, 8000, 8000};
    struct health health = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(EXPECTED) / sizeof(EXPECTED[0]); i++) {
        health_note_failure(&health, &gaps, STAGE_CONNECT, 50000);
        assert_int_equal(health.interval, EXPECTED[i]);
        assert_false(health_allows(&health, 50000 + EXPECTED[i] - 1));
        assert_true(health_allows(&health, 50000 + EXPECTED[i]));
    }
}

/* The first has the widest gap at once, and each after that twice as much, up to a day. */
static void
logins_are_probed_far_less_often(void **state)
{
    const struct health_gaps gaps = {300000, 3600000};
    static const int64_t EXPECTED[] = {1, 2, 4, 8, 16, 24, 24};
    struct health health = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(EXPECTED) / sizeof(EXPECTED[0]); i++) {
        health_note_failure(&health, &gaps, STAGE_LOGIN, 0);
        assert_int_equal(health.interval, EXPECTED[i] * 3600000);
    }
    health_note_failure(&health, &gaps, STAGE_CONNECT, 0);
    assert_int_equal(health.interval, 3600000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_all),
        cmocka_unit_test(a_refusal_leaves_those_that_are_up),
        cmocka_unit_test(it_settles_below_what_is_refused),
        cmocka_unit_test(it_comes_back_when_the_relay_is_well),
        cmocka_unit_test(probes_become_rarer),
        cmocka_unit_test(logins_are_probed_far_less_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
