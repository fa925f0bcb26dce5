#include "cli/mailq_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/sendmail_command.h"
#include "lib/memory.h"

/* The answer while it comes. */
struct fetching {
    struct mailq_lists *lists;
    const struct sendmail_options *options;
    char *details; /* of the job that more is to come of */
    size_t details_size;
};

static bool
take_queue(void *context, const struct message *message)
{
    struct mailq_lists *lists = ((struct fetching *)context)->lists;

    lists->lists = memory_resize(lists->lists, lists->count + 1, sizeof(*lists->lists));
    lists->lists[lists->count++] = mailq_list_new(message->jobs_of.directory);
    return true;
}

/* sendmail says so as it finds it, and a listing adds an error number that was left over. */
static void
tell_irregular(const struct fetching *fetching, const char *name)
{
    const struct mailq_lists *lists = fetching->lists;
    bool is_listing = fetching->options->mode == SENDMAIL_PRINT;

    if (is_listing || fetching->options->verbose)
        printf("gatherq: %s/%s is not a regular file%s\n",
            lists->lists[lists->count - 1]->directory, name,
            is_listing ? ": No such file or directory" : "");
}

static bool
take_job(void *context, const struct message *message)
{
    struct fetching *fetching = context;
    struct mailq_lists *lists = fetching->lists;
    const struct message_queue_job *job = &message->queue_job;
    struct bytes details;

    if (lists->count == 0 || strlen(job->name) < 3)
        return true;
    if (job->irregular != 0) {
        lists->irregular = true;
        tell_irregular(fetching, job->name);
        return true;
    }
    fetching->details =
        memory_resize(fetching->details, fetching->details_size + job->details.size + 1, 1);
    memcpy(fetching->details + fetching->details_size, job->details.data, job->details.size);
    fetching->details_size += job->details.size;
    if (job->more != 0)
        return true;
    details = (struct bytes){fetching->details, fetching->details_size};
    mailq_list_add(lists->lists[lists->count - 1], fetching->options,
        mailq_job_new(job->name, job->size, job->locked != 0, &details));
    fetching->details_size = 0;
    return true;
}

int
mailq_fetch(struct mailq_lists *lists, const struct sendmail_options *options)
{
    static const struct conversation_handler HANDLERS[] = {
        {MESSAGE_JOBS_OF, take_queue}, {MESSAGE_QUEUE_JOB, take_job}};
    struct fetching fetching = {.lists = lists, .options = options};
    const struct conversation conversation = {
        .handlers = HANDLERS, .handler_count = 2, .context = &fetching};
    const char *directory = sendmail_directory(options);
    struct message question = {.type = MESSAGE_ASK_JOBS};
    int status;

    *lists = (struct mailq_lists){.count = 0};
    if (directory == NULL)
        return EX_CONFIG;
    question.ask_jobs.letter = options->selection.queue == 'Q'   ? 'h'
                               : options->selection.queue == 'L' ? 'Q'
                                                                 : 'q';
    question.ask_jobs.directory = directory;
    status = sendmail_ask(options, &conversation, &question);
    free(fetching.details);
    return status;
}

void
mailq_lists_free(struct mailq_lists *lists)
{
    for (size_t i = 0; i < lists->count; i++)
        mailq_list_free(lists->lists[i]);
    free(lists->lists);
    *lists = (struct mailq_lists){.count = 0};
}
