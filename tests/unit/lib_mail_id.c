#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mail_id.h"

static void
test_format(void **state)
{
    char id[MAIL_ID_SIZE];

    (void)state;
    assert_string_equal(mail_id_format(id, sizeof(id), 1318802411, 0xBB1C7C8F5EC83BC7U),
        "17.10.2011000011_BB1C7C8F5EC83BC7");
    assert_string_equal(
        mail_id_format(id, sizeof(id), 1318802411, 1), "17.10.2011000011_0000000000000001");
}

static void
test_format_far_away(void **state)
{
    char id[MAIL_ID_SIZE];

    (void)state;
    assert_true(strlen(mail_id_format(id, sizeof(id), INT64_MAX, UINT64_MAX)) < sizeof(id));
    assert_int_equal(strlen(mail_id_format(id, sizeof(id), 253402300800, UINT64_MAX)), 33);
}

/* printf 'sowa1\0BASE\0list.xml\0001318802411000000000\0' | sha256sum */
static void
test_hash(void **state)
{
    (void)state;
    assert_int_equal(mail_id_hash("sowa1", "BASE", "list.xml", 1318802411000000000),
        UINT64_C(0x5179AF7308ADA0C4));
}

static void
test_hash_keeps_parts_apart(void **state)
{
    (void)state;
    assert_int_not_equal(mail_id_hash("a", "bc", "d", 1), mail_id_hash("ab", "c", "d", 1));
    assert_int_not_equal(mail_id_hash("a", "b", "c", 1), mail_id_hash("a", "b", "c", 2));
    assert_int_not_equal(mail_id_hash("a", "b", "c", -1), mail_id_hash("a", "b", "c", 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_far_away),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hash_keeps_parts_apart),
    };

    setenv("TZ", "Europe/Warsaw", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
