#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cleanup/compose.h"
#include "cleanup/document.h"
#include "cleanup/mail.h"

#define SENDER "<fld_sender>foo@example.com</fld_sender>"
#define ADDRESS "<fld_address> boo@hisorhermail.com </fld_address>"
#define HASH UINT64_C(0xBB1C7C8F5EC83BC7)

enum { FALLBACK = 1000000000, NOW = 1763802000 };

static struct document *document;
static struct output output;

static int
set_up(void **state)
{
    (void)state;
    document = document_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    document_free(document);
    output_release(&output);
    return 0;
}

static bool
read_mail(struct mail *mail, const char *fields, struct error *error)
{
    struct output xml = {0};
    enum document_result result;

    output_text(&xml, "<list><item>");
    output_text(&xml, fields);
    output_text(&xml, "</item></list>");
    result = document_parse(document, xml.data, xml.used, error);
    output_release(&xml);
    assert_int_equal(result, DOCUMENT_PARSED);
    return mail_read(mail, document, 0, FALLBACK, error);
}

static const char *
compose(const char *fields, const struct compose_settings *settings)
{
    struct mail mail;
    struct error error;

    if (!read_mail(&mail, fields, &error))
        fail_msg("%s", error.text);
    compose_message(&output, &mail, settings);
    output_bytes(&output, "", 1);
    return output.data;
}

static void
test_whole_message(void **state)
{
    struct compose_settings settings = {
        .sender_name = "Biblioteka Miejska", .hash = HASH, .now = NOW};

    (void)state;
    assert_string_equal(
        compose("<fld_time>17.10.2011 00:00:11</fld_time>" SENDER ADDRESS
                "<fld_topic>Upomnienie</fld_topic>"
                "<fld_content>Prosimy o niezw\xC5\x82oczny zwrot\n.\n</fld_content>",
            &settings),
        "From: \"Biblioteka Miejska\" <foo@example.com>\r\n"
        "To: boo@hisorhermail.com\r\n"
        "Subject: Upomnienie\r\n"
        "Date: Sat, 22 Nov 2025 10:00:00 +0100\r\n"
        "Message-ID: <17.10.2011000011_BB1C7C8F5EC83BC7@example.com>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=UTF-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "Prosimy o niezw=C5=82oczny zwrot\r\n.\r\n");
}

static void
test_least_message(void **state)
{
    struct compose_settings settings = {.sender_name = "", .hash = HASH, .now = NOW};

    (void)state;
    assert_string_equal(compose(SENDER ADDRESS, &settings),
        "From: foo@example.com\r\n"
        "To: boo@hisorhermail.com\r\n"
        "Subject:\r\n"
        "Date: Sat, 22 Nov 2025 10:00:00 +0100\r\n"
        "Message-ID: <09.09.2001034640_BB1C7C8F5EC83BC7@example.com>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n");
}

static void
test_nothing_makes_a_header(void **state)
{
    struct compose_settings settings = {.sender_name = "x\r\nBcc: y", .hash = HASH, .now = NOW};
    const char *message =
        compose(SENDER ADDRESS "<fld_topic>a&#13;&#10;Bcc: b&#10;&#10;body</fld_topic>"
                               "<fld_content>Bcc: c</fld_content>",
            &settings);

    (void)state;
    assert_null(strstr(message, "\nBcc: y"));
    assert_null(strstr(message, "\nBcc: b"));
    assert_non_null(strstr(message, "\r\nSubject: a Bcc: b body\r\n"));
    assert_non_null(strstr(message, "\r\n\r\nBcc: c\r\n"));
}

static void
test_testing(void **state)
{
    struct address testing;
    struct address tester;
    struct error error;
    struct mail mail;
    struct compose_settings settings = {
        .sender_name = "", .hash = HASH, .now = NOW, .testing = &testing};
    struct envelope envelope;

    (void)state;
    assert_true(address_read(&testing, "test@example.org", 16, &error));
    assert_true(address_read(&tester, "tester@example.net", 18, &error));
    assert_true(read_mail(&mail, SENDER ADDRESS, &error));
    envelope = compose_envelope(&mail, &settings);
    assert_string_equal(envelope.recipient->text, "test@example.org");
    assert_string_equal(envelope.sender->text, "foo@example.com");
    settings.tester = &tester;
    envelope = compose_envelope(&mail, &settings);
    assert_string_equal(envelope.sender->text, "tester@example.net");
    compose(SENDER ADDRESS, &settings);
    assert_non_null(strstr(output.data, "From: tester@example.net\r\nTo: test@example.org\r\n"));
    assert_non_null(strstr(output.data, "\r\nX-Smailer-Recipient: <boo@hisorhermail.com>\r\n"));
    assert_non_null(strstr(output.data, "BC7@example.net>"));
}

static void
test_addresses_outside_ascii(void **state)
{
    struct compose_settings settings = {.sender_name = "", .hash = HASH, .now = NOW};
    struct address testing;
    struct error error;
    struct mail mail;
    struct envelope envelope;

    (void)state;
    assert_true(read_mail(&mail, SENDER "<fld_address>\xC5\xBC@\xC5\xBC.pl</fld_address>", &error));
    envelope = compose_envelope(&mail, &settings);
    assert_true(envelope.needs_smtputf8);
    assert_true(envelope.eight_bit);
    assert_string_equal(envelope.recipient->text, "\xC5\xBC@xn--hha.pl");
    assert_true(address_read(&testing, "test@example.org", 16, &error));
    settings.testing = &testing;
    envelope = compose_envelope(&mail, &settings);
    assert_false(envelope.needs_smtputf8);
    compose_message(&output, &mail, &settings);
    for (size_t i = 0; i < output.used; i++)
        assert_int_equal(output.data[i] & 0x80, 0);
}

static const struct {
    const char *fields;
    const char *reason;
} BAD[] = {
    {"", "fld_sender is missing"},
    {SENDER, "fld_address is missing"},
    {SENDER "<fld_address/>", "fld_address: no address"},
    {SENDER "<fld_address>boo</fld_address>", "fld_address: no @"},
    {ADDRESS "<fld_sender>a b@c</fld_sender>", "fld_sender: a blank"},
    {SENDER ADDRESS ADDRESS, "fld_address occurs 2 times"},
    {SENDER ADDRESS "<fld_topic/><fld_topic/><fld_topic/>", "fld_topic occurs 3 times"},
    {SENDER "<fld_address>a@b&#13;&#10;RCPT TO:&lt;c@d></fld_address>", "line break"},
};

static void
test_bad_mails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct mail mail;
        struct error error = {0};

        if (read_mail(&mail, BAD[i].fields, &error))
            fail_msg("accepted: %s", BAD[i].fields);
        if (strstr(error.text, BAD[i].reason) == NULL)
            fail_msg("%s: %s", BAD[i].fields, error.text);
    }
}

static void
test_what_is_good_of_a_bad_mail(void **state)
{
    struct mail mail;
    struct error error;

    (void)state;
    assert_false(read_mail(&mail, ADDRESS "<fld_topic>t</fld_topic>", &error));
    assert_string_equal(mail.sender.text, "");
    assert_string_equal(mail.recipient.text, "boo@hisorhermail.com");
    assert_string_equal(mail.subject.text, "t");
    assert_int_equal(mail.written, FALLBACK);
}

static void
test_endless_subject(void **state)
{
    struct output fields = {0};
    struct mail mail;
    struct error error;

    (void)state;
    output_text(&fields, SENDER ADDRESS "<fld_topic>");
    for (int i = 0; i < 1000000; i++)
        output_text(&fields, "0123456789");
    output_text(&fields, "</fld_topic>");
    output_bytes(&fields, "", 1);
    assert_false(read_mail(&mail, fields.data, &error));
    assert_non_null(strstr(error.text, "fld_topic has 10000000 octets"));
    output_release(&fields);
}

static void
test_times(void **state)
{
    struct mail mail;
    struct error error;

    (void)state;
    assert_true(
        read_mail(&mail, SENDER ADDRESS "<fld_time>17.10.2011 00:00:11</fld_time>", &error));
    assert_true(mail.time_known);
    assert_int_equal(mail.written, 1318802411);
    assert_true(read_mail(&mail, SENDER ADDRESS "<fld_time>31.02.2011 00:00</fld_time>", &error));
    assert_false(mail.time_known);
    assert_int_equal(mail.written, FALLBACK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_message),
        cmocka_unit_test(test_least_message),
        cmocka_unit_test(test_nothing_makes_a_header),
        cmocka_unit_test(test_testing),
        cmocka_unit_test(test_addresses_outside_ascii),
        cmocka_unit_test(test_bad_mails),
        cmocka_unit_test(test_what_is_good_of_a_bad_mail),
        cmocka_unit_test(test_endless_subject),
        cmocka_unit_test(test_times),
    };

    setenv("TZ", "Europe/Warsaw", 1);
    tzset();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
