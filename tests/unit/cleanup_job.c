/*
 * Jobs of sendmail's queue as messages: those of tests/data/mqueue as sendmail itself sent them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup/job.h"

#define CASES "tests/data/mqueue"
#define ALIASES "/tmp/smailer-aliases"

static struct configuration configuration;
static struct judgement judgement;

static int
open_memory(const char *text)
{
    int descriptor = memfd_create("test", 0);

    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
    return descriptor;
}

static char *
read_descriptor(int descriptor, size_t *length)
{
    struct stat status;
    char *text;

    assert_int_equal(fstat(descriptor, &status), 0);
    text = calloc(1, (size_t)status.st_size + 1);
    *length = (size_t)pread(descriptor, text, (size_t)status.st_size, 0);
    return text;
}

static void
forget(void)
{
    if (judgement.content >= 0)
        close(judgement.content);
    if (judgement.encoded >= 0)
        close(judgement.encoded);
}

static void
judge(int control, int data)
{
    struct message_parse parse = {
        .purpose = PARSE_DELIVER, .mqueue = 1, .file = control, .data = data};

    judge_job(&parse, &judgement);
    close(control);
    close(data);
}

static void
judge_texts(const char *control, const char *data)
{
    judge(open_memory(control), open_memory(data));
}

static const char *
content(int descriptor)
{
    static char *text;
    size_t length;

    free(text);
    text = read_descriptor(descriptor, &length);
    return text;
}

/* The list's texts, with a blank after each. */
static const char *
texts(const struct output *list)
{
    static char shown[4][4096];
    static int turn;
    char *target = shown[turn = (turn + 1) % 4];

    target[0] = '\0';
    for (size_t at = 0; at < list->used; at += strlen(list->data + at) + 1) {
        strcat(target, list->data + at);
        strcat(target, "; ");
    }
    return target;
}

/* What sendmail rewrote by its configuration. */
static bool
is_compared(const char *path)
{
    static const char *const OTHERS[] = {
        "r18-", "v00-", "v01-", "v02-", "v03-", "v07-", "x02-", "r11-", "b04-"};

    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        if (strstr(path, OTHERS[i]) != NULL)
            return false;
    return true;
}

static int
open_one(const char *sent, char letter)
{
    char pattern[256];
    glob_t found;
    int descriptor;

    snprintf(pattern, sizeof(pattern), "%.*s/%cf*", (int)(strrchr(sent, '/') - sent), sent, letter);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    descriptor = open(found.gl_pathv[0], O_RDONLY);
    globfree(&found);
    assert_true(descriptor >= 0);
    return descriptor;
}

static void
check_case(const char *sent)
{
    int descriptor = open(sent, O_RDONLY);
    size_t expected_length;
    size_t length;
    char *expected = read_descriptor(descriptor, &expected_length);
    char *is;

    close(descriptor);
    judge(open_one(sent, 'q'), open_one(sent, 'd'));
    if (judgement.verdict != VERDICT_MAIL)
        fail_msg("%s: %s", sent, judgement.reason);
    is = read_descriptor(judgement.content, &length);
    if (length != expected_length || memcmp(is, expected, length) != 0)
        fail_msg("%s:\n--- is\n%.3000s--- expected\n%.3000s", sent, is, expected);
    free(is);
    free(expected);
    forget();
}

static void
test_corpus(void **state)
{
    glob_t found;
    size_t compared = 0;

    (void)state;
    assert_int_equal(glob(CASES "/*/SENT.eml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (is_compared(found.gl_pathv[i])) {
            check_case(found.gl_pathv[i]);
            compared++;
        }
    assert_true(compared > 20);
    globfree(&found);
}

static void
test_recipients(void **state)
{
    (void)state;
    judge_texts("V8\nSgeo\nF8dn\nZid+2B\n"
                "Qrfc822;x\nRPNSD:<a@a.example>\nRPFD:a@a.example\nRPN:b@b.example\n"
                "RPFD:|prog\nRPFD:/file\nRPFD:root\nRPFD:other\n.\n",
        "x");
    assert_int_equal(judgement.verdict, VERDICT_MAIL);
    assert_string_equal(judgement.sender, "geo@host.example");
    assert_string_equal(judgement.envelope_id, "id+2B");
    assert_true((judgement.flags & MAIL_FLAG_RET_HDRS) != 0);
    assert_string_equal(texts(&judgement.recipients),
        "a@a.example; b@b.example; one@x.example; two@x.example; rest@x.example; ");
    assert_string_equal(
        texts(&judgement.details), "0 SUCCESS,DELAY rfc822;x; 2 NEVER -; 5 - -; 5 - -; 6 - -; ");
    assert_string_equal(texts(&judgement.problems),
        "1 0 the same as another one; 3 2 it is a program: mail is not given to programs; "
        "4 2 it is a file: mail is not written to files; ");
    forget();
}

/* As whoever sent the mail wrote it; and what sendmail takes, though it is no valid address. */
static void
test_stored_addresses(void **state)
{
    static const struct {
        const char *stored;
        const char *address; /* NULL: none */
    } ADDRESSES[] = {
        {"a@x.org", "a@x.org"},
        {"<a@x.org>", "a@x.org"},
        {"Ann Lee <a@x.org>", "a@x.org"},
        {"\"b, c\" <a@x.org>", "a@x.org"},
        {"a@x.org (Ann, Lee)", "a@x.org"},
        {"group: a@x.org", "a@x.org"},
        {"a@x.org;", "a@x.org"},
        {"<@r.org,@s.org:a@x.org>", "a@x.org"},
        {"a@x.org.", "a@x.org"},
        {"a..b.@my_host.-x.org", "a..b.@my_host.-x.org"},
        {"\"a b\"@x.org", "\"a b\"@x.org"},
        {"a%b@x.org", "a%b@x.org"},
        {"", NULL},
        {"<>", NULL},
        {"a@", NULL},
        {"@x.org", NULL},
        {"a@b@x.org", NULL},
        {"a@x..org", NULL},
        {"a b@x.org", NULL},
        {"a@x.org, b@x.org", NULL},
        {"\"|prog\"", NULL},
        {"</file>", NULL},
        {":include:/list", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ADDRESSES) / sizeof(ADDRESSES[0]); i++) {
        char control[256];
        char expected[128] = "";

        snprintf(
            control, sizeof(control), "V8\nS%s\nRPFD:%s\n.\n", "a@a.example", ADDRESSES[i].stored);
        judge_texts(control, "x");
        assert_int_equal(judgement.verdict, VERDICT_MAIL);
        if (ADDRESSES[i].address != NULL)
            snprintf(expected, sizeof(expected), "%s; ", ADDRESSES[i].address);
        assert_string_equal(texts(&judgement.recipients), expected);
        assert_int_equal(judgement.problems.used == 0, ADDRESSES[i].address != NULL);
        forget();
    }
    judge_texts("V8\nSAnn <a@x.org>\nRPFD:b@x.org\n.\n", "x");
    assert_string_equal(judgement.sender, "a@x.org");
    forget();
}

static void
test_null_sender(void **state)
{
    (void)state;
    judge_texts("V8\n${smailer_account}foo@example.com\nS<>\nRPFD:a@a.example\n.\n", "x\n");
    assert_int_equal(judgement.verdict, VERDICT_MAIL);
    assert_string_equal(judgement.sender, "");
    assert_string_equal(judgement.account, "foo@example.com");
    forget();
}

static void
test_headers(void **state)
{
    (void)state;
    judge_texts("V8\nSa@a.example\n$rESMTP\nRPFD:b@b.example\nH?P?Return-Path: <\201g>\n"
                "H??Bcc: x@x\nH??Resent-Bcc: y@x\nH?${r}?X-Macro: yes\nH?${none}?X-None: no\n"
                "H?D?Resent-Date: x\nH??X-CR: a\rBcc: b\nH??X-Quoted: a\xff\rBcc: b\n"
                "H??Subject: \xc4\xff\x85\n.\n",
        "x\n.\n");
    assert_string_equal(content(judgement.content),
        "Bcc:\r\nResent-Bcc:\r\nX-Macro: yes\r\nResent-Date: x\r\nX-CR: a Bcc: b\r\n"
        "X-Quoted: a Bcc: b\r\nSubject: \xc4\x85\r\n\r\nx\r\n.\r\n");
    forget();
}

/* Those of sendmail's own go where somebody wrote one. */
static void
test_resent_headers(void **state)
{
    (void)state;
    judge_texts("V8\nSa@a.example\nRPFD:b@b.example\nH?D?Resent-Date: x\nH??To: y\n.\n", "x\n");
    assert_string_equal(content(judgement.content), "To: y\r\n\r\nx\r\n");
    forget();
    judge_texts(
        "V8\nSa@a.example\nRPFD:b@b.example\nH?D?Resent-Date: x\nH??resent-to: y\n.\n", "x\n");
    assert_string_equal(content(judgement.content), "Resent-Date: x\r\nresent-to: y\r\n\r\nx\r\n");
    forget();
}

/* What came back has the null sender, and the account of the one that it names. */
static void
test_response(void **state)
{
    (void)state;
    judge_texts("V8\nFr\nSfoo@example.com\nRPFD:a@a.example\n.\n", "x\n");
    assert_string_equal(judgement.sender, "");
    assert_string_equal(judgement.account, "foo@example.com");
    forget();
}

static void
test_seven_bit(void **state)
{
    (void)state;
    judge_texts("V8\nSa@a.example\nRPFD:b@b.example\nH??Subject: x\n.\n", "za\xc5\xbc\n");
    assert_string_equal(content(judgement.encoded),
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nemHFvA0K\r\n");
    forget();
    judge_texts("V8\nSa@a.example\nRPFD:b@b.example\nH??MIME-Version: 1.0\n"
                "H??Content-Type: multipart/mixed; boundary=\"b\"\n"
                "H??Content-Transfer-Encoding: 8bit\n.\n",
        "--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
        "a long line of text with \xc5\xbc\n--b\n\nplain\n--b--\n");
    assert_string_equal(content(judgement.encoded),
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\n--b\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        "a long line of text with =C5=BC\r\n--b\r\n\r\nplain\r\n--b--\r\n");
    forget();
}

/* Only what is no part's, and no header's, loses what is not ASCII; a message that was cut off has
 * all of its parts. */
static void
test_seven_bit_parts(void **state)
{
    (void)state;
    judge_texts("V8\nSa@a.example\nRPFD:b@b.example\nH??MIME-Version: 1.0\n"
                "H??Content-Type: multipart/mixed; boundary=b\n.\n",
        "\xc5\xbc\n--b\xc5\xbc\n--b \t\n\nza\xc5\xbc\n--b--\n\xc5\xbc\n--b\n");
    assert_string_equal(content(judgement.encoded),
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\n??\r\n--b??\r\n--b \t\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nemHFvA0K\r\n--b--\r\n??\r\n--b\r\n");
    forget();
    judge_texts("V8\nSa@a.example\nRPFD:b@b.example\nH??MIME-Version: 1.0\n"
                "H??Content-Type: multipart/mixed; boundary=b\n.\n",
        "--b\nX: \xc5\xbc\n\xc5\xbc: x\n\nza\xc5\xbc\n");
    assert_string_equal(content(judgement.encoded),
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\n--b\r\nX: \xc5\xbc\r\n??: x\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nemHFvA0K\r\n");
    forget();
    judge_texts("V8\nSa@a.example\nRPFD:b@b.example\nH??MIME-Version: 1.0\n"
                "H??Content-Transfer-Encoding: base64\n.\n",
        "emHF\xffvA0K\n");
    assert_string_equal(content(judgement.encoded),
        "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Type: text/plain; charset=unknown-8bit\r\n\r\nemHF?vA0K\r\n");
    forget();
}

static void
replace(char **member, const char *text)
{
    free(*member);
    *member = strdup(text);
}

static int
setup(void **state)
{
    FILE *aliases = fopen(ALIASES, "w");
    struct queue_settings *queue;
    struct error error;

    (void)state;
    fputs("# names\nroot: one@x.example,\n  postmaster\npostmaster: two@x.example\nloop: loop\n",
        aliases);
    fclose(aliases);
    configuration_init(&configuration);
    configuration.settings.max_message_size = 2 << 20;
    queue = configuration_add_queue(&configuration);
    queue->kind = SECTION_MQUEUE;
    replace(&queue->aliases, ALIASES);
    replace(&queue->local_to, "rest@x.example");
    replace(&queue->hostname, "host.example");
    configuration_add_account(&configuration, "default");
    if (!job_open(&configuration, &error))
        fail_msg("%s", error.text);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return unlink(ALIASES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_stored_addresses),
        cmocka_unit_test(test_null_sender),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_resent_headers),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_seven_bit),
        cmocka_unit_test(test_seven_bit_parts),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
