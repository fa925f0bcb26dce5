#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup/address.h"

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define D60 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
    const char *raw;
    const char *expected;
    bool needs_smtputf8;
} GOOD[] = {
    {"boo@hisorhermail.com", "boo@hisorhermail.com", false},
    {" \r\n\tboo@example.com\n", "boo@example.com", false},
    {"first.last+tag@sub.example.co.uk", "first.last+tag@sub.example.co.uk", false},
    {"root@localhost", "root@localhost", false},
    {"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", false},
    {"\"john smith\"@example.com", "\"john smith\"@example.com", false},
    {"\"a\\\"b@c\\\\\"@example.com", "\"a\\\"b@c\\\\\"@example.com", false},
    {"foo@[192.0.2.1]", "foo@[192.0.2.1]", false},
    {"foo@[IPv6:2001:db8::1]", "foo@[IPv6:2001:db8::1]", false},
    {"foo@\xC5\xBC\xC3\xB3\xC5\x82w.pl", "foo@xn--w-uga1v8h.pl", false},
    {"\xC5\xBC\xC3\xB3\xC5\x82w@example.com", "\xC5\xBC\xC3\xB3\xC5\x82w@example.com", true},
    {A60 "aaaa@example.com", A60 "aaaa@example.com", false},
    {"a@" D60 "." D60 "." D60 "." D60 ".bbbbbbbb", "a@" D60 "." D60 "." D60 "." D60 ".bbbbbbbb",
        false},
};

static const struct {
    const char *raw;
    const char *reason;
} BAD[] = {
    {"", "no address"},
    {" \n ", "no address"},
    {"foo", "no @"},
    {"@example.com", "nothing before the @"},
    {"foo@", "nothing after the @"},
    {"foo@example.com, bar@example.com", "only one address"},
    {"foo@example.com;bar@example.com", "only one address"},
    {"Foo <foo@example.com>", "blank"},
    {"<foo@example.com>", "angle brackets"},
    {"foo@example.com> SIZE=1", "angle brackets"},
    {"foo@example.com\r\nRCPT TO:<bar@example.com>", "line break"},
    {"foo\r\nbar@example.com", "line break"},
    {"\"foo\r\nbar\"@example.com", "control character"},
    {"\"foo\xC2\x85 bar\"@example.com", "control character"},
    {"foo\xC2\x9F@example.com", "control character"},
    {"foo\xFF@example.com", "control character"},
    {"foo@exa mple.com", "blank"},
    {"foo bar@example.com", "blank"},
    {"foo@bar@example.com", "more than one @"},
    {"foo(comment)@example.com", "comments"},
    {".foo@example.com", "dot too many"},
    {"foo.@example.com", "dot too many"},
    {"foo..bar@example.com", "dot too many"},
    {"foo@.example.com", "dot too many"},
    {"foo@example..com", "dot too many"},
    {"foo@example.com.", "dot too many"},
    {"foo@-example.com", "hyphen"},
    {"foo@example-.com", "hyphen"},
    {"foo@exa_mple.com", "'_' is not allowed"},
    {"foo@example.com\x01", "control character"},
    {"foo:bar@example.com", "':' is not allowed"},
    {"\"foo@example.com", "not closed"},
    {"\"foo\"bar@example.com", "not allowed"},
    {"foo@[192.0.2.999]", "not an IP address"},
    {"foo@[192.0.2.1", "not an IP address"},
    {"foo@[IPv6:2001:db8::1", "not an IP address"},
    {"foo@[example.com]", "not an IP address"},
    {"foo@[]", "not an IP address"},
    {"foo@ex\xEF\xBC\xA0"
     "ample.pl",
        "more than one @"},
    {"foo@\xC5\xBC"
     "ex\xEF\xBC\x85"
     "ample.pl",
        "international domain"},
    {"foo@ex_\xC5\xBC"
     "ample.pl",
        "'_' is not allowed"},
    {"foo@ex\xE2\x80\xA8"
     "ample.pl",
        "international domain"},
    {"foo@\xC5\xBC\xFF.pl", "UTF-8"},
    {A60 "aaaaa@example.com", "64"},
    {"a@" D60 "bbbb.com", "63"},
    {"a@" D60 "." D60 "." D60 "." D60 ".bbbbbbbbb", "254"},
};

static void
test_good_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct address address;
        struct error error = {0};

        if (!address_read(&address, GOOD[i].raw, strlen(GOOD[i].raw), &error))
            fail_msg("%s: %s", GOOD[i].raw, error.text);
        assert_string_equal(address.text, GOOD[i].expected);
        assert_int_equal(address.text[address.domain - 1], '@');
        assert_null(strchr(address.text + address.domain, '@'));
        assert_int_equal(address.needs_smtputf8, GOOD[i].needs_smtputf8);
    }
}

static void
test_bad_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct address address;
        struct error error = {0};

        if (address_read(&address, BAD[i].raw, strlen(BAD[i].raw), &error))
            fail_msg("accepted: %s as %s", BAD[i].raw, address.text);
        if (strstr(error.text, BAD[i].reason) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", BAD[i].raw, error.text, BAD[i].reason);
    }
}

static void
test_nul_is_no_end(void **state)
{
    static const char TEXT[] = "foo@example.com\0.evil.com";
    static const char LITERAL[] = "foo@[192.0.2.1\0]";
    static const char LOCAL[] = "foo\0@example.com";
    struct address address;
    struct error error;

    (void)state;
    assert_false(address_read(&address, TEXT, sizeof(TEXT) - 1, &error));
    assert_false(address_read(&address, LITERAL, sizeof(LITERAL) - 1, &error));
    assert_false(address_read(&address, LOCAL, sizeof(LOCAL) - 1, &error));
}

static void
test_endless_address(void **state)
{
    static char text[100000];
    struct address address;
    struct error error;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_false(address_read(&address, text, sizeof(text), &error));
    memset(text, ' ', sizeof(text));
    assert_false(address_read(&address, text, sizeof(text), &error));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_addresses),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_nul_is_no_end),
        cmocka_unit_test(test_endless_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
