#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/text.h"

static void
what_fits_is_whole(void **state)
{
    char text[16];

    (void)state;
    assert_true(text_format(text, sizeof(text), "%s%d", "żół", 7));
    assert_string_equal(text, "żół7");
}

/* Every size: what is left is the beginning of the text, and ends with a whole character. */
static void
what_does_not_fit_is_cut_at_a_character(void **state)
{
    const char *whole = "aż€😀z";

    (void)state;
    for (size_t size = 1; size <= strlen(whole); size++) {
        char text[32];

        memset(text, 'x', sizeof(text));
        assert_false(text_format(text, size, "%s", whole));
        assert_true(strlen(text) < size && strlen(text) + 4 >= size);
        assert_memory_equal(text, whole, strlen(text));
        assert_true(text_is_utf8(text, strlen(text)));
        assert_int_equal(text[size], 'x');
    }
}

/* What is no UTF-8 loses no more than what has no room. */
static void
other_octets_are_cut_anywhere(void **state)
{
    char text[4];

    (void)state;
    assert_false(text_format(text, sizeof(text), "%s", "\xBF\xF3\xB3w"));
    assert_int_equal(strlen(text), 1);
    assert_false(text_format(text, sizeof(text), "%s", "\xBF\xBF\xBF\xBF"));
    assert_int_equal(strlen(text), 3);
}

static void
what_has_no_room_stays_as_it_is(void **state)
{
    char text[2] = {'x', 'y'};

    (void)state;
    assert_false(text_format(text + 1, 0, "%s", "ż"));
    assert_memory_equal(text, "xy", 2);
}

static void
a_cut_ends_at_a_character(void **state)
{
    (void)state;
    assert_int_equal(text_cut("aż€", 6, 6), 6);
    assert_int_equal(text_cut("aż€", 6, 5), 3);
    assert_int_equal(text_cut("aż€", 6, 3), 3);
    assert_int_equal(text_cut("aż€", 6, 2), 1);
    assert_int_equal(text_cut("ż", 2, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_whole),
        cmocka_unit_test(what_does_not_fit_is_cut_at_a_character),
        cmocka_unit_test(other_octets_are_cut_anywhere),
        cmocka_unit_test(what_has_no_room_stays_as_it_is),
        cmocka_unit_test(a_cut_ends_at_a_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
