#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/transaction.h"
#include "tests/unit/smtp_world.h"

static void
a_mail_costs_one_round_trip(void **state)
{
    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    for (size_t i = 0; i < 10; i++)
        transaction_add(&world.transaction, world_job(1));
    world_run();
    world_check();
    assert_int_equal(world.writes, 11);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(world.server.delivered[i], 1);
    assert_int_equal(transaction_answered(&world.transaction), 10);
}

static void
one_command_at_a_time_without_pipelining(void **state)
{
    (void)state;
    world_begin(NULL, 0);
    world_connect(&PLAIN);
    for (size_t i = 0; i < 3; i++)
        transaction_add(&world.transaction, world_job(1));
    world_run();
    world_check();
    assert_int_equal(world.writes, 3 * 4);
    assert_string_equal(world.server.heard, "MAIL FROM:<j0@a>\nRCPT TO:<r0@b>\nDATA\n"
                                            "MAIL FROM:<j1@a>\nRCPT TO:<r0@b>\nDATA\n"
                                            "MAIL FROM:<j2@a>\nRCPT TO:<r0@b>\nDATA\n");
}

static void
rset_comes_before_each_mail_but_the_first(void **state)
{
    static const struct misbehaviour refused[] = {{"DATA", 1, "554 no\r\n"}};

    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    transaction_add(&world.transaction, world_job(1));
    world_run();
    transaction_add(&world.transaction, world_job(1));
    world_run();
    assert_string_equal(world.server.heard, "MAIL FROM:<j0@a>\nRCPT TO:<r0@b>\nDATA\n"
                                            "RSET\nMAIL FROM:<j1@a>\nRCPT TO:<r0@b>\nDATA\n");
    world_begin(refused, 1);
    world_connect(&PLAIN);
    transaction_add(&world.transaction, world_job(1));
    transaction_add(&world.transaction, world_job(1));
    world_run();
    assert_string_equal(world.server.heard, "MAIL FROM:<j0@a>\nRCPT TO:<r0@b>\nDATA\n"
                                            "RSET\nMAIL FROM:<j1@a>\nRCPT TO:<r0@b>\nDATA\n");
    world_check();
}

static void
the_content_arrives_as_it_was(void **state)
{
    static const char STUFFED[] = "Subject: x\r\n\r\nHello\r\n..\r\n...dots\r\nend\r\n.\r\n";

    (void)state;
    for (size_t most = 1; most < 300; most++) {
        world_begin(NULL, 0);
        world.send_most = most;
        world_connect(&PIPELINING);
        transaction_add(&world.transaction, world_job(1));
        transaction_add(&world.transaction, world_job(2));
        world_run();
        world_check();
        assert_int_equal(world.server.content_length, sizeof(STUFFED) - 1);
        assert_memory_equal(world.server.content, STUFFED, sizeof(STUFFED) - 1);
    }
}

static void
a_large_content_arrives(void **state)
{
    static char large[300000];

    (void)state;
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        world_begin(NULL, 0);
        world_connect(pipelining ? &PIPELINING : &PLAIN);
        for (size_t i = 0; i < 3; i++) {
            struct job *job = world_job(1);

            job->content = (struct content){large, -1, sizeof(large) / 64 * 64};
            transaction_add(&world.transaction, job);
        }
        world_run();
        world_check();
        assert_int_equal(world.server.content_length, sizeof(large) / 64 * 64 + 3);
        assert_int_equal(world.server.delivered[2], 1);
    }
}

static void
recipients_have_their_own_results(void **state)
{
    static const struct misbehaviour refused[] = {
        {"RCPT", 2, "550 5.1.1 no\r\n"}, {"RCPT", 4, "450 4.2.0 later\r\n"}};

    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        world_begin(refused, 2);
        world_connect(pipelining ? &PIPELINING : &PLAIN);
        transaction_add(&world.transaction, world_job(5));
        world_run();
        world_check();
        assert_int_equal(world.results[0][0].code, 250);
        assert_int_equal(world.results[0][1].code, 550);
        assert_int_equal(world.results[0][1].stage, STAGE_RCPT);
        assert_int_equal(world.results[0][2].code, 250);
        assert_int_equal(world.results[0][3].code, 450);
        assert_int_equal(world.results[0][4].stage, STAGE_CONTENT);
        assert_int_equal(world.server.delivered[0], 1);
    }
}

static void
more_recipients_than_may_be_awaited_work(void **state)
{
    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    for (size_t i = 0; i < 3; i++)
        transaction_add(&world.transaction, world_job(RECIPIENTS_MAX));
    world_run();
    world_check();
    assert_int_equal(world.server.delivered[2], 1);
    assert_int_equal(world.results[2][RECIPIENTS_MAX - 1].code, 250);
}

static void
what_the_relay_cannot_take_is_not_sent(void **state)
{
    struct capabilities able = {.pipelining = true, .size = true, .size_limit = 100};
    struct job *job;

    (void)state;
    world_begin(NULL, 0);
    world_connect(&able);
    job = world_job(2);
    job->content.size = 101;
    transaction_add(&world.transaction, job);
    job = world_job(1);
    job->recipients[0].address = "zażółć@b";
    transaction_add(&world.transaction, job);
    job = world_job(1);
    job->eight_bit = true;
    transaction_add(&world.transaction, job);
    job = world_job(1);
    job->recipients[0].address = "a@b>\r\nRCPT TO:<c@d";
    transaction_add(&world.transaction, job);
    job = world_job(1);
    job->sender = "a@b> SIZE=1";
    transaction_add(&world.transaction, job);
    transaction_add(&world.transaction, world_job(1));
    world_run();
    world_check();
    assert_string_equal(world.results[0][1].words,
        "552 5.3.4 the mail has 101 octets, the relay takes 100 (not sent)");
    assert_int_equal(world.results[0][1].stage, STAGE_MAIL);
    assert_non_null(strstr(world.results[1][0].words, "553 5.6.7"));
    assert_non_null(strstr(world.results[2][0].words, "554 5.6.3"));
    assert_non_null(strstr(world.results[3][0].words, "553 5.1.3"));
    assert_non_null(strstr(world.results[4][0].words, "553 5.1.3"));
    assert_int_equal(world.server.delivered[5], 1);
    assert_null(strstr(world.server.heard, "c@d"));
    assert_non_null(strstr(world.server.heard, "MAIL FROM:<j5@a> SIZE=37\n"));
}

static void
parameters_are_said_where_they_are_understood(void **state)
{
    struct capabilities able = {
        .pipelining = true, .size = true, .eight_bit = true, .smtputf8 = true, .dsn = true};
    struct job *job;

    (void)state;
    for (int understood = 1; understood >= 0; understood--) {
        world_begin(NULL, 0);
        world_connect(understood ? &able : &PIPELINING);
        job = world_job(1);
        job->eight_bit = true;
        job->encoded = (struct content){"x\r\n", -1, 3};
        job->smtputf8 = understood;
        job->return_part = "HDRS";
        job->envelope_id = "QQ314159";
        job->recipients[0].parameters =
            (struct recipient_parameters){"SUCCESS,FAILURE", "rfc822;r0@b"};
        transaction_add(&world.transaction, job);
        world_run();
        world_check();
        assert_string_equal(world.server.heard,
            understood ? "MAIL FROM:<j0@a> SIZE=37 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159\n"
                         "RCPT TO:<r0@b> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;r0@b\nDATA\n"
                       : "MAIL FROM:<j0@a>\nRCPT TO:<r0@b>\nDATA\n");
        if (!understood)
            assert_memory_equal(world.server.content, "x\r\n.\r\n", 6);
    }
}

/* A refusal in the middle of content, and one that lies. */
static void
replies_in_the_middle_of_content(void **state)
{
    static const struct {
        const char *reply;
        unsigned code;
    } cases[] = {{"552 5.3.4 too big\r\n", 552}, {"421 bye\r\n", 421}, {"250 thanks\r\n", 0}};
    static char large[200000];

    (void)state;
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct job *job;
        size_t length;

        world_begin(NULL, 0);
        world_connect(&PIPELINING);
        job = world_job(1);
        job->content = (struct content){large, -1, sizeof(large)};
        transaction_add(&world.transaction, job);
        transaction_add(&world.transaction, world_job(1));
        assert_true(world_send());
        assert_true(world_receive());
        assert_non_null(transaction_output(&world.transaction, &length));
        transaction_sent(&world.transaction, length);
        transaction_receive(&world.transaction, cases[i].reply, strlen(cases[i].reply));
        assert_true(transaction_over(&world.transaction));
        world_check();
        assert_int_equal(world.results[0][0].stage, STAGE_CONTENT);
        assert_int_equal(world.results[0][0].code, cases[i].code);
        assert_int_equal(world.results[1][0].stage, STAGE_UNTRIED);
    }
}

static void
a_write_that_must_be_repeated_may_have_gone_out(void **state)
{
    (void)state;
    for (int touched = 0; touched < 2; touched++) {
        size_t length[2];
        const char *output;

        world_begin(NULL, 0);
        world_connect(&PIPELINING);
        transaction_add(&world.transaction, world_job(1));
        assert_true(world_send());
        assert_true(world_receive());
        output = transaction_output(&world.transaction, &length[0]);
        transaction_add(&world.transaction, world_job(1));
        assert_ptr_equal(output, transaction_output(&world.transaction, &length[1]));
        assert_int_equal(length[0], length[1]);
        if (touched)
            transaction_touched(&world.transaction);
        transaction_break(&world.transaction, "lost connection");
        world_check();
        assert_int_equal(world.results[0][0].stage, touched ? STAGE_UNKNOWN : STAGE_CONTENT);
    }
}

static void
answers_to_nothing_end_the_session(void **state)
{
    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    transaction_receive(&world.transaction, "250 hello\r\n", 11);
    assert_true(transaction_over(&world.transaction));
    assert_false(transaction_add(&world.transaction, world_job(1)));

    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    transaction_add(&world.transaction, world_job(1));
    transaction_receive(&world.transaction, "250 hello\r\n", 11);
    assert_true(transaction_over(&world.transaction));
    assert_int_equal(world.results[0][0].stage, STAGE_MAIL);
    world_check();
}

static void
a_content_that_cannot_be_read_is_not_ended(void **state)
{
    struct job *job;

    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    job = world_job(1);
    job->content = (struct content){NULL, -1, 100};
    transaction_add(&world.transaction, job);
    world_run();
    world_check();
    assert_int_equal(world.results[0][0].stage, STAGE_CONTENT);
    assert_string_equal(
        world.results[0][0].words, "the content could not be read while sending the content");
    assert_int_equal(world.server.delivered[0], 0);
}

static void
quit_comes_last(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        world_begin(NULL, 0);
        world_connect(pipelining ? &PIPELINING : &PLAIN);
        transaction_add(&world.transaction, world_job(1));
        transaction_quit(&world.transaction);
        assert_false(transaction_add(&world.transaction, &world.jobs[5]));
        world_run();
        world_check();
        assert_true(transaction_over(&world.transaction));
        assert_string_equal(world.server.heard, "MAIL FROM:<j0@a>\nRCPT TO:<r0@b>\nDATA\nQUIT\n");
        assert_int_equal(world.server.delivered[0], 1);
    }
}

static void
a_mail_that_is_late_is_not_begun(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        world_begin(NULL, 0);
        world_connect(pipelining ? &PIPELINING : &PLAIN);
        for (size_t i = 0; i < 3; i++)
            transaction_add(&world.transaction, world_job(1));
        world.late = &world.jobs[1];
        world_run();
        assert_int_equal(world.results[1][0].stage, STAGE_UNTRIED);
        assert_int_equal(world.finished[1], 1);
        assert_null(strstr(world.server.heard, "<j1@a>"));
        assert_int_equal(world.server.delivered[0], 1);
        assert_int_equal(world.server.delivered[2], 1);
    }
}

static void
the_stage_says_what_is_awaited(void **state)
{
    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    assert_int_equal(transaction_stage(&world.transaction), STAGE_UNTRIED);
    transaction_add(&world.transaction, world_job(1));
    world_send();
    assert_int_equal(transaction_stage(&world.transaction), STAGE_MAIL);
    transaction_receive(&world.transaction, "250 ok\r\n", 8);
    assert_int_equal(transaction_stage(&world.transaction), STAGE_RCPT);
    transaction_receive(&world.transaction, "250 ok\r\n", 8);
    assert_int_equal(transaction_stage(&world.transaction), STAGE_DATA);
    transaction_receive(&world.transaction, "354 ok\r\n", 8);
    assert_int_equal(transaction_stage(&world.transaction), STAGE_CONTENT);
    world_send();
    assert_int_equal(transaction_stage(&world.transaction), STAGE_UNKNOWN);
    transaction_receive(&world.transaction, "250 ok\r\n", 8);
    assert_int_equal(transaction_stage(&world.transaction), STAGE_UNTRIED);
}

/* Until the first mail's dot is out, to which nothing is said. */
static void
run_until_dot(void)
{
    size_t length;

    while (transaction_stage(&world.transaction) != STAGE_CONTENT) {
        world_send();
        world_receive();
    }
    while (transaction_output(&world.transaction, &length) != NULL)
        transaction_sent(&world.transaction, length);
}

/* The relay does not answer the dot of the first of three: the others are asked back. The server
 * has heard of the second, so the session ends with the first. */
static void
what_waits_behind_a_mail_can_be_recalled(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        world_begin(NULL, 0);
        world_connect(pipelining ? &PIPELINING : &PLAIN);
        for (size_t i = 0; i < 3; i++) {
            struct job *job = world_job(1);

            job->context = job;
            transaction_add(&world.transaction, job);
        }
        run_until_dot();
        assert_false(transaction_recall(&world.transaction, &world.jobs[0]));
        assert_false(transaction_recall(&world.transaction, &world));
        assert_true(transaction_recall(&world.transaction, &world.jobs[2]));
        assert_true(transaction_recall(&world.transaction, &world.jobs[1]));
        assert_false(transaction_recall(&world.transaction, &world.jobs[1]));
        for (size_t i = 1; i < 3; i++) {
            assert_int_equal(world.results[i][0].stage, STAGE_UNTRIED);
            assert_int_equal(world.results[i][0].told, 1);
            assert_int_equal(world.finished[i], 1);
        }
        assert_int_equal(world.finished[0], 0);
        transaction_receive(&world.transaction, "250 ok\r\n", 8);
        assert_int_equal(world.results[0][0].stage, STAGE_CONTENT);
        assert_int_equal(world.results[0][0].code, 250);
        assert_int_equal(world.finished[0], 1);
        assert_int_equal(transaction_over(&world.transaction), pipelining);
        assert_int_equal(transaction_add(&world.transaction, world_job(1)), !pipelining);
    }
}

/* The line breaks instead: only the first is unknown. */
static void
a_break_after_a_recall_tells_of_the_first_only(void **state)
{
    (void)state;
    world_begin(NULL, 0);
    world_connect(&PIPELINING);
    for (size_t i = 0; i < 2; i++) {
        struct job *job = world_job(1);

        job->context = job;
        transaction_add(&world.transaction, job);
    }
    run_until_dot();
    assert_true(transaction_recall(&world.transaction, &world.jobs[1]));
    transaction_break(&world.transaction, "lost connection");
    assert_int_equal(world.results[0][0].stage, STAGE_UNKNOWN);
    assert_int_equal(world.finished[0], 1);
    assert_int_equal(world.results[1][0].told, 1);
    assert_int_equal(world.finished[1], 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_costs_one_round_trip),
        cmocka_unit_test(one_command_at_a_time_without_pipelining),
        cmocka_unit_test(rset_comes_before_each_mail_but_the_first),
        cmocka_unit_test(the_content_arrives_as_it_was),
        cmocka_unit_test(a_large_content_arrives),
        cmocka_unit_test(recipients_have_their_own_results),
        cmocka_unit_test(more_recipients_than_may_be_awaited_work),
        cmocka_unit_test(what_the_relay_cannot_take_is_not_sent),
        cmocka_unit_test(parameters_are_said_where_they_are_understood),
        cmocka_unit_test(replies_in_the_middle_of_content),
        cmocka_unit_test(a_write_that_must_be_repeated_may_have_gone_out),
        cmocka_unit_test(answers_to_nothing_end_the_session),
        cmocka_unit_test(a_content_that_cannot_be_read_is_not_ended),
        cmocka_unit_test(quit_comes_last),
        cmocka_unit_test(a_mail_that_is_late_is_not_begun),
        cmocka_unit_test(the_stage_says_what_is_awaited),
        cmocka_unit_test(what_waits_behind_a_mail_can_be_recalled),
        cmocka_unit_test(a_break_after_a_recall_tells_of_the_first_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
