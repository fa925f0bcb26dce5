/*
 * Listings of tests/data/mailq, octet by octet: each transcript has its commands, and the queue it
 * was made of beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>

#include "cli/mailq_list.h"
#include "lib/memory.h"
#include "queue/control_details.h"

#define DATA "tests/data/mailq"
#define SHOWN "/var/spool/mqueue"
#define NOW INT64_C(1795325100) /* the day of the transcripts */
#define LOAD 4
#define WORDS_MAX 16

static const struct {
    const char *transcript;
    const char *queue; /* NULL: an empty one */
} TRANSCRIPTS[] = {
    {"01-empty", NULL},
    {"02-one", "02-one"},
    {"03-several", "03-several"},
    {"03b-print-order", "03-several"},
    {"04-too-young", "03-several"},
    {"05-high-load", "03-several"},
    {"05c-sort-orders", "03-several"},
    {"07-quarantined-and-lost", "07-quarantined-and-lost"},
    {"08-no-control-file-and-no-df", "08-no-control-file-and-no-df"},
    {"10-unprintable-and-long-status", "10-unprintable-and-long-status"},
    {"11-per-recipient-status", "11-per-recipient-status"},
};

static char *
read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "r");
    char *text = memory_new(1U << 20, 1);

    assert_non_null(file);
    *length = fread(text, 1, (1U << 20) - 1, file);
    fclose(file);
    return text;
}

static int64_t
measure_data(const char *queue, const char *id)
{
    char path[512];
    struct stat status;

    snprintf(path, sizeof(path), DATA "/%s.queue/df%s", queue, id);
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

static void
add_job(struct mailq_list *list, const struct sendmail_options *options, const char *queue,
    const char *name)
{
    char path[512];
    char details[65536];
    struct bytes bytes = {details, 0};
    size_t length;
    char *text;

    snprintf(path, sizeof(path), DATA "/%s.queue/%s", queue, name);
    text = read_file(path, &length);
    bytes.size = control_details_make(text, length, details, sizeof(details));
    free(text);
    mailq_list_add(
        list, options, mailq_job_new(name, measure_data(queue, name + 2), false, &bytes));
}

/* The jobs that -qQ, -qL or nothing of the kind ask for. */
static void
add_jobs(struct mailq_list *list, const struct sendmail_options *options, const char *queue)
{
    const char letter = options->selection.queue == 'Q'   ? 'h'
                        : options->selection.queue == 'L' ? 'Q'
                                                          : 'q';
    char path[512];
    const struct dirent *entry;
    DIR *directory;

    snprintf(path, sizeof(path), DATA "/%s.queue", queue);
    directory = opendir(path);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] == letter && entry->d_name[1] == 'f')
            add_job(list, options, queue, entry->d_name);
    closedir(directory);
}

/* What the command LINE prints of QUEUE. */
static char *
list(char *line, const char *queue)
{
    char *words[WORDS_MAX + 1] = {NULL};
    int count = 0;
    struct sendmail_options options;
    struct mailq_list *jobs = mailq_list_new(SHOWN);
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    while (line != NULL && count < WORDS_MAX)
        words[count++] = strsep(&line, " ");
    assert_int_equal(
        sendmail_options_parse(&options, strcmp(words[0], "mailq") == 0, count, words, file),
        EX_OK);
    assert_int_equal(options.mode, SENDMAIL_PRINT);
    if (queue != NULL)
        add_jobs(jobs, &options, queue);
    mailq_list_print(file, jobs, &options, NOW, LOAD);
    fprintf(file, "\t\tTotal requests: %zu\n", jobs->count);
    fclose(file);
    mailq_list_free(jobs);
    sendmail_options_free(&options);
    return text;
}

/* Commands that are no listing of the queue beside the transcript. */
static bool
is_other(const char *line)
{
    return strncmp(line, "sendmail -q", 11) == 0 || strstr(line, "-oQ") != NULL ||
           strstr(line, "-bP") != NULL;
}

static void
check_transcript(const char *name, const char *queue)
{
    char path[512];
    size_t length;
    char *text;
    unsigned int checked = 0;

    snprintf(path, sizeof(path), DATA "/%s.txt", name);
    text = read_file(path, &length);
    for (char *command = strstr(text, "$ "); command != NULL;) {
        char *expected = strchr(command, '\n') + 1;
        char *end = strstr(expected, "[exit ");
        char *printed;

        expected[-1] = '\0';
        *end = '\0';
        if (!is_other(command + 2)) {
            printed = list(command + 2, queue);
            assert_string_equal(printed, expected);
            free(printed);
            checked++;
        }
        command = strstr(end + 1, "\n$ ");
        command = command != NULL ? command + 1 : NULL;
    }
    assert_true(checked > 0);
    free(text);
}

static void
listings_are_those_of_sendmail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(TRANSCRIPTS) / sizeof(TRANSCRIPTS[0]); i++)
        check_transcript(TRANSCRIPTS[i].transcript, TRANSCRIPTS[i].queue);
}

static char *
print_one(const char *text, int64_t size, bool locked, const char *option)
{
    char details[4096];
    struct bytes bytes = {details, control_details_make(text, strlen(text), details, 4096)};
    struct sendmail_options options = {.load = -1, .verbose = strcmp(option, "-v") == 0};
    struct mailq_list *jobs = mailq_list_new("/q");
    char *printed;
    size_t used;
    FILE *file = open_memstream(&printed, &used);

    mailq_list_add(jobs, &options, mailq_job_new("qfAA00269", size, locked, &bytes));
    mailq_list_print(file, jobs, &options, NOW, LOAD);
    fclose(file);
    mailq_list_free(jobs);
    return printed;
}

static void
check_one(const char *text, bool locked, const char *option, const char *expected)
{
    char *printed = print_one(text, 16, locked, option);
    char *second = strchr(strchr(printed, '\n') + 1, '\n') + 1;

    assert_string_equal(second, expected);
    free(printed);
}

static void
marks_and_columns(void **state)
{
    (void)state;
    check_one("P1\nT566755281\nMDeferred: x\nSgeo\nRamy@zeus\n", true, "",
        "      AA00269*      16 Thu Dec 17 16:01 geo\n                 (Deferred: x)\n"
        "\t\t\t\t\t amy@zeus\n");
    check_one("V8\nP1\nT566755281\nFw\nSgeo\nRamy@zeus\nRPFD:amy\n", false, "-v",
        "      AA00269       16          1+Dec 17 16:01 geo\n\t\t\t\t\t\tamy\n");
    /* A continued line is not shown; what is after the end is, as sendmail does it. */
    check_one("P1\nT566755281\nSgeo\n\tleo\nRamy\\x\n.\nRzoe\n", false, "",
        "      AA00269       16 Thu Dec 17 16:01 geo\n\t\t\t\t\t amy\\\\x\n\t\t\t\t\t zoe\n");
    /* The status comes from outside: nothing of it reaches the terminal but characters. */
    check_one("P1\nT566755281\nMa\x1b[2J\nSgeo\n", false, "",
        "      AA00269       16 Thu Dec 17 16:01 geo\n                 (a\\033[2J)\n");
}

static void
the_frame_counts(void **state)
{
    char *printed;
    struct sendmail_options options = {.load = -1, .most = 2};
    struct bytes bytes = {"T1\0Sx", 6};
    struct mailq_list *jobs = mailq_list_new("/q");
    size_t used;
    FILE *file = open_memstream(&printed, &used);

    (void)state;
    for (int i = 0; i < 3; i++)
        mailq_list_add(jobs, &options, mailq_job_new("qfAA1", 1, false, &bytes));
    mailq_list_print(file, jobs, &options, NOW, LOAD);
    fclose(file);
    mailq_list_free(jobs);
    assert_memory_equal(printed, "\t\t/q (3 requests, only 2 printed)\n---", 36);
    free(printed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listings_are_those_of_sendmail),
        cmocka_unit_test(marks_and_columns),
        cmocka_unit_test(the_frame_counts),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
