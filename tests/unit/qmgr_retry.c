#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "qmgr/retry.h"

#define NOW INT64_C(1764000000000)

static const struct retry_rules RULES = {.retry_interval = 3600000, .max_attempts = 100};
static const struct retry_event REFUSED = {
    .now = NOW, .id = "id", .stage = "RCPT", .code = 450, .reason = "450 full"};

static void
a_first_refusal_defers_for_the_interval(void **state)
{
    struct mail_record record = {.name = "a"};

    (void)state;
    assert_int_equal(retry_defer(&RULES, &REFUSED, &record), MAIL_DEFERRED);
    assert_int_equal(record.attempts, 1);
    assert_int_equal(record.first_try, NOW);
    assert_int_equal(record.last_try, NOW);
    assert_int_equal(record.next_try, NOW + 3600000);
    assert_int_equal(record.code, 450);
    assert_string_equal(record.id, "id");
    assert_string_equal(record.name, "a");
    assert_string_equal(record.reason, "450 full");
}

static void
the_last_attempt_drops_with_the_last_words(void **state)
{
    struct mail_record record = {.attempts = 98, .first_try = NOW - 1};

    (void)state;
    assert_int_equal(retry_defer(&RULES, &REFUSED, &record), MAIL_DEFERRED);
    assert_int_equal(retry_defer(&RULES, &REFUSED, &record), MAIL_DROPPED);
    assert_int_equal(record.attempts, 100);
    assert_int_equal(record.first_try, NOW - 1);
    assert_string_equal(record.reason, "given up after 100 attempts: 450 full");
}

static void
the_third_strike_defers(void **state)
{
    const struct retry_event died = {.now = NOW, .id = "id", .reason = "cleanup died"};
    struct mail_record record = {0};

    (void)state;
    assert_int_equal(retry_strike(&RULES, &died, MAIL_WAITING, &record), MAIL_WAITING);
    assert_int_equal(retry_strike(&RULES, &died, MAIL_WAITING, &record), MAIL_WAITING);
    assert_int_equal(record.attempts, 0);
    assert_int_equal(record.next_try, NOW);
    assert_int_equal(retry_strike(&RULES, &died, MAIL_WAITING, &record), MAIL_DEFERRED);
    assert_int_equal(record.attempts, 1);
    assert_int_equal(record.next_try, NOW + 3600000);
    assert_string_equal(record.reason, "cleanup died");
    assert_int_equal(retry_strike(&RULES, &died, MAIL_DEFERRED, &record), MAIL_DEFERRED);
    assert_int_equal(record.attempts, 2);
}

static void
an_answer_clears_the_strikes(void **state)
{
    struct mail_record record = {.strikes = 2};

    (void)state;
    retry_defer(&RULES, &REFUSED, &record);
    assert_int_equal(record.strikes, 0);
}

static void
a_drop_counts_only_when_there_was_a_try(void **state)
{
    const struct retry_event malformed = {.now = NOW, .reason = "not an address"};
    struct mail_record record = {.id = "known"};

    (void)state;
    assert_int_equal(retry_drop(&RULES, &malformed, &record), MAIL_DROPPED);
    assert_int_equal(record.attempts, 0);
    assert_int_equal(record.first_try, 0);
    assert_string_equal(record.id, "known");
    assert_int_equal(retry_drop(&RULES, &REFUSED, &record), MAIL_DROPPED);
    assert_int_equal(record.attempts, 1);
}

static void
words_without_end_are_cut(void **state)
{
    static char words[4 * QUEUE_REASON_SIZE];
    struct retry_event event = REFUSED;
    struct mail_record record = {.attempts = 99};

    (void)state;
    memset(words, 'x', sizeof(words) - 1);
    event.reason = words;
    assert_int_equal(retry_defer(&RULES, &event, &record), MAIL_DROPPED);
    assert_int_equal(strlen(record.reason), QUEUE_REASON_SIZE - 1);
}

static void
a_first_try_in_the_future_is_not_believed(void **state)
{
    struct mail_record record = {.attempts = 1, .first_try = NOW + 1000000};

    (void)state;
    retry_defer(&RULES, &REFUSED, &record);
    assert_int_equal(record.first_try, NOW);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_refusal_defers_for_the_interval),
        cmocka_unit_test(the_last_attempt_drops_with_the_last_words),
        cmocka_unit_test(the_third_strike_defers),
        cmocka_unit_test(an_answer_clears_the_strikes),
        cmocka_unit_test(a_drop_counts_only_when_there_was_a_try),
        cmocka_unit_test(words_without_end_are_cut),
        cmocka_unit_test(a_first_try_in_the_future_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
