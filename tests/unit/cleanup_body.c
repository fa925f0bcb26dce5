#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup/body.h"

#define A25 "aaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *text;
    enum body_encoding encoding;
    const char *expected;
} BODIES[] = {
    {"", BODY_7BIT, ""},
    {"a", BODY_7BIT, "a\r\n"},
    {"a\n", BODY_7BIT, "a\r\n"},
    {"\n\n", BODY_7BIT, "\r\n\r\n"},
    {"a\rb\nc\r\nd\n\re", BODY_7BIT, "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n"},
    {"a\r", BODY_7BIT, "a\r\n"},
    {"a\r\r\n", BODY_7BIT, "a\r\n\r\n"},
    {".\n..\n", BODY_7BIT, ".\r\n..\r\n"},
    {"1 = 1\tx ", BODY_7BIT, "1 = 1\tx \r\n"},
    {"Prosz\xC4\x99 o zwrot = teraz \n", BODY_QUOTED_PRINTABLE,
        "Prosz=C4=99 o zwrot =3D teraz=20\r\n"},
    {"one \xC4\x99 two three four\t\nend", BODY_QUOTED_PRINTABLE,
        "one =C4=99 two three four=09\r\nend\r\n"},
    {"delete \x7F here", BODY_QUOTED_PRINTABLE, "delete =7F here\r\n"},
    {"\xC5\xBC\xC3\xB3\xC5\x82w", BODY_BASE64, "xbzDs8WCdw0K\r\n"},
    {A25 A25 A25 "\xC4\x99", BODY_QUOTED_PRINTABLE, A25 A25 A25 "=\r\n=C4=99\r\n"},
    {A25 A25 "aaaaaaaaaaaaaaaaaaaaaa\xC4\x99", BODY_QUOTED_PRINTABLE,
        A25 A25 "aaaaaaaaaaaaaaaaaaaaaa=C4=\r\n=99\r\n"},
};

static void
write_body(struct output *output, const char *text, size_t length, enum body_encoding expected)
{
    struct body body = {0};

    body_prepare(&body, text, length);
    assert_int_equal(body.encoding, expected);
    output_clear(output);
    body_write(&body, output);
    output_release(&body.text);
}

static void
test_bodies(void **state)
{
    struct output output = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++) {
        write_body(&output, BODIES[i].text, strlen(BODIES[i].text), BODIES[i].encoding);
        output_bytes(&output, "", 1);
        assert_string_equal(output.data, BODIES[i].expected);
    }
    output_release(&output);
}

/* Every line ends in CRLF, and has no more than LARGEST octets before. */
static void
check_lines(const struct output *output, size_t largest)
{
    for (size_t at = 0; at < output->used;) {
        const char *feed = memchr(output->data + at, '\n', output->used - at);
        size_t length;

        assert_non_null(feed);
        length = (size_t)(feed - output->data) - at;
        assert_int_equal(feed[-1], '\r');
        assert_null(memchr(output->data + at, '\r', length - 1));
        assert_in_range(length - 1, 0, largest);
        at += length + 1;
    }
}

static void
test_line_lengths(void **state)
{
    struct output output = {0};
    char text[2000];

    (void)state;
    memset(text, 'a', sizeof(text));
    write_body(&output, text, 998, BODY_7BIT);
    check_lines(&output, 998);
    write_body(&output, text, 999, BODY_QUOTED_PRINTABLE);
    check_lines(&output, 76);
    memset(text, '\xC4', sizeof(text));
    write_body(&output, text, sizeof(text), BODY_BASE64);
    check_lines(&output, 76);
    output_release(&output);
}

/* Decodes quoted-printable and base64. */
static void
decode(struct output *decoded, const struct output *encoded, enum body_encoding encoding)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int count = 0;

    output_clear(decoded);
    for (size_t i = 0; i < encoded->used; i++) {
        char octet = encoded->data[i];
        const char *digit = memchr(DIGITS, octet, 64);

        if (encoding == BODY_BASE64 && digit != NULL) {
            bits = bits << 6 | (uint32_t)(digit - DIGITS);
            count += 6;
            if (count >= 8) {
                count -= 8;
                output_bytes(decoded, &(char){(char)(bits >> count & 0xFF)}, 1);
            }
        } else if (encoding == BODY_QUOTED_PRINTABLE && octet == '=') {
            char digits[3] = {encoded->data[i + 1], encoded->data[i + 2], '\0'};

            if (digits[0] != '\r')
                output_bytes(decoded, &(char){(char)strtol(digits, NULL, 16)}, 1);
            i += 2;
        } else if (encoding == BODY_QUOTED_PRINTABLE) {
            output_bytes(decoded, &octet, 1);
        }
    }
}

static void
test_any_text_comes_back(void **state)
{
    static const char ALPHABET[] = "ab =.\t\xC5\xBC\xC4\x99\n\x7F";
    struct output encoded = {0};
    struct output decoded = {0};
    struct body body = {0};
    uint32_t random = 1;

    (void)state;
    for (size_t length = 1; length < 2000; length += 13) {
        struct output text = {0};
        size_t letters = length % 3 == 0 ? 6 : sizeof(ALPHABET) - 1;

        output_text(&text, "\xC5\xBC");
        while (text.used < length) {
            random = random * 1103515245 + 12345;
            output_bytes(&text, &ALPHABET[(random >> 16) % letters], 1);
        }
        body_prepare(&body, text.data, text.used);
        assert_int_not_equal(body.encoding, BODY_7BIT);
        output_clear(&encoded);
        body_write(&body, &encoded);
        check_lines(&encoded, 76);
        decode(&decoded, &encoded, body.encoding);
        assert_int_equal(decoded.used, body.text.used);
        assert_memory_equal(decoded.data, body.text.data, body.text.used);
        output_release(&text);
    }
    output_release(&encoded);
    output_release(&decoded);
    output_release(&body.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_line_lengths),
        cmocka_unit_test(test_any_text_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
