#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/configuration.h"
#include "qmgr/base.h"
#include "qmgr/job.h"

#define NUMBER UINT64_C(42)
#define FILE_TIME INT64_C(1764000000)
#define WRITTEN INT64_C(1318802411)

static const struct message_offer OFFER = {.job = NUMBER,
    .hash = 0x0123456789ABCDEF,
    .name = "mail.xml",
    .mtime_ns = FILE_TIME * 1000000000,
    .problem = ""};
static const struct message_verdict VERDICT = {.job = NUMBER,
    .verdict = VERDICT_MAIL,
    .time = WRITTEN,
    .sender = "foo@example.com",
    .reason = "",
    .content = -1,
    .encoded = -1,
    .account = "",
    .envelope_id = "",
    .auth = ""};
static const struct queue_settings SETTINGS = {.kind = SECTION_SPOOL};

/* qmgr hears pickup and cleanup over two pipes: either half of a job may come first. */
static void
the_id_is_the_same_in_whatever_order_the_halves_come(void **state)
{
    struct base base = {.settings = &SETTINGS};
    struct job *offered_first = job_new(NUMBER);
    struct job *judged_first = job_new(NUMBER);
    char id[MAIL_ID_SIZE];

    (void)state;
    mail_id_format(id, sizeof(id), WRITTEN, OFFER.hash);
    job_take_offer(offered_first, &base, &OFFER);
    job_take_verdict(offered_first, &VERDICT);
    assert_string_equal(offered_first->id, id);
    job_take_verdict(judged_first, &VERDICT);
    job_take_offer(judged_first, &base, &OFFER);
    assert_string_equal(judged_first->id, id);
    job_free(offered_first);
    job_free(judged_first);
}

static void
without_a_time_of_writing_the_files_counts(void **state)
{
    struct base base = {.settings = &SETTINGS};
    struct message_verdict verdict = VERDICT;
    struct job *job = job_new(NUMBER);
    char id[MAIL_ID_SIZE];

    (void)state;
    verdict.time = 0;
    mail_id_format(id, sizeof(id), FILE_TIME, OFFER.hash);
    job_take_offer(job, &base, &OFFER);
    assert_string_equal(job->id, id);
    job_take_verdict(job, &verdict);
    assert_string_equal(job->id, id);
    job_free(job);
}

static void
only_what_is_in_hand_is_found(void **state)
{
    struct job *job = job_new(NUMBER);

    (void)state;
    assert_null(job_find(NUMBER));
    job_enter(job);
    assert_ptr_equal(job_find(NUMBER), job);
    job_free(job);
    assert_null(job_find(NUMBER));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_is_the_same_in_whatever_order_the_halves_come),
        cmocka_unit_test(without_a_time_of_writing_the_files_counts),
        cmocka_unit_test(only_what_is_in_hand_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
