/*
 * What a generation hands on of its relays' health, whatever the relays said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/service.h"
#include "qmgr/account.h"

static struct health *
health_of(uint32_t account)
{
    return &accounts_get(account)->health;
}

static int
setup(void **state)
{
    struct configuration *configuration =
        (struct configuration *)(uintptr_t)service_configuration();

    (void)state;
    configuration_init(configuration);
    configuration_add_account(configuration, "a@example.com");
    configuration_add_account(configuration, "b@example.com");
    accounts_open();
    return 0;
}

static void
hand_on(void)
{
    int descriptor = accounts_write_inheritance();

    assert_true(descriptor >= 0);
    memset(health_of(0), 0, sizeof(*health_of(0)));
    memset(health_of(1), 0, sizeof(*health_of(1)));
    accounts_read_inheritance(descriptor);
    close(descriptor);
}

static void
what_is_down_stays_down(void **state)
{
    (void)state;
    *health_of(0) = (struct health){
        .down = true, .probe_at = 17, .interval = 18, .stage = STAGE_MAIL, .code = 451};
    strlcpy(health_of(0)->words, "451 4.3.2 later", sizeof(health_of(0)->words));
    hand_on();
    assert_true(health_of(0)->down && !health_of(1)->down);
    assert_int_equal(health_of(0)->probe_at, 17);
    assert_int_equal(health_of(0)->interval, 18);
    assert_int_equal(health_of(0)->stage, STAGE_MAIL);
    assert_int_equal(health_of(0)->code, 451);
    assert_string_equal(health_of(0)->words, "451 4.3.2 later");
}

/* A worker that was taken over has one account, and must not be able to speak for another. */
static void
words_make_no_line_of_their_own(void **state)
{
    (void)state;
    *health_of(0) = (struct health){.down = true, .stage = STAGE_CONNECT};
    strlcpy(health_of(0)->words, "no\tx\r\nb@example.com\t9\t9\t1\t0\t\t\tdown",
        sizeof(health_of(0)->words));
    hand_on();
    assert_true(health_of(0)->down && !health_of(1)->down);
    assert_string_equal(health_of(0)->words, "no x  b@example.com 9 9 1 0   down");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_down_stays_down),
        cmocka_unit_test(words_make_no_line_of_their_own),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
