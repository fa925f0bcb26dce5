#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/capability.h"
#include "smtp/command.h"

static void
addresses_are_nothing_else(void **state)
{
    static const char *const safe[] = {"", "a@b", "a.b+c@[192.0.2.1]", "\"a b\"@c", "\"a>b\"@c",
        "\"a\\\" b\"@c", "zażółć@gęślą.pl"};
    static const char *const unsafe[] = {"a@b\r\n", "a\nb@c", "a@b>", "<a@b", "a b@c", "a@b SIZE=1",
        "\"a@b", "\"a\\", "a@b\x7f", "\"a\r\n\"@b", "a\t@b", "\"\\\n\"@b"};
    char large[1100];

    (void)state;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        assert_true(address_is_safe(safe[i]));
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        assert_false(address_is_safe(unsafe[i]));
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    assert_false(address_is_safe(large));
    large[1000] = '\0';
    assert_true(address_is_safe(large));
    assert_true(address_is_international("ż@b"));
    assert_false(address_is_international("z@b"));
}

static void
parameters_cannot_make_commands(void **state)
{
    const struct capabilities able = {.dsn = true};
    const struct capabilities unable = {0};
    struct mail_parameters mail = {.envelope_id = "x y"};
    struct recipient_parameters recipient = {.notify = "NEVER\r\nRSET"};
    char long_value[COMMAND_SIZE_MAX];
    char line[COMMAND_SIZE_MAX];

    (void)state;
    assert_int_equal(command_mail(line, "a@b", &mail, &able), 0);
    assert_int_equal(command_mail(line, "a@b", &mail, &unable), strlen("MAIL FROM:<a@b>\r\n"));
    assert_int_equal(command_rcpt(line, "a@b", &recipient, &able), 0);
    assert_int_equal(command_rcpt(line, "", &recipient, &unable), 0);
    memset(long_value, 'x', sizeof(long_value));
    long_value[sizeof(long_value) - 1] = '\0';
    mail.envelope_id = long_value;
    assert_int_equal(command_mail(line, "a@b", &mail, &able), 0);
    long_value[sizeof(long_value) - sizeof("MAIL FROM:<a@b> ENVID=")] = '\0';
    assert_int_equal(command_mail(line, "a@b", &mail, &able), 0);
    long_value[sizeof(long_value) - sizeof("MAIL FROM:<a@b> ENVID=") - 2] = '\0';
    assert_int_equal(command_mail(line, "a@b", &mail, &able), COMMAND_SIZE_MAX - 1);
    assert_memory_equal(line + COMMAND_SIZE_MAX - 3, "\r\n", 3);
}

static void
capabilities_are_read(void **state)
{
    static const char *const lines[] = {
        "PIPELINING", "size 35882577", "8BITMIME", "SmtpUtf8", "AUTH=LOGIN PLAIN"};
    struct capabilities capabilities = {0};

    (void)state;
    capabilities_add(&capabilities, "PIPELININGS", 11);
    capabilities_add(&capabilities, "PIPE", 4);
    capabilities_add(&capabilities, "", 0);
    capabilities_add(&capabilities, "SIZE\0xxxxxxxxxxxxxxx", 20);
    assert_false(capabilities.pipelining);
    assert_false(capabilities.size);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        capabilities_add(&capabilities, lines[i], strlen(lines[i]));
    assert_true(capabilities.pipelining);
    assert_true(capabilities.size);
    assert_int_equal(capabilities.size_limit, 35882577);
    assert_true(capabilities.eight_bit);
    assert_true(capabilities.smtputf8);
    assert_true(capabilities.login);
    assert_false(capabilities.dsn);
    assert_false(capabilities.starttls);
    capabilities_add(&capabilities, "SIZE", 4);
    assert_int_equal(capabilities.size_limit, 35882577);
    capabilities_add(&capabilities, "SIZE 99999999999999999999999", 28);
    assert_int_equal(capabilities.size_limit, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_nothing_else),
        cmocka_unit_test(parameters_cannot_make_commands),
        cmocka_unit_test(capabilities_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
