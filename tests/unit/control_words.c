#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "control/base.h"
#include "control/document.h"
#include "control/sentence.h"
#include "lib/memory.h"
#include "lib/outcome.h"

#define RELAY "mx.example.com[192.0.2.1]:587"
#define SENDER "foo@example.com"
#define ADDRESS "boo@example.org"

static int
make(char *sentence, enum outcome outcome, enum stage stage, unsigned code, const char *words)
{
    const struct message_tried tried = {.outcome = outcome,
        .stage = stage,
        .code = code,
        .enhanced = "",
        .relay = stage == STAGE_UNTRIED ? "" : RELAY,
        .words = words};

    return sentence_make(sentence, SENTENCE_SIZE, &tried, SENDER, ADDRESS);
}

static void
every_stage_has_a_sentence(void **state)
{
    char sentence[SENTENCE_SIZE];

    (void)state;
    for (enum stage stage = STAGE_CONNECT; stage < STAGE_COUNT; stage++) {
        assert_int_equal(
            make(sentence, OUTCOME_DEFERRED, stage, 550, "550 5.0.0 no"), EX_UNAVAILABLE);
        assert_memory_equal(sentence, RELAY, strlen(RELAY));
        assert_non_null(strstr(sentence, ": 550 5.0.0 no. "));
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
    }
}

static void
sentences_say_who_and_what(void **state)
{
    char sentence[SENTENCE_SIZE];

    (void)state;
    assert_int_equal(make(sentence, OUTCOME_SENT, STAGE_CONTENT, 250, "250 Ok"), EX_OK);
    assert_string_equal(sentence,
        "The account works: " RELAY " took the test mail from " SENDER " to " ADDRESS " (250 Ok).");
    assert_int_equal(
        make(sentence, OUTCOME_DROPPED, STAGE_RCPT, 550, "no such user"), EX_UNAVAILABLE);
    assert_non_null(strstr(sentence, "refused the recipient " ADDRESS ": 550 no such user."));
    assert_int_equal(make(sentence, OUTCOME_DEFERRED, STAGE_LOGIN, 535, ""), EX_UNAVAILABLE);
    assert_non_null(strstr(sentence, "refused the login: 535 (it did not say why)."));
    assert_int_equal(make(sentence, OUTCOME_DEFERRED, STAGE_MAIL, 451, "451 later"), EX_TEMPFAIL);
    assert_non_null(strstr(sentence, "does not take mail from " SENDER ": 451 later."));
    assert_int_equal(
        make(sentence, OUTCOME_DEFERRED, STAGE_UNTRIED, 0, "no account"), EX_UNAVAILABLE);
    assert_non_null(strstr(sentence, SENDER " to " ADDRESS " was not sent: no account."));
    assert_int_equal(make(sentence, OUTCOME_DEFERRED, STAGE_COUNT, 0, ""), EX_UNAVAILABLE);
}

static void
the_test_mail_is_escaped(void **state)
{
    char *document = document_make("a&b<c>@example.com", "\"x\"@example.org", 0);

    (void)state;
    assert_non_null(strstr(document, "<fld_sender>a&amp;b&lt;c&gt;@example.com</fld_sender>"));
    assert_non_null(strstr(document, "<fld_address>&quot;x&quot;@example.org</fld_address>"));
    assert_non_null(strstr(document, "<fld_time>01.01.1970 "));
    assert_null(strstr(document, "b<c"));
    free(document);
}

static void
set_base(struct configuration *configuration, const char *section, const char *sid)
{
    struct queue_settings *queue = &configuration->queues[configuration->queue_count++];

    queue->section = memory_copy_text(section);
    queue->sid = memory_copy_text(sid);
}

static void
bases_are_found_by_name(void **state)
{
    static struct queue_settings queues[4];
    static struct configuration configuration = {.queues = queues};
    struct error error;

    (void)state;
    set_base(&configuration, "sowa1", "alfa");
    set_base(&configuration, "sowa1", "both");
    set_base(&configuration, "sowa2", "both");
    set_base(&configuration, "sowa2", "gamma");
    base_start(&configuration);
    assert_string_equal(base_name(0), "alfa");
    assert_string_equal(base_name(1), "sowa1/both");
    assert_string_equal(base_name(2), "sowa2/both");
    assert_null(base_name(4));
    assert_null(base_find(4));
    assert_true(base_check("", &error));
    assert_true(base_check("alfa", &error));
    assert_true(base_check("sowa1/alfa", &error));
    assert_true(base_check("sowa2/both", &error));
    assert_false(base_check("sowa2/alfa", &error));
    assert_false(base_check("both", &error));
    assert_non_null(strstr(error.text, "one of sowa1/both, sowa2/both"));
    assert_false(base_check("delta", &error));
    assert_non_null(strstr(error.text, "alfa, sowa1/both, sowa2/both, gamma"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_has_a_sentence),
        cmocka_unit_test(sentences_say_who_and_what),
        cmocka_unit_test(the_test_mail_is_escaped),
        cmocka_unit_test(bases_are_found_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
