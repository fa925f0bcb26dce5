/*
 * Where a worker connects to next, and fingerprints as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/fingerprint.h"
#include "smtp/route.h"

static char first_host[] = "one.test";
static char other_host[] = "two.test";
static char no_host[] = "";

static struct account_settings
account_with(char *fallback)
{
    return (struct account_settings){
        .relay = {first_host, 25}, .fallback_relay = {fallback, fallback[0] != '\0' ? 26 : 0}};
}

static void
addresses_come_before_the_fallback(void **state)
{
    const struct account_settings account = account_with(other_host);
    struct route route;

    (void)state;
    route_begin(&route, &account);
    assert_string_equal(route_relay(&route)->host, first_host);
    assert_true(route_next(&route, STAGE_GREETING, "192.0.2.1"));
    assert_string_equal(route_relay(&route)->host, first_host);
    assert_true(route_avoids(&route.avoided, "192.0.2.1"));
    assert_false(route_avoids(&route.avoided, "192.0.2.2"));
    assert_true(route_next(&route, STAGE_GREETING, ""));
    assert_string_equal(route_relay(&route)->host, other_host);
    assert_false(route_avoids(&route.avoided, "192.0.2.1"));
    assert_true(route_next(&route, STAGE_EHLO, "192.0.2.1"));
    assert_false(route_next(&route, STAGE_EHLO, ""));
    route_begin(&route, &account);
    assert_string_equal(route_relay(&route)->host, first_host);
}

static void
a_refused_login_is_not_taken_elsewhere(void **state)
{
    const struct account_settings account = account_with(other_host);
    struct route route;

    (void)state;
    route_begin(&route, &account);
    assert_false(route_next(&route, STAGE_LOGIN, "192.0.2.1"));
    assert_true(route_next(&route, STAGE_TLS, "192.0.2.1"));
    assert_false(route_next(&route, STAGE_TLS, ""));
}

static void
without_a_fallback_it_ends(void **state)
{
    const struct account_settings account = account_with(no_host);
    struct route route;
    char address[32];

    (void)state;
    route_begin(&route, &account);
    assert_false(route_next(&route, STAGE_CONNECT, ""));
    for (int i = 0; i < ROUTE_ADDRESSES; i++) {
        snprintf(address, sizeof(address), "192.0.2.%d", i);
        assert_true(route_next(&route, STAGE_GREETING, address));
    }
    assert_false(route_next(&route, STAGE_GREETING, "192.0.2.99"));
}

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define COLONS                                                                                     \
    "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd"

static void
fingerprints_are_read(void **state)
{
    static const char *const WRONG[] = {"", "01", DIGITS "0", DIGITS ":", ":" DIGITS, COLONS,
        COLONS ":", COLONS "::ef", COLONS ":eg", "0:1" DIGITS};
    char normal[FINGERPRINT_SIZE];

    (void)state;
    assert_true(fingerprint_normalize(DIGITS, normal));
    assert_string_equal(normal, DIGITS);
    assert_true(fingerprint_normalize(COLONS ":ef", normal));
    assert_string_equal(normal, DIGITS);
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        assert_false(fingerprint_normalize(WRONG[i], normal));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_before_the_fallback),
        cmocka_unit_test(a_refused_login_is_not_taken_elsewhere),
        cmocka_unit_test(without_a_fallback_it_ends),
        cmocka_unit_test(fingerprints_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
