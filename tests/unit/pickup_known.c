/* What pickup remembers of files: every one is found again, whatever came and went beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "pickup/known.h"

#define NAMES 500

static uint64_t
key_of(int number)
{
    char name[32];

    snprintf(name, sizeof(name), "mail-%d.xml", number);
    return known_key(MAIL_WAITING, name);
}

static void
keys_tell_names_and_places_apart(void **state)
{
    (void)state;
    assert_true(known_key(MAIL_WAITING, "a") == known_key(MAIL_WAITING, "a"));
    assert_true(known_key(MAIL_WAITING, "a") != known_key(MAIL_DEFERRED, "a"));
    assert_true(known_key(MAIL_WAITING, "abcdefgh") != known_key(MAIL_WAITING, "abcdefgi"));
    assert_true(known_key(MAIL_WAITING, "abcdefgh") != known_key(MAIL_WAITING, "abcdefghi"));
    assert_true(known_key(MAIL_WAITING, "") != 0);
}

/* Beside a plain array, in any order of adding and removing. */
static void
what_was_added_is_found_until_it_is_removed(void **state)
{
    static bool there[NAMES];
    struct known known = {0};
    size_t count = 0;

    (void)state;
    srand(3);
    for (int round = 0; round < 100000; round++) {
        int number = rand() % NAMES;
        struct known_file *file = known_find(&known, key_of(number));

        assert_int_equal(file != NULL, there[number]);
        if (file != NULL)
            assert_int_equal(file->account, number);
        if (there[number]) {
            known_remove(&known, key_of(number));
            count--;
        } else {
            known_add(&known, key_of(number))->account = (uint32_t)number;
            count++;
        }
        there[number] = !there[number];
        assert_int_equal(known.count, count);
    }
    known_free(&known);
}

static void
what_is_added_twice_is_there_once(void **state)
{
    struct known known = {0};

    (void)state;
    known_add(&known, key_of(1))->run = 5;
    assert_int_equal(known_add(&known, key_of(1))->run, 5);
    assert_int_equal(known.count, 1);
    known_remove(&known, key_of(1));
    known_remove(&known, key_of(1));
    assert_int_equal(known.count, 0);
    known_free(&known);
}

static void
only_what_a_pass_did_not_see_is_stale(void **state)
{
    struct known_file file = {
        .used = true, .kind = KNOWN_PARKED, .place = MAIL_DEFERRED, .pass = 4};

    (void)state;
    assert_true(known_is_stale(&file, MAIL_DEFERRED, 5));
    assert_false(known_is_stale(&file, MAIL_DEFERRED, 4));
    assert_false(known_is_stale(&file, MAIL_WAITING, 5));
    file.kind = KNOWN_IN_HAND;
    assert_false(known_is_stale(&file, MAIL_DEFERRED, 5));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_tell_names_and_places_apart),
        cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(what_is_added_twice_is_there_once),
        cmocka_unit_test(only_what_a_pass_did_not_see_is_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
