#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/outcome.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    enum stage stage;
    unsigned code;
    struct enhanced_code enhanced;
    enum outcome outcome;
} CASES[] = {
    /* 2yz to the end of content. */
    {STAGE_CONTENT, 250, {2, 0, 0}, OUTCOME_SENT},
    {STAGE_CONTENT, 200, {0, 0, 0}, OUTCOME_SENT},
    {STAGE_CONTENT, 299, {0, 0, 0}, OUTCOME_SENT},
    {STAGE_CONTENT, 250, {5, 6, 0}, OUTCOME_SENT},
    /* No connection, TLS, login, time-out, 421, any 4yz. */
    {STAGE_CONNECT, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_TLS, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_TLS, 454, {4, 7, 0}, OUTCOME_DEFERRED},
    {STAGE_TLS, 502, {5, 5, 1}, OUTCOME_DEFERRED},
    {STAGE_GREETING, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_GREETING, 421, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_GREETING, 554, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_EHLO, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_EHLO, 550, {5, 7, 1}, OUTCOME_DEFERRED},
    {STAGE_TOKEN, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_LOGIN, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_LOGIN, 334, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_LOGIN, 454, {4, 7, 0}, OUTCOME_DEFERRED},
    {STAGE_LOGIN, 535, {5, 7, 8}, OUTCOME_DEFERRED},
    {STAGE_LOGIN, 504, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_MAIL, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_DATA, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 421, {4, 3, 2}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 450, {4, 2, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 452, {4, 3, 4}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 499, {4, 6, 0}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 450, {5, 1, 1}, OUTCOME_DEFERRED},
    /* 5yz to MAIL, 530, 535, 5.7.z, 5.1.7, 5.1.8 at any stage. */
    {STAGE_MAIL, 550, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_MAIL, 550, {5, 1, 1}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 530, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 530, {5, 5, 1}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 535, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 554, {5, 7, 1}, OUTCOME_DEFERRED},
    {STAGE_DATA, 554, {5, 7, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 550, {5, 7, 26}, OUTCOME_DEFERRED},
    {STAGE_RCPT, 550, {5, 1, 7}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 550, {5, 1, 8}, OUTCOME_DEFERRED},
    /* 5yz to RCPT or the content otherwise; 5.3.4 and 5.6.z at any stage. */
    {STAGE_RCPT, 550, {0, 0, 0}, OUTCOME_DROPPED},
    {STAGE_RCPT, 550, {5, 1, 1}, OUTCOME_DROPPED},
    {STAGE_RCPT, 552, {5, 2, 2}, OUTCOME_DROPPED},
    {STAGE_RCPT, 550, {4, 7, 1}, OUTCOME_DROPPED},
    {STAGE_RCPT, 550, {2, 7, 1}, OUTCOME_DROPPED},
    {STAGE_DATA, 554, {0, 0, 0}, OUTCOME_DROPPED},
    {STAGE_CONTENT, 554, {5, 2, 0}, OUTCOME_DROPPED},
    {STAGE_CONTENT, 552, {0, 0, 0}, OUTCOME_DROPPED},
    {STAGE_MAIL, 552, {5, 3, 4}, OUTCOME_DROPPED},
    {STAGE_CONTENT, 552, {5, 3, 4}, OUTCOME_DROPPED},
    {STAGE_MAIL, 553, {5, 6, 7}, OUTCOME_DROPPED},
    {STAGE_MAIL, 554, {5, 4, 7}, OUTCOME_DROPPED},
    {STAGE_DATA, 554, {5, 6, 3}, OUTCOME_DROPPED},
    /* The dot went out and nothing came back; the mail was not looked at. */
    {STAGE_UNKNOWN, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_UNKNOWN, 250, {2, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_UNKNOWN, 550, {5, 1, 1}, OUTCOME_DEFERRED},
    {STAGE_UNTRIED, 0, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_UNTRIED, 552, {5, 3, 4}, OUTCOME_DEFERRED},
    {STAGE_GREETING, 554, {5, 3, 4}, OUTCOME_DEFERRED},
    {STAGE_LOGIN, 552, {5, 3, 4}, OUTCOME_DEFERRED},
    {STAGE_EHLO, 550, {5, 6, 7}, OUTCOME_DEFERRED},
    /* What makes no sense never loses a mail, nor claims that it arrived. */
    {STAGE_MAIL, 250, {2, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_DATA, 250, {2, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 354, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 199, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 300, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_CONTENT, 600, {0, 0, 0}, OUTCOME_DEFERRED},
    {STAGE_COUNT, 250, {2, 0, 0}, OUTCOME_DEFERRED},
    {(enum stage)77, 550, {5, 1, 1}, OUTCOME_DEFERRED},
};

static void
every_row_decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct decision decision = outcome_decide(CASES[i].stage, CASES[i].code, CASES[i].enhanced);

        if (decision.outcome != CASES[i].outcome)
            fail_msg("case %zu: stage %d, %u %u.%u.%u is %s", i, (int)CASES[i].stage, CASES[i].code,
                CASES[i].enhanced.class, CASES[i].enhanced.subject, CASES[i].enhanced.detail,
                outcome_name(decision.outcome));
        assert_non_null(decision.reason);
        assert_in_range(decision.enhanced.class, 2, 5);
    }
}

/* The scheduler decides again from what the worker tells it. */
static void
the_decision_stands_when_it_is_made_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct decision first = outcome_decide(CASES[i].stage, CASES[i].code, CASES[i].enhanced);
        struct decision second = outcome_decide(CASES[i].stage, CASES[i].code, first.enhanced);

        assert_int_equal(first.outcome, second.outcome);
        assert_string_equal(first.reason, second.reason);
    }
}

static void
reasons_are_for_people(void **state)
{
    struct decision decision;

    (void)state;
    decision = outcome_decide(STAGE_RCPT, 554, (struct enhanced_code){5, 7, 1});
    assert_string_equal(
        decision.reason, "the relay does not permit it: the account or relay is set up wrongly");
    decision = outcome_decide(STAGE_MAIL, 501, (struct enhanced_code){0, 0, 0});
    assert_string_equal(decision.reason, "the account or relay is set up wrongly");
    decision = outcome_decide(STAGE_MAIL, 552, (struct enhanced_code){5, 3, 4});
    assert_string_equal(decision.reason, "it is too large for the relay");
}

static void
a_code_the_server_gave_is_kept(void **state)
{
    struct decision decision;

    (void)state;
    decision = outcome_decide(STAGE_CONTENT, 250, (struct enhanced_code){2, 6, 0});
    assert_int_equal(decision.enhanced.subject, 6);
    decision = outcome_decide(STAGE_CONTENT, 250, (struct enhanced_code){4, 6, 0});
    assert_int_equal(decision.enhanced.class, 2);
    assert_int_equal(decision.enhanced.subject, 0);
    decision = outcome_decide(STAGE_CONNECT, 0, (struct enhanced_code){0, 0, 0});
    assert_int_equal(decision.enhanced.class, 4);
    assert_int_equal(decision.enhanced.subject, 4);
    assert_int_equal(decision.enhanced.detail, 1);
}

static void
every_stage_and_outcome_has_a_name(void **state)
{
    (void)state;
    for (int stage = 0; stage <= STAGE_COUNT; stage++)
        assert_non_null(stage_name((enum stage)stage));
    assert_string_equal(outcome_name(OUTCOME_SENT), "sent");
    assert_string_equal(outcome_name(OUTCOME_DEFERRED), "deferred");
    assert_string_equal(outcome_name(OUTCOME_DROPPED), "dropped");
    assert_string_equal(outcome_name((enum outcome)9), "deferred");
}

static void
enhanced_codes_are_read(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        struct enhanced_code enhanced;
    } texts[] = {
        {"2.0.0 Ok", 5, {2, 0, 0}},
        {"5.7.1", 5, {5, 7, 1}},
        {"4.999.123 x", 9, {4, 999, 123}},
        {"5.7.1234", 0, {0, 0, 0}},
        {"5.7", 0, {0, 0, 0}},
        {"5.7.", 0, {0, 0, 0}},
        {"5.7.x", 0, {0, 0, 0}},
        {"5..1 x", 0, {0, 0, 0}},
        {"5.7.1x", 0, {0, 0, 0}},
        {"3.7.1", 0, {0, 0, 0}},
        {"", 0, {0, 0, 0}},
        {"192.0.2.1 says no", 0, {0, 0, 0}},
    };
    char shown[ENHANCED_TEXT_SIZE];
    struct enhanced_code enhanced;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(
            enhanced_parse(texts[i].text, strlen(texts[i].text), &enhanced), texts[i].length);
        assert_int_equal(enhanced.class, texts[i].enhanced.class);
        assert_int_equal(enhanced.subject, texts[i].enhanced.subject);
        assert_int_equal(enhanced.detail, texts[i].enhanced.detail);
        enhanced_print(enhanced, shown);
        assert_int_equal(strlen(shown), texts[i].length);
        assert_memory_equal(shown, texts[i].text, texts[i].length);
    }
    assert_string_equal(
        enhanced_print((struct enhanced_code){255, 65535, 65535}, shown), "255.65535.65535");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_decides),
        cmocka_unit_test(the_decision_stands_when_it_is_made_again),
        cmocka_unit_test(reasons_are_for_people),
        cmocka_unit_test(a_code_the_server_gave_is_kept),
        cmocka_unit_test(every_stage_and_outcome_has_a_name),
        cmocka_unit_test(enhanced_codes_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
