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

/* clang-format off */
#define SENT {STAGE_CONTENT, 250}
#define UNTRIED {STAGE_UNTRIED, 0}

/* Three mails to one recipient each; the expected results, with pipelining and without. */
static const struct {
    const char *name;
    struct misbehaviour misbehaviours[2];
    struct {
        enum stage stage;
        unsigned code;
    } expected[2][3];
} CASES[] = {
    {"no misbehaviour", {{0}}, {{SENT, SENT, SENT}, {SENT, SENT, SENT}}},
    {"MAIL 450", {{"MAIL", 2, "450 no\r\n"}},
        {{SENT, {STAGE_MAIL, 450}, SENT}, {SENT, {STAGE_MAIL, 450}, SENT}}},
    {"MAIL 550", {{"MAIL", 1, "550 5.7.1 no\r\n"}},
        {{{STAGE_MAIL, 550}, SENT, SENT}, {{STAGE_MAIL, 550}, SENT, SENT}}},
    {"MAIL refused, DATA 354", {{"MAIL", 2, "550 no\r\n"}, {"DATA", 2, "354 go\r\n"}},
        {{SENT, {STAGE_MAIL, 550}, SENT}, {SENT, {STAGE_MAIL, 550}, SENT}}},
    {"MAIL 354", {{"MAIL", 2, "354 hm\r\n"}}, {{SENT, UNTRIED, UNTRIED}, {SENT, UNTRIED, UNTRIED}}},
    {"MAIL 354 at once", {{"MAIL", 1, "354 hm\r\n"}},
        {{{STAGE_MAIL, 0}, UNTRIED, UNTRIED}, {{STAGE_MAIL, 0}, UNTRIED, UNTRIED}}},
    {"MAIL 421", {{"MAIL", 1, "421 4.3.2 closing\r\n"}},
        {{{STAGE_MAIL, 421}, UNTRIED, UNTRIED}, {{STAGE_MAIL, 421}, UNTRIED, UNTRIED}}},
    {"MAIL 421 later", {{"MAIL", 2, "421 4.3.2 closing\r\n"}},
        {{SENT, {STAGE_UNTRIED, 421}, UNTRIED}, {SENT, {STAGE_UNTRIED, 421}, UNTRIED}}},
    {"MAIL end", {{"MAIL", 1, NULL}},
        {{{STAGE_MAIL, 0}, UNTRIED, UNTRIED}, {{STAGE_MAIL, 0}, UNTRIED, UNTRIED}}},
    {"MAIL end later", {{"MAIL", 2, NULL}}, {{SENT, UNTRIED, UNTRIED}, {SENT, UNTRIED, UNTRIED}}},
    {"MAIL garbage", {{"MAIL", 1, "hello\r\n"}},
        {{{STAGE_MAIL, 0}, UNTRIED, UNTRIED}, {{STAGE_MAIL, 0}, UNTRIED, UNTRIED}}},
    {"MAIL NUL and lines", {{"MAIL", 1, "250-a\r\n250-\r\n250 b\r\n"}},
        {{SENT, SENT, SENT}, {SENT, SENT, SENT}}},
    {"MAIL two replies", {{"MAIL", 3, "250 a\r\n250 b\r\n"}},
        {{SENT, SENT, {STAGE_DATA, 0}}, {SENT, SENT, {STAGE_MAIL, 0}}}},
    {"RCPT 450", {{"RCPT", 2, "450 4.2.0 no\r\n"}},
        {{SENT, {STAGE_RCPT, 450}, SENT}, {SENT, {STAGE_RCPT, 450}, SENT}}},
    {"RCPT 550", {{"RCPT", 1, "550 5.1.1 no\r\n"}},
        {{{STAGE_RCPT, 550}, SENT, SENT}, {{STAGE_RCPT, 550}, SENT, SENT}}},
    {"RCPT 550, DATA 354", {{"RCPT", 2, "550 no\r\n"}, {"DATA", 2, "354 go\r\n"}},
        {{SENT, {STAGE_RCPT, 550}, SENT}, {SENT, {STAGE_RCPT, 550}, SENT}}},
    {"RCPT 421", {{"RCPT", 2, "421 closing\r\n"}},
        {{SENT, {STAGE_RCPT, 421}, UNTRIED}, {SENT, {STAGE_RCPT, 421}, UNTRIED}}},
    {"RCPT end", {{"RCPT", 2, NULL}},
        {{SENT, {STAGE_RCPT, 0}, UNTRIED}, {SENT, {STAGE_RCPT, 0}, UNTRIED}}},
    {"RCPT 354", {{"RCPT", 2, "354 hm\r\n"}},
        {{SENT, {STAGE_RCPT, 0}, UNTRIED}, {SENT, {STAGE_RCPT, 0}, UNTRIED}}},
    {"DATA 450", {{"DATA", 2, "450 no\r\n"}},
        {{SENT, {STAGE_DATA, 450}, SENT}, {SENT, {STAGE_DATA, 450}, SENT}}},
    {"DATA 554", {{"DATA", 1, "554 no\r\n"}},
        {{{STAGE_DATA, 554}, SENT, SENT}, {{STAGE_DATA, 554}, SENT, SENT}}},
    {"DATA 250", {{"DATA", 2, "250 ok\r\n"}},
        {{SENT, {STAGE_DATA, 0}, UNTRIED}, {SENT, {STAGE_DATA, 0}, UNTRIED}}},
    {"DATA 421", {{"DATA", 2, "421 closing\r\n"}},
        {{SENT, {STAGE_DATA, 421}, UNTRIED}, {SENT, {STAGE_DATA, 421}, UNTRIED}}},
    {"DATA end", {{"DATA", 2, NULL}},
        {{SENT, {STAGE_DATA, 0}, UNTRIED}, {SENT, {STAGE_DATA, 0}, UNTRIED}}},
    {"DATA 354 twice", {{"DATA", 2, "354 go\r\n354 go\r\n"}},
        {{SENT, {STAGE_CONTENT, 0}, UNTRIED}, {SENT, {STAGE_CONTENT, 0}, UNTRIED}}},
    {"DOT 450", {{"DOT", 2, "450 no\r\n"}},
        {{SENT, {STAGE_CONTENT, 450}, SENT}, {SENT, {STAGE_CONTENT, 450}, SENT}}},
    {"DOT 554", {{"DOT", 2, "554 5.6.0 no\r\n"}},
        {{SENT, {STAGE_CONTENT, 554}, SENT}, {SENT, {STAGE_CONTENT, 554}, SENT}}},
    {"DOT 421", {{"DOT", 2, "421 closing\r\n"}},
        {{SENT, {STAGE_CONTENT, 421}, UNTRIED}, {SENT, {STAGE_CONTENT, 421}, UNTRIED}}},
    {"DOT end", {{"DOT", 2, NULL}},
        {{SENT, {STAGE_UNKNOWN, 0}, UNTRIED}, {SENT, {STAGE_UNKNOWN, 0}, UNTRIED}}},
    {"DOT 354", {{"DOT", 2, "354 hm\r\n"}},
        {{SENT, {STAGE_UNKNOWN, 0}, UNTRIED}, {SENT, {STAGE_UNKNOWN, 0}, UNTRIED}}},
    {"DOT garbage", {{"DOT", 2, "\r\n"}},
        {{SENT, {STAGE_UNKNOWN, 0}, UNTRIED}, {SENT, {STAGE_UNKNOWN, 0}, UNTRIED}}},
    {"DOT contradiction", {{"DOT", 2, "250-yes\r\n550 no\r\n"}},
        {{SENT, {STAGE_UNKNOWN, 0}, UNTRIED}, {SENT, {STAGE_UNKNOWN, 0}, UNTRIED}}},
    {"DOT two replies", {{"DOT", 3, "250 a\r\n250 b\r\n"}},
        {{SENT, SENT, SENT}, {SENT, SENT, SENT}}},
    {"RSET 500", {{"RSET", 1, "500 what\r\n"}, {"RCPT", 1, "550 no\r\n"}},
        {{{STAGE_RCPT, 550}, SENT, SENT}, {{STAGE_RCPT, 550}, SENT, SENT}}},
    {"RSET 421", {{"RSET", 1, "421 bye\r\n"}, {"RCPT", 1, "550 no\r\n"}},
        {{{STAGE_RCPT, 550}, {STAGE_UNTRIED, 421}, UNTRIED},
            {{STAGE_RCPT, 550}, {STAGE_UNTRIED, 421}, UNTRIED}}},
    {"RSET end", {{"RSET", 1, NULL}, {"RCPT", 1, "550 no\r\n"}},
        {{{STAGE_RCPT, 550}, UNTRIED, UNTRIED}, {{STAGE_RCPT, 550}, UNTRIED, UNTRIED}}},
};
/* clang-format on */

static void
run_case(size_t at, bool pipelining)
{
    world_begin(CASES[at].misbehaviours, CASES[at].misbehaviours[1].verb != NULL   ? 2
                                         : CASES[at].misbehaviours[0].verb != NULL ? 1
                                                                                   : 0);
    world_connect(pipelining ? &PIPELINING : &PLAIN);
    for (size_t i = 0; i < 3; i++)
        assert_true(transaction_add(&world.transaction, world_job(1)));
    world_run();
    world_check();
}

static void
each_misbehaviour_has_its_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(CASES) * 2; i++) {
        size_t at = i / 2;
        bool pipelining = i % 2 == 0;

        run_case(at, pipelining);
        for (size_t j = 0; j < 3; j++) {
            const struct result *result = &world.results[j][0];

            if (result->stage != CASES[at].expected[!pipelining][j].stage ||
                result->code != CASES[at].expected[!pipelining][j].code)
                fail_msg("%s, %s, mail %zu: stage %d, code %u (%s)", CASES[at].name,
                    pipelining ? "pipelining" : "one at a time", j, (int)result->stage,
                    result->code, result->words);
        }
    }
}

/* Cuts the line after every single octet, either way. */
static void
every_end_of_the_line_is_survived(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        size_t total = 1;

        for (size_t cut = 0; cut <= total; cut++) {
            world_begin(NULL, 0);
            world_connect(way % 2 ? &PIPELINING : &PLAIN);
            world.server_hears = way < 2 ? cut : 0;
            world.client_hears = way < 2 ? 0 : cut;
            for (size_t i = 0; i < 3; i++)
                transaction_add(&world.transaction, world_job(i + 1));
            world_run();
            world_check();
            if (cut == 0)
                total = way < 2 ? world.sent : world.received;
        }
        assert_true(total > 100);
    }
}

/* Misbehaviours at random, lines that break, sends that are cut: what must hold, holds. */
static void
nothing_breaks_the_promises(void **state)
{
    static const char *const replies[] = {"250 ok\r\n", "354 go\r\n", "450 no\r\n", "554 no\r\n",
        "421 bye\r\n", NULL, "250 a\r\n250 b\r\n", "junk\r\n", "", "250-a\r\n"};

    (void)state;
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        struct misbehaviour misbehaviours[3];

        for (size_t i = 0; i < 3; i++) {
            misbehaviours[i].verb = VERBS[random() % 6];
            misbehaviours[i].nth = (unsigned)random() % 6 + 1;
            misbehaviours[i].reply = replies[random() % (long)COUNT(replies)];
        }
        world_begin(misbehaviours, 3);
        world.send_most = random() % 2 ? SIZE_MAX : (size_t)random() % 100 + 1;
        world_connect(random() % 2 ? &PIPELINING : &PLAIN);
        for (long i = random() % 4; i >= 0; i--)
            transaction_add(&world.transaction, world_job((size_t)random() % 3 + 1));
        world_run();
        transaction_break(&world.transaction, "no answer in time");
        for (size_t i = 0; i < world.job_count; i++) {
            assert_int_equal(world.finished[i], 1);
            for (size_t j = 0; j < world.jobs[i].recipient_count; j++)
                assert_int_equal(world.results[i][j].told, 1);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_misbehaviour_has_its_result),
        cmocka_unit_test(every_end_of_the_line_is_survived),
        cmocka_unit_test(nothing_breaks_the_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
