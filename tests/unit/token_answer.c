/*
 * What token_commands print.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "token/answer.h"

static struct answer answer;
static struct error error;

static bool
reads(const char *text)
{
    size_t length = strlen(text);
    char *exact = malloc(length + 1); /* so that a read beyond is found */
    bool read;

    assert_non_null(exact);
    memcpy(exact, text, length);
    read = answer_read(exact, length, &answer, &error);
    free(exact);
    return read;
}

static const struct {
    const char *text;
    const char *token;
    int64_t lifetime; /* s */
} ANSWERS[] = {
    {"abc", "abc", 300},
    {"abc\n", "abc", 300},
    {"a-b._~+/=c\r\n\r\n", "a-b._~+/=c", 300},
    {"abc\nexpires_in 3599\n", "abc", 3599},
    {"abc\r\nexpires_in 3599\r\n", "abc", 3599},
    {"abc\n\nexpires_in 0.5\n", "abc", 0},
    {"abc\nexpires_in -5\n", "abc", 0},
    {"abc\nexpires_in 1e300\n", "abc", 86400},
    {"abc\nexpires_in inf\n", "abc", 86400},
    {"{\"access_token\": \"abc\"}", "abc", 300},
    {"\n {\"access_token\":\"abc\",\"expires_in\":3599,\"token_type\":\"Bearer\"}\n", "abc", 3599},
    {"{\"expires_in\": \"3599\", \"access_token\": \"abc\", \"id_token\": \"x\"}", "abc", 3599},
    {"{\"access_token\": \"abc\", \"expires_in\": 0}", "abc", 0},
    {"{\"access_token\": \"abc\", \"expires_in\": 99999999999}", "abc", 86400},
};

static void
tokens_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(ANSWERS[0]); i++) {
        if (!reads(ANSWERS[i].text))
            fail_msg("%s: %s", ANSWERS[i].text, error.text);
        assert_string_equal(answer.token, ANSWERS[i].token);
        assert_int_equal(answer.lifetime / 1000, ANSWERS[i].lifetime);
    }
}

static const struct {
    const char *text;
    const char *words;
} REFUSED[] = {
    {"", "printed no token"},
    {"\nabc\n", "printed no token"},
    {"a b\n", "octets that no token has"},
    {"a\001auth=Bearer b\n", "octets that no token has"},
    {"ab\303\263\n", "octets that no token has"},
    {"abc\nxyz\n", "printed a second line that is not"},
    {"abc\nexpires_in\n", "printed a second line that is not"},
    {"abc\nexpires_in x\n", "printed a second line that is not"},
    {"abc\nexpires_in nan\n", "printed a second line that is not"},
    {"abc\nexpires_in 1 2\n", "printed a second line that is not"},
    {"{", "printed JSON that has a mistake in line 1"},
    {"{\n\"access_token\": \"abc\"\n", "printed JSON that has a mistake in line"},
    {"{\"access_token\": \"abc\", \"access_token\": \"def\"}", "printed JSON that has a mistake"},
    {"{\"access_token\": \"a\\u0000c\"}", "printed JSON that has a mistake"},
    {"{\"access_token\": \"\"}", "printed no token"},
    {"{\"access_token\": \"a\\u0001c\"}", "octets that no token has"},
    {"{\"access_token\": 7}", "printed JSON without an access_token"},
    {"{\"access_token\": \"abc\", \"expires_in\": []}", "printed an expires_in that is no number"},
    {"{\"access_token\": \"abc\", \"expires_in\": \"soon\"}", "printed an expires_in that is no"},
    {"{\"error\": \"invalid_grant\"}", "got no token: invalid_grant"},
    {"{\"error\": \"invalid_grant\", \"error_description\": \"AADSTS70008: expired\"}",
        "got no token: invalid_grant: AADSTS70008: expired"},
};

static void
what_is_no_token_is_refused_with_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        if (reads(REFUSED[i].text))
            fail_msg("%s gave %s", REFUSED[i].text, answer.token);
        if (strstr(error.text, REFUSED[i].words) == NULL)
            fail_msg("%s: %s", REFUSED[i].text, error.text);
        assert_null(strstr(error.text, "abc"));
    }
}

static void
a_nul_is_no_part_of_a_token(void **state)
{
    (void)state;
    assert_false(answer_read("ab\0cd\n", 6, &answer, &error));
    assert_false(answer_read("\0ab\n", 4, &answer, &error));
    assert_false(answer_read("ab\nexpires_in 5\0\n", 17, &answer, &error));
}

static void
a_token_has_its_longest(void **state)
{
    char text[ANSWER_TOKEN_SIZE + 2];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_true(answer_read(text, ANSWER_TOKEN_SIZE - 1, &answer, &error));
    assert_int_equal(strlen(answer.token), ANSWER_TOKEN_SIZE - 1);
    assert_false(answer_read(text, ANSWER_TOKEN_SIZE, &answer, &error));
    assert_non_null(strstr(error.text, "printed a token of 12289 octets, expected 12288"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_read),
        cmocka_unit_test(what_is_no_token_is_refused_with_words),
        cmocka_unit_test(a_nul_is_no_part_of_a_token),
        cmocka_unit_test(a_token_has_its_longest),
    };

    answer_prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
