#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/join.h"

static struct {
    int matches;
    int losses;
    uint64_t job;
    char name[256];
    char sender[321];
    char why[64];
} seen;

static void
on_match(const struct message_found *found, const struct message_listed *listed)
{
    assert_true(found->job == listed->job);
    seen.matches++;
    seen.job = found->job;
    snprintf(seen.name, sizeof(seen.name), "%s", found->name);
    snprintf(seen.sender, sizeof(seen.sender), "%s", listed->sender);
}

static void
on_loss(const struct message_found *found, const char *why)
{
    seen.losses++;
    seen.job = found->job;
    snprintf(seen.why, sizeof(seen.why), "%s", why);
}

static int
set_up(void **state)
{
    memset(&seen, 0, sizeof(seen));
    *state = join_new();
    return 0;
}

static int
tear_down(void **state)
{
    join_free(*state);
    return 0;
}

static bool
add_found(struct join *join, uint64_t job, int64_t now)
{
    char name[32];
    struct message message = {
        MESSAGE_FOUND, .found = {.job = job, .name = name, .error = "x", .next_try = 7}};

    snprintf(name, sizeof(name), "file %d", (int)job);
    return join_add(join, &message, now, on_match);
}

static bool
add_listed(struct join *join, uint64_t job, int64_t now)
{
    struct message message = {MESSAGE_LISTED,
        .listed = {.job = job, .sender = "foo@example.com", .recipients = {"a\0b", 4}}};

    return join_add(join, &message, now, on_match);
}

static void
halves_meet_in_either_order(void **state)
{
    assert_false(add_found(*state, 1, 0));
    assert_false(add_listed(*state, 2, 0));
    assert_int_equal(join_count(*state), 2);
    assert_true(add_listed(*state, 1, 0));
    assert_string_equal(seen.name, "file 1");
    assert_string_equal(seen.sender, "foo@example.com");
    assert_true(add_found(*state, 2, 0));
    assert_string_equal(seen.name, "file 2");
    assert_int_equal(seen.matches, 2);
    assert_int_equal(join_count(*state), 0);
}

static void
many_are_kept_apart(void **state)
{
    for (uint64_t job = 0; job < 5000; job++)
        assert_false(add_found(*state, job, 0));
    for (uint64_t job = 5000; job-- > 0;) {
        assert_true(add_listed(*state, job, 0));
        assert_true(seen.job == job);
    }
    assert_int_equal(join_count(*state), 0);
}

static void
what_stays_alone_expires(void **state)
{
    add_found(*state, 1, 10);
    add_listed(*state, 2, 10);
    add_found(*state, 3, 20);
    join_expire(*state, 10, on_loss, "early");
    assert_int_equal(seen.losses, 0);
    join_expire(*state, 20, on_loss, "cleanup died");
    assert_int_equal(seen.losses, 1);
    assert_true(seen.job == 1);
    assert_string_equal(seen.why, "cleanup died");
    assert_int_equal(join_count(*state), 1);
    assert_false(add_listed(*state, 1, 30));
    assert_true(add_listed(*state, 3, 30));
}

static void
the_same_half_twice_counts_once(void **state)
{
    add_listed(*state, 1, 0);
    assert_false(add_listed(*state, 1, 0));
    assert_int_equal(join_count(*state), 1);
    assert_true(add_found(*state, 1, 0));
    assert_int_equal(join_count(*state), 0);
}

/* A cleanup that sends what nobody asked for fills no memory. */
static void
unasked_halves_are_bounded(void **state)
{
    static char recipients[65536];
    struct message message = {
        MESSAGE_LISTED, .listed = {.sender = "", .recipients = {recipients, sizeof(recipients)}}};

    for (message.listed.job = 0; message.listed.job < 2000; message.listed.job++)
        join_add(*state, &message, 0, on_match);
    assert_in_range(join_count(*state), 500, 1100);
    join_expire(*state, 1, on_loss, "");
    assert_int_equal(join_count(*state), 0);
    message.listed.job = 1;
    join_add(*state, &message, 0, on_match);
    assert_int_equal(join_count(*state), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(halves_meet_in_either_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_are_kept_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_stays_alone_expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_half_twice_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unasked_halves_are_bounded, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
