/* When a directory is passed over again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pickup/base.h"
#include "pickup/pass.h"
#include "tests/unit/queue_fixture.h"

#define LONG_MS 100000

/* A base that was just passed over, at some cost. */
static struct base *
rested(const struct fixture *fixture)
{
    struct base *base = calloc(1, sizeof(*base));

    assert_non_null(base);
    base->queue = fixture->queue;
    base->passes[MAIL_WAITING].not_before = clock_monotonic_ms() + LONG_MS;
    return base;
}

static void
release(struct base *base)
{
    base->queue = NULL; /* the fixture's */
    base_reset(base);
    free(base);
}

static void
come(struct base *base, int count)
{
    char name[32];

    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "mail-%d.xml", i);
        base_note_fresh(base, name);
    }
}

static void
a_base_rests_after_a_pass(void **state)
{
    struct base *base = rested(*state);

    base_want_passes(base);
    assert_false(pass_is_due(base, MAIL_WAITING));
    assert_true(base_wakeup(base) == 0); /* for the other place */
    base->passes[MAIL_DEFERRED].wanted = false;
    assert_in_range(base_wakeup(base), LONG_MS / 2, LONG_MS);
    release(base);
}

static void
what_is_remembered_needs_no_pass(void **state)
{
    struct base *base = rested(*state);

    come(base, BASE_FRESH_MAX);
    assert_int_equal(base->fresh_count, BASE_FRESH_MAX);
    assert_false(base->passes[MAIL_WAITING].wanted);
    release(base);
}

/* Beside many mails that wait for something else, the rest would be long. */
static void
what_gave_way_in_a_flood_ends_the_rest(void **state)
{
    struct base *base = rested(*state);

    come(base, BASE_FRESH_MAX + 1);
    assert_true(pass_is_due(base, MAIL_WAITING));
    assert_int_equal(base_wakeup(base), 0);
    base->passes[MAIL_WAITING].waited_for_not_before = clock_monotonic_ms() + LONG_MS;
    assert_false(pass_is_due(base, MAIL_WAITING));
    release(base);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_base_rests_after_a_pass, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            what_is_remembered_needs_no_pass, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            what_gave_way_in_a_flood_ends_the_rest, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
