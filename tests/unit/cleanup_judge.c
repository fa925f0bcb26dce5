#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/memory.h"
#include "lib/sealed.h"

#include "cleanup/judge.h"

#define FOO "<fld_sender>foo@example.com</fld_sender>"
#define BOO "<fld_address>boo@example.org</fld_address>"
#define MAIL "<item>" FOO BOO "<fld_topic>Upomnienie</fld_topic></item>"
#define MTIME_NS INT64_C(1000000000999999999)

static struct configuration configuration;
static struct judgement judgement;

static void
set_text(char **member, const char *text)
{
    free(*member);
    *member = memory_copy_text(text);
}

static int
set_up(void **state)
{
    struct error error;

    (void)state;
    configuration_init(&configuration);
    set_text(&configuration_add_account(&configuration, "foo@example.com")->name, "Foo");
    set_text(&configuration_add_account(&configuration, "@example.net")->name, "Net");
    return judge_open(&configuration, &error) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    if (judgement.content > 0)
        close(judgement.content);
    output_release(&judgement.recipients);
    output_release(&judgement.subject);
    configuration_free(&configuration);
    judge_close();
    return 0;
}

static void
judge_bytes(const char *bytes, size_t length, enum parse_purpose purpose)
{
    int descriptor = memfd_create("test", MFD_CLOEXEC);
    struct message_parse parse = {
        .purpose = purpose, .hash = 1, .mtime_ns = MTIME_NS, .file = descriptor};

    if (judgement.content > 0)
        close(judgement.content);
    assert_int_equal(write(descriptor, bytes, length), length);
    judge_file(&parse, &judgement);
    close(descriptor);
}

static void
judge(const char *items, enum parse_purpose purpose)
{
    struct output xml = {0};

    output_text(&xml, "<list>");
    output_text(&xml, items);
    output_text(&xml, "</list>");
    judge_bytes(xml.data, xml.used, purpose);
    output_release(&xml);
}

/* The content has TEXT in it. */
static void
expect_content(const char *text)
{
    struct error error;
    size_t size;
    const void *content;

    size = judgement.small.size;
    content = judgement.small.data;
    if (content == NULL)
        content = sealed_map(judgement.content, 1U << 30, &size, &error);
    assert_non_null(content);
    if (memmem(content, size, text, strlen(text)) == NULL)
        fail_msg("%.*s", (int)size, (const char *)content);
    if (judgement.small.data == NULL)
        sealed_unmap(content, size);
}

static void
test_mail(void **state)
{
    (void)state;
    judge("<item><fld_time>17.10.2011 00:00:11</fld_time>" FOO BOO "</item>", PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_MAIL);
    assert_int_equal(judgement.flags, 0);
    assert_int_equal(judgement.written, 1318802411);
    assert_string_equal(judgement.sender, "foo@example.com");
    assert_int_equal(judgement.recipients.used, sizeof("boo@example.org"));
    assert_string_equal(judgement.recipients.data, "boo@example.org");
    assert_string_equal(judgement.reason, "");
    expect_content("From: \"Foo\" <foo@example.com>\r\n");
    expect_content("<17.10.2011000011_0000000000000001@example.com>");
}

static void
test_accounts(void **state)
{
    (void)state;
    judge("<item><fld_sender>any@EXAMPLE.net</fld_sender>" BOO "</item>", PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_MAIL);
    assert_int_equal(judgement.flags, MAIL_FLAG_NO_TIME);
    assert_int_equal(judgement.written, MTIME_NS / 1000000000);
    expect_content("From: \"Net\" <any@EXAMPLE.net>\r\n");
    judge("<item><fld_sender>a@b.pl</fld_sender>" BOO "</item>", PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_NO_ACCOUNT);
    assert_int_equal(judgement.content, -1);
    assert_string_equal(judgement.sender, "a@b.pl");
    assert_string_equal(judgement.reason, "no account for a@b.pl");
}

static void
test_lists(void **state)
{
    (void)state;
    judge(MAIL "<item/>" MAIL, PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_LIST);
    assert_int_equal(judgement.items, 3);
    expect_content("\t<item>\n\t</item>\n");
    judge(MAIL "<item/>" MAIL, PARSE_LIST);
    assert_int_equal(judgement.verdict, VERDICT_LIST);
    assert_int_equal(judgement.content, -1);
    assert_memory_equal(judgement.recipients.data, "boo@example.org\0\0boo@example.org", 33);
    assert_string_equal(judgement.subject.data, "Upomnienie");
}

static void
test_recipients_of_a_long_list(void **state)
{
    struct output items = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        output_text(&items, MAIL);
    output_bytes(&items, "", 1);
    judge(items.data, PARSE_LIST);
    assert_int_equal(judgement.items, 10000);
    assert_in_range(judgement.recipients.used, 65000, JUDGE_RECIPIENTS_MAX);
    assert_int_equal(judgement.recipients.used % sizeof("boo@example.org"), 0);
    output_release(&items);
}

static void
test_bad_files(void **state)
{
    (void)state;
    judge("<item>" FOO "<fld_address> no&#10;address\xC2\x85 </fld_address></item>", PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_BAD);
    assert_int_equal(judgement.content, -1);
    assert_string_equal(judgement.sender, "foo@example.com");
    assert_string_equal(judgement.recipients.data, "no address");
    assert_string_equal(judgement.reason, "fld_address: a line break in the address");
    judge("", PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_BAD);
    assert_string_equal(judgement.sender, "");
    assert_int_equal(judgement.recipients.used, 0);
    assert_string_equal(judgement.subject.data, "");
    judge("<item>", PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_UNREADABLE);
    assert_int_equal(judgement.content, -1);
    judge_file(&(struct message_parse){.mtime_ns = MTIME_NS, .file = -1}, &judgement);
    assert_int_equal(judgement.verdict, VERDICT_FAILED);
    assert_string_equal(judgement.reason, "read the file: Bad file descriptor");
}

static void
test_everything_fits_its_message(void **state)
{
    static char text[5001];
    struct output items = {0};

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xC5\xBC", 2);
    output_format(&items,
        "<item><fld_sender>%s</fld_sender><fld_address>%s</fld_address><fld_topic>%s</fld_topic>"
        "</item>",
        text, text, text);
    output_bytes(&items, "", 1);
    judge(items.data, PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_BAD);
    assert_int_equal(strlen(judgement.sender), JUDGE_ADDRESS_MAX);
    assert_int_equal(strlen(judgement.recipients.data), JUDGE_ADDRESS_MAX);
    assert_int_equal(strlen(judgement.subject.data), JUDGE_SUBJECT_MAX);
    assert_in_range(strlen(judgement.reason), 1, JUDGE_REASON_MAX);
    output_release(&items);
}

static void
test_listing_needs_no_account(void **state)
{
    (void)state;
    judge("<item><fld_sender>a@b.pl</fld_sender>" BOO "<fld_topic>a\nb</fld_topic></item>",
        PARSE_LIST);
    assert_int_equal(judgement.verdict, VERDICT_MAIL);
    assert_int_equal(judgement.content, -1);
    assert_string_equal(judgement.subject.data, "a b");
}

static void
test_testing(void **state)
{
    struct error error;

    (void)state;
    set_text(&configuration.settings.testing, "no address");
    judge_close();
    assert_false(judge_open(&configuration, &error));
    judge_close();
    assert_non_null(strstr(error.text, "testing = no address"));
    set_text(&configuration.settings.testing, "test@example.net");
    assert_true(judge_open(&configuration, &error));
    judge(MAIL, PARSE_DELIVER);
    assert_int_equal(judgement.verdict, VERDICT_MAIL);
    assert_int_equal(judgement.recipients.used, sizeof("test@example.net"));
    assert_string_equal(judgement.recipients.data, "test@example.net");
    expect_content("\r\nTo: test@example.net\r\n");
    expect_content("\r\nX-Smailer-Recipient: <boo@example.org>\r\n");
    assert_string_equal(judgement.sender, "foo@example.com");
    judge_close();
    set_text(&configuration.settings.tester, "tester@example.net");
    assert_true(judge_open(&configuration, &error));
    judge(MAIL, PARSE_DELIVER);
    assert_string_equal(judgement.sender, "tester@example.net");
    expect_content("From: \"Net\" <tester@example.net>\r\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_recipients_of_a_long_list),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_everything_fits_its_message),
        cmocka_unit_test(test_listing_needs_no_account),
        cmocka_unit_test(test_testing),
    };

    setenv("TZ", "Europe/Warsaw", 1);
    tzset();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
