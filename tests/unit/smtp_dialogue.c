#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/challenge.h"
#include "smtp/dialogue.h"

static const char *
said(struct dialogue *dialogue, const char *line)
{
    static char shown[100];
    size_t length = strlen(line);
    const char *visible = dialogue_said(dialogue, line, &length);

    assert_true(length < sizeof(shown));
    memcpy(shown, visible, length);
    shown[length] = '\0';
    return shown;
}

static void
heard(struct dialogue *dialogue, const char *line)
{
    dialogue_heard(dialogue, line, strlen(line));
}

static void
the_stage_follows_the_commands(void **state)
{
    struct dialogue dialogue;

    (void)state;
    dialogue_init(&dialogue);
    assert_int_equal(dialogue.stage, STAGE_GREETING);
    assert_null(dialogue_reply(&dialogue));
    heard(&dialogue, "220-hello\r\n");
    assert_null(dialogue_reply(&dialogue));
    heard(&dialogue, "220 there\r\n");
    assert_string_equal(dialogue_reply(&dialogue)->words, "220 hello there");
    said(&dialogue, "EHLO me");
    assert_int_equal(dialogue.stage, STAGE_EHLO);
    assert_null(dialogue_reply(&dialogue));
    said(&dialogue, "STARTTLS");
    assert_int_equal(dialogue.stage, STAGE_TLS);
    said(&dialogue, "AUTH LOGIN");
    assert_int_equal(dialogue.stage, STAGE_LOGIN);
    heard(&dialogue, "535 5.7.8 no\r\n");
    assert_int_equal(dialogue_reply(&dialogue)->code, 535);
    assert_int_equal(dialogue_reply(&dialogue)->enhanced.detail, 8);
}

static void
the_last_ehlo_counts(void **state)
{
    struct dialogue dialogue;

    (void)state;
    dialogue_init(&dialogue);
    heard(&dialogue, "220 hello\r\n");
    said(&dialogue, "EHLO me");
    heard(&dialogue, "250-DSN\r\n"); /* the server's name */
    heard(&dialogue, "250-PIPELINING\r\n");
    heard(&dialogue, "250-SIZE 1000\r\n");
    heard(&dialogue, "250 STARTTLS\r\n");
    assert_true(dialogue.capabilities.pipelining);
    assert_true(dialogue.capabilities.starttls);
    assert_false(dialogue.capabilities.dsn);
    assert_int_equal(dialogue.capabilities.size_limit, 1000);
    said(&dialogue, "STARTTLS");
    heard(&dialogue, "220 go\r\n");
    said(&dialogue, "EHLO me");
    heard(&dialogue, "250-x\r\n");
    heard(&dialogue, "250 8BITMIME\r\n");
    assert_false(dialogue.capabilities.pipelining);
    assert_false(dialogue.capabilities.size);
    assert_int_equal(dialogue.capabilities.size_limit, 0);
    assert_true(dialogue.capabilities.eight_bit);
}

static void
secrets_are_not_shown(void **state)
{
    struct dialogue dialogue;

    (void)state;
    dialogue_init(&dialogue);
    assert_string_equal(said(&dialogue, "EHLO me"), "EHLO me");
    assert_string_equal(said(&dialogue, "AUTH PLAIN AGZvbwBzZWtyZXQ="), "AUTH PLAIN");
    assert_string_equal(said(&dialogue, "AUTH LOGIN"), "AUTH LOGIN");
    assert_string_equal(said(&dialogue, "c2VrcmV0"), "(not shown)");
    assert_string_equal(said(&dialogue, "AUTHc2VrcmV0"), "(not shown)");
    assert_string_equal(said(&dialogue, ""), "(not shown)");
}

static void
what_is_no_smtp_is_noticed(void **state)
{
    struct dialogue dialogue;

    (void)state;
    dialogue_init(&dialogue);
    heard(&dialogue, "HTTP/1.1 400 Bad Request\r\n");
    assert_true(dialogue.broken);
    assert_null(dialogue_reply(&dialogue));
    heard(&dialogue, "220 hello\r\n");
    assert_null(dialogue_reply(&dialogue));
    /* libcurl may say something yet: why it is broken stays known. */
    said(&dialogue, "EHLO me");
    assert_true(dialogue.broken);
    assert_non_null(dialogue.reader.problem);
}

static const struct {
    const char *said;
    const char *meant;
} CHALLENGES[] = {
    {"334 eyJzdGF0dXMiOiI0MDEifQ==", "334 {\"status\":\"401\"}"},
    {"334 eyJzdGF0dXMiOiI0MDEifQo=", "334 {\"status\":\"401\"}"},
    {"334 YWJj", "334 abc"},
    {"334", "334"},
    {"334 ", "334 "},
    {"334 not base64", "334 not base64"},
    {"334 YWJ", "334 YWJ"},
    {"334 ====", "334 ===="},
    {"334 AAEC", "334 AAEC"}, /* octets 0 to 2 */
    {"334 Cg==", "334 Cg=="},
};

static void
a_challenge_is_read(void **state)
{
    struct reply reply;

    (void)state;
    for (size_t i = 0; i < sizeof(CHALLENGES) / sizeof(CHALLENGES[0]); i++) {
        reply.code = CHALLENGE;
        reply.length = strlen(CHALLENGES[i].said);
        memcpy(reply.words, CHALLENGES[i].said, reply.length + 1);
        challenge_decode(&reply);
        assert_string_equal(reply.words, CHALLENGES[i].meant);
        assert_int_equal(reply.length, strlen(reply.words));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_stage_follows_the_commands),
        cmocka_unit_test(the_last_ehlo_counts),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(what_is_no_smtp_is_noticed),
        cmocka_unit_test(a_challenge_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
