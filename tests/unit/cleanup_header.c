#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/text.h"

#include "cleanup/header.h"

static const struct {
    const char *text;
    const char *expected;
} TEXTS[] = {
    {"Upomnienie", "Subject: Upomnienie\r\n"},
    {"", "Subject:\r\n"},
    {"  \r\n ", "Subject:\r\n"},
    {" a b ", "Subject: a b\r\n"},
    {"Hello\r\nBcc: evil@example.com", "Subject: Hello Bcc: evil@example.com\r\n"},
    {"a\r\n\r\n \tb\x7F", "Subject: a b\r\n"},
    {"a\xC2\x85\xE2\x80\xA8\xE2\x80\xA9z", "Subject: a z\r\n"},
    {"a\tb", "Subject: a b\r\n"},
    {"two  spaces", "Subject: =?UTF-8?Q?two__spaces?=\r\n"},
    {"=?UTF-8?Q?x?=", "Subject: =?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=\r\n"},
    {"za\xC5\xBC\xC3\xB3\xC5\x82\xC4\x87", "Subject: =?UTF-8?B?emHFvMOzxYLEhw==?=\r\n"},
    {"Przypomnienie o zwrocie ksi\xC4\x85\xC5\xBCki",
        "Subject: =?UTF-8?Q?Przypomnienie_o_zwrocie_ksi=C4=85=C5=BCki?=\r\n"},
    {"bad\xFFoctet", "Subject: bad?octet\r\n"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbb",
        "Subject: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n "
        "bbb\r\n"},
};

static const struct {
    const char *display_name;
    const char *expected;
} MAILBOXES[] = {
    {"", "From: foo@example.com\r\n"},
    {"Biblioteka Miejska", "From: \"Biblioteka Miejska\" <foo@example.com>\r\n"},
    {"a \"b\\c", "From: \"a \\\"b\\\\c\" <foo@example.com>\r\n"},
    {"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\",
        "From: =?UTF-8?B?XFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXA==?=\r\n"
        " <foo@example.com>\r\n"},
    {"x\r\nBcc: y", "From: \"x Bcc: y\" <foo@example.com>\r\n"},
    {"=?UTF-8?Q?evil?=", "From: =?UTF-8?B?PT9VVEYtOD9RP2V2aWw/PQ==?= <foo@example.com>\r\n"},
    {"Biblioteka \xC5\x81\xC3\xB3"
     "d\xC5\xBA",
        "From: =?UTF-8?B?QmlibGlvdGVrYSDFgcOzZMW6?= <foo@example.com>\r\n"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "From: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\r\n"
        " <foo@example.com>\r\n"},
};

static void
test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct output output = {0};

        header_text(&output, "Subject", TEXTS[i].text, strlen(TEXTS[i].text));
        output_bytes(&output, "", 1);
        assert_string_equal(output.data, TEXTS[i].expected);
        output_release(&output);
    }
}

static void
test_mailboxes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(MAILBOXES) / sizeof(MAILBOXES[0]); i++) {
        struct output output = {0};

        header_mailbox(&output, "From", MAILBOXES[i].display_name, "foo@example.com");
        output_bytes(&output, "", 1);
        assert_string_equal(output.data, MAILBOXES[i].expected);
        output_release(&output);
    }
}

/* Decodes the Q or B word at WORD, and says where it ends. */
static const char *
decode_word(struct output *decoded, const char *word)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = word + 10;
    uint32_t bits = 0;
    int count = 0;

    for (; *at != '?'; at++) {
        if (word[8] == 'B' && *at != '=') {
            bits = bits << 6 | (uint32_t)(strchr(DIGITS, *at) - DIGITS);
            count += 6;
            if (count >= 8) {
                count -= 8;
                output_bytes(decoded, &(char){(char)(bits >> count & 0xFF)}, 1);
            }
        } else if (word[8] == 'Q' && *at == '=') {
            char digits[3] = {at[1], at[2], '\0'};

            output_bytes(decoded, &(char){(char)strtol(digits, NULL, 16)}, 1);
            at += 2;
        } else if (word[8] == 'Q') {
            output_bytes(decoded, *at == '_' ? " " : at, 1);
        }
    }
    return at + 2;
}

/* Checks each line of an encoded field, and that together they say TEXT. */
static void
check_encoded(const char *text, size_t length)
{
    struct output output = {0};
    struct output decoded = {0};
    const char *at;

    header_text(&output, "Subject", text, length);
    output_bytes(&output, "", 1);
    at = output.data + strlen("Subject: ");
    while (*at != '\0') {
        size_t before = decoded.used;
        const char *end;

        assert_memory_equal(at, "=?UTF-8?", 8);
        end = decode_word(&decoded, at);
        assert_true(end - at <= 75);
        assert_true(text_is_utf8(decoded.data + before, decoded.used - before));
        assert_true(decoded.used > before);
        assert_memory_equal(end, "\r\n", 2);
        at = end + 2 + (end[2] == ' ');
    }
    assert_true(strcspn(output.data, "\r") <= 76);
    assert_int_equal(decoded.used, length);
    assert_memory_equal(decoded.data, text, length);
    output_release(&output);
    output_release(&decoded);
}

static void
test_long_texts_come_back(void **state)
{
    static const char *const PATTERNS[] = {"za\xC5\xBC\xC3\xB3\xC5\x82\xC4\x87 ",
        "\xF0\x9F\x98\x80", "Plain with \xC5\xBC now and then ", "\xE2\x82\xAC=?_."};

    (void)state;
    for (size_t i = 0; i < sizeof(PATTERNS) / sizeof(PATTERNS[0]); i++) {
        for (size_t count = 1; count < 400; count += 7) {
            struct output text = {0};

            for (size_t j = 0; j < count; j++)
                output_text(&text, PATTERNS[i]);
            while (text.data[text.used - 1] == ' ')
                text.used--;
            check_encoded(text.data, text.used);
            output_release(&text);
        }
    }
}

static void
test_long_ascii_is_folded(void **state)
{
    char text[4000];
    struct output output = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 7 == 6 ? ' ' : 'a';
    header_text(&output, "Subject", text, sizeof(text) - 1);
    output_bytes(&output, "", 1);
    for (const char *at = output.data; *at != '\0';) {
        size_t length = strcspn(at, "\r");

        assert_in_range(length, 1, 78);
        assert_memory_equal(at + length, "\r\n", 2);
        at += length + 2;
        assert_true(*at == '\0' || *at == ' ');
    }
    output_release(&output);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_mailboxes),
        cmocka_unit_test(test_long_texts_come_back),
        cmocka_unit_test(test_long_ascii_is_folded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
