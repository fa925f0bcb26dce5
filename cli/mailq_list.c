#include "cli/mailq_list.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"

static const char HEADINGS[2][82] = {
    "-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------",
    "-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------",
};

struct mailq_list *
mailq_list_new(const char *directory)
{
    struct mailq_list *list = memory_new(1, sizeof(*list));

    list->directory = memory_copy_text(directory);
    return list;
}

void
mailq_list_free(struct mailq_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mailq_job_free(list->jobs[i]);
    free(list->jobs);
    free(list->directory);
    free(list);
}

void
mailq_list_add(
    struct mailq_list *list, const struct sendmail_options *options, struct mailq_job *job)
{
    bool is_listed = options->selection.queue != '\0' || !job->quarantined_early;

    if (!is_listed || !mailq_selection_fits(&options->selection, job->name, &job->details)) {
        mailq_job_free(job);
        return;
    }
    /* Grown by doubling: a queue may have a hundred thousand. */
    if ((list->count & (list->count - 1)) == 0)
        list->jobs = memory_resize(
            list->jobs, list->count == 0 ? 1 : list->count * 2, sizeof(struct mailq_job *));
    list->jobs[list->count++] = job;
}

static int
compare_numbers(int64_t left, int64_t right)
{
    return (left > right) - (left < right);
}

static int
compare_names(const struct mailq_job *left, const struct mailq_job *right)
{
    return strcmp(left->name, right->name);
}

static int
compare_times(const struct mailq_job *left, const struct mailq_job *right)
{
    int order = compare_numbers(left->created, right->created);

    return order != 0 ? order : compare_names(left, right);
}

static int
compare_priorities(const struct mailq_job *left, const struct mailq_job *right)
{
    int order = compare_numbers(left->priority, right->priority);

    return order != 0 ? order : compare_times(left, right);
}

/* What follows the last "@" of the first recipient. */
static const char *
find_host(const struct mailq_job *job)
{
    const char *at = job->recipient != NULL ? strrchr(job->recipient, '@') : NULL;

    return at != NULL ? at + 1 : "";
}

/* From their ends on, so that neighbours in a domain stand together. */
static int
compare_hosts(const struct mailq_job *left, const struct mailq_job *right)
{
    const char *left_host = find_host(left);
    const char *right_host = find_host(right);
    size_t left_length = strlen(left_host);
    size_t right_length = strlen(right_host);

    if (left->locked != right->locked)
        return left->locked ? 1 : -1;
    while (left_length > 0 && right_length > 0) {
        int order = tolower((unsigned char)left_host[--left_length]) -
                    tolower((unsigned char)right_host[--right_length]);

        if (order != 0)
            return order;
    }
    if (left_length != right_length)
        return left_length > right_length ? 1 : -1;
    return compare_priorities(left, right);
}

static int (*const COMPARISONS[])(const struct mailq_job *, const struct mailq_job *) = {
    [ORDER_PRIORITY] = compare_priorities,
    [ORDER_TIME] = compare_times,
    [ORDER_FILENAME] = compare_names,
    [ORDER_HOST] = compare_hosts,
};

static int
compare(const void *left, const void *right, void *order)
{
    return COMPARISONS[*(enum sendmail_order *)order](
        *(struct mailq_job *const *)left, *(struct mailq_job *const *)right);
}

void
mailq_list_sort(struct mailq_list *list, enum sendmail_order order)
{
    if (list->count > 0)
        qsort_r(list->jobs, list->count, sizeof(struct mailq_job *), compare, &order);
}

/* Whether sendmail would leave a job of that priority for quieter times. */
static bool
is_too_busy(const struct mailq_job *job, const struct sendmail_options *options, int64_t load)
{
    if (options->load < 0 || load < options->load)
        return false;
    return job->priority > options->factor / (load - options->load + 1);
}

static char
choose_mark(
    const struct mailq_job *job, const struct sendmail_options *options, int64_t now, int64_t load)
{
    if (job->locked)
        return '*';
    if (options->selection.queue == 'L')
        return '?';
    if (mailq_job_is_young(job, options->least_age, now))
        return '-';
    return is_too_busy(job, options, load) ? 'X' : ' ';
}

void
mailq_list_print(FILE *file, struct mailq_list *list, const struct sendmail_options *options,
    int64_t now, int64_t load)
{
    size_t printed = list->count;

    if (list->count == 0) {
        fprintf(file, "%s is empty\n", list->directory);
        return;
    }
    fprintf(
        file, "\t\t%s (%zu request%s", list->directory, list->count, list->count == 1 ? "" : "s");
    if (options->most > 0 && (uint64_t)options->most < list->count) {
        printed = (size_t)options->most;
        fprintf(file, ", only %zu printed", printed);
    }
    fprintf(file, ")\n%s\n", HEADINGS[options->verbose]);
    mailq_list_sort(list, options->order);
    for (size_t i = 0; i < printed; i++)
        mailq_job_print(
            file, list->jobs[i], choose_mark(list->jobs[i], options, now, load), options->verbose);
}
