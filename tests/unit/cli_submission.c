/*
 * Messages of standard input, as jobs for sendmail's queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/submission.h"
#include "lib/address_list.h"
#include "lib/version.h"

#define WORDS_MAX 16
#define CONTENT_SIZE 65536

static const struct submission_origin ORIGIN = {
    "ann", "Ann Lee", "host.example.org", 1795323948, UINT64_C(0x1234)};

/* What `LINE` makes of INPUT; returns the status. */
static int
submit(const char *line, const char *input, char content[CONTENT_SIZE], struct error *error)
{
    char copy[512];
    char *rest = copy;
    char *words[WORDS_MAX + 1] = {NULL};
    int count = 0;
    struct sendmail_options options;
    struct input_message message;
    FILE *file = fmemopen((void *)(uintptr_t)input, strlen(input), "r");
    int descriptor = -1;
    int status;

    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    while (rest != NULL && count < WORDS_MAX)
        words[count++] = strsep(&rest, " ");
    memset(error, 0, sizeof(*error));
    memset(content, 0, CONTENT_SIZE);
    assert_int_equal(sendmail_options_parse(&options, false, count, words, stderr), EX_OK);
    assert_int_equal(input_message_read(&message, file, options.ignore_dots, error), EX_OK);
    fclose(file);
    status = submission_make(&options, &message, &ORIGIN, &descriptor, error);
    if (descriptor >= 0) {
        assert_true(pread(descriptor, content, CONTENT_SIZE - 1, 0) > 0);
        close(descriptor);
    }
    input_message_free(&message);
    sendmail_options_free(&options);
    return status;
}

static void
what_is_missing_is_added(void **state)
{
    char content[CONTENT_SIZE];
    struct error error;

    (void)state;
    assert_int_equal(
        submit("sendmail bob@far.example.net", "Subject: s\n\nbody\n.\nnot\n", content, &error),
        EX_OK);
    assert_string_equal(content,
        "V8\nT0\nK0\nN0\nP0\nFbs\n$_ann@localhost\nSann\n"
        "rRFC822; bob@far.example.net\nRPFD:bob@far.example.net\n"
        "H?P?Return-Path: <\201g>\n"
        "H??Received: (from ann@localhost)\n\tby host.example.org (smailer/" SMAILER_VERSION ")\n"
        "\tfor bob@far.example.net; Sun, 22 Nov 2026 05:05:48 +0000\n"
        "H?D?Date: Sun, 22 Nov 2026 05:05:48 +0000\n"
        "H?F?From: Ann Lee <ann@host.example.org>\n"
        "H?M?Message-Id: <202611220505.0000000000001234@host.example.org>\n"
        "H??Subject: s\n.\nbody\n");
}

static void
what_is_there_is_kept(void **state)
{
    char content[CONTENT_SIZE];
    struct error error;

    (void)state;
    assert_int_equal(
        submit("sendmail -t -i -f <x@example.org> -B8BITMIME -N never -R hdrs -V E1",
            "From foo Sun\r\nFrom: A <a@x>\r\nTo: \"Bob, B\" <bob@x.org> (c), c@x.org\r\nDate: "
            "d\r\n"
            "Bcc: team: d@x.org,\r\n\tBOB@X.ORG;\r\nMessage-ID: <m>\r\n\r\n.\r\nza\xc5\xbc",
            content, &error),
        EX_OK);
    assert_null(strstr(content, "Bcc"));
    assert_non_null(strstr(content, "B8BITMIME\nF8bdns\n"));
    assert_non_null(strstr(content, "\nSx@example.org\nZE1\n"));
    assert_non_null(strstr(content, "\nRPN:bob@x.org\nrRFC822; c@x.org\nRPN:c@x.org\n"));
    assert_non_null(strstr(content, "\nRPN:d@x.org\n"));
    assert_non_null(strstr(content, "H??From: A <a@x>\nH??To: \"Bob, B\" <bob@x.org> (c), c@x.org\n"
                                    "H??Date: d\nH??Message-ID: <m>\n.\n.\nza\xc5\xbc"));
    assert_null(strstr(content, "H?D?"));
    assert_null(strstr(content, "H?F?"));
    assert_null(strstr(content, "H?M?"));
}

static void
text_without_headers_is_body(void **state)
{
    char content[CONTENT_SIZE];
    struct error error;

    (void)state;
    assert_int_equal(
        submit("sendmail -f <> -FA.B bob", " indented\nno header\n", content, &error), EX_OK);
    assert_non_null(strstr(content, "\nS<>\n"));
    assert_non_null(strstr(content, "H?F?From: \"A.B\" <MAILER-DAEMON@host.example.org>\n"));
    assert_non_null(strstr(content, "\nrRFC822; bob@host.example.org\nRPFD:bob\n"));
    assert_non_null(strstr(content, "\n.\n indented\nno header\n"));
}

static void
dots_are_doubled_unless_they_are_ignored(void **state)
{
    char content[CONTENT_SIZE];
    struct error error;

    (void)state;
    assert_int_equal(submit("sendmail a@b", "\n..\n..x\n.y\n.\nz\n", content, &error), EX_OK);
    assert_non_null(strstr(content, "\n.\n.\n.x\n.y\n"));
    assert_null(strstr(content, "\nz\n"));
    assert_int_equal(submit("sendmail -i a@b", "\n..\n.\nz\n", content, &error), EX_OK);
    assert_non_null(strstr(content, "\n.\n..\n.\nz\n"));
}

static void
what_is_sent_on_goes_to_its_new_recipients(void **state)
{
    char content[CONTENT_SIZE];
    struct error error;

    (void)state;
    assert_int_equal(
        submit("sendmail -t", "To: a@b\nResent-To: c@d\nResent-Bcc: e@f\n\n", content, &error),
        EX_OK);
    assert_non_null(strstr(content, "\nRPFD:c@d\n"));
    assert_non_null(strstr(content, "\nRPFD:e@f\n"));
    assert_null(strstr(content, ":a@b\n"));
    assert_null(strstr(content, "Bcc"));
    assert_int_equal(
        submit("sendmail -t", "To: a@b\nResent-From: c@d\n\n", content, &error), EX_USAGE);
}

static void
nothing_is_taken_that_cannot_be_sent(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *words;
    } CASES[] = {
        {"sendmail", EX_USAGE, "Recipient names must be specified"},
        {"sendmail -t", EX_USAGE, "No recipient addresses found in header"},
        {"sendmail |/bin/sh", EX_USAGE, "Cannot mail directly to programs"},
        {"sendmail /etc/passwd", EX_USAGE, "Cannot mail directly to files"},
        {"sendmail a@", EX_USAGE, "Hostname required"},
        {"sendmail a@b>", EX_USAGE, "a@b... Unbalanced '>'"},
        {"sendmail -h 26 a@b", EX_UNAVAILABLE, "Too many hops"},
    };
    char content[CONTENT_SIZE];
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(
            submit(CASES[i].line, "Subject: s\n\nb\n", content, &error), CASES[i].status);
        assert_non_null(strstr(error.text, CASES[i].words));
        assert_string_equal(content, "");
    }
}

static void
addresses_are_found_in_lists(void **state)
{
    static const struct {
        const char *list;
        const char *addresses;
    } CASES[] = {
        {"a@x.org", "a@x.org|"},
        {" Ann Lee <a@x.org> , b@y", "a@x.org|b@y|"},
        {"\"a b\"@x.org (one, two)", "\"a b\"@x.org|"},
        {"t: a@x, b@y; , c@z", "a@x|b@y|c@z|"},
        {"<@r.org,@s.org:a@x.org>", "a@x.org|"},
        {"a @ x . org", "a@x.org|"},
        {"a@[IPv6:::1], <>", "a@[IPv6:::1]|<>|"},
        {"undisclosed-recipients:;", ""},
        {"", ""},
        {"ann lee", "!"},
        {"<a@x.org", "!"},
        {"a@x.org, \"|cat\"", "a@x.org|!"},
        {"\"a\nb\"@x", "!"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const char *text = CASES[i].list;
        char address[ADDRESS_LIST_SIZE];
        char found[4096] = "";
        struct error error;

        while (address_list_next(&text, address, &error)) {
            strlcat(found, address, sizeof(found));
            strlcat(found, "|", sizeof(found));
        }
        if (error.text[0] != '\0')
            strcat(found, "!");
        assert_string_equal(found, CASES[i].addresses);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_added),
        cmocka_unit_test(what_is_there_is_kept),
        cmocka_unit_test(text_without_headers_is_body),
        cmocka_unit_test(dots_are_doubled_unless_they_are_ignored),
        cmocka_unit_test(what_is_sent_on_goes_to_its_new_recipients),
        cmocka_unit_test(nothing_is_taken_that_cannot_be_sent),
        cmocka_unit_test(addresses_are_found_in_lists),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
