#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <bsd/string.h>

#include "cli/mailq_fetch.h"
#include "cli/output.h"
#include "cli/sendmail_command.h"
#include "lib/memory.h"
#include "lib/text.h"

/* What is shown of a run, where a line depends on those before. */
struct showing {
    const struct mailq_list *list; /* the jobs, in their order */
    size_t shown; /* how many of them are begun */
    char host[300]; /* that the last connection was made to */
    char recipients[2000]; /* who got the mail, not shown yet; "" for none */
    char words[1001]; /* and what the server said */
};

static const char CONNECTING[] = "... Connecting to ";
static const char SENT[] = "... Sent (";

static void
show_text(const char *before, const char *text)
{
    fputs(before, stdout);
    output_text(stdout, text);
    putchar('\n');
}

static void
show_sent(struct showing *showing)
{
    if (showing->recipients[0] == '\0')
        return;
    output_text(stdout, showing->recipients);
    show_text("", showing->words);
    showing->recipients[0] = '\0';
}

/* Recipients of whom the server said the same stand in one line. */
static void
gather_sent(struct showing *showing, const char *line, const char *words)
{
    size_t used = strlen(showing->recipients);
    int length = (int)(words - line);

    if (used > 0 && (strcmp(showing->words, words) != 0 ||
                        used + (size_t)length + 2 > sizeof(showing->recipients))) {
        show_sent(showing);
        used = 0;
    }
    text_format(showing->recipients + used, sizeof(showing->recipients) - used, "%s%.*s",
        used > 0 ? "," : "", length, line);
    strlcpy(showing->words, words, sizeof(showing->words));
}

static void
show_said(struct showing *showing, const char *line)
{
    if (line[0] == '(')
        return; /* how much content there was */
    if (strcmp(line, "QUIT") == 0)
        show_text("Closing connection to ", showing->host);
    show_text(">>> ", line);
}

static void
show_event(struct showing *showing, const char *line)
{
    const char *host = strstr(line, CONNECTING);

    if (host != NULL) {
        host += sizeof(CONNECTING) - 1;
        text_format(showing->host, sizeof(showing->host), "%.*s", (int)strcspn(host, " "), host);
    }
    show_text("", line);
}

/* The beginning of the next job; those that others have are only named. False where that was one.
 */
static bool
show_job(struct showing *showing)
{
    const struct mailq_list *list = showing->list;
    const struct mailq_job *job = list->jobs[showing->shown++];

    printf("\nRunning %s/%s (sequence %zu of %zu)\n", list->directory, job->name + 2,
        showing->shown, list->count);
    if (job->locked)
        printf("%s: locked\n", job->name + 2);
    fflush(stdout);
    return !job->locked;
}

static void
show_next_job(struct showing *showing)
{
    while (showing->shown < showing->list->count && !show_job(showing))
        continue;
}

/* A line of the dialogue as sendmail shows it: what the server says as it is. */
static bool
show_line(void *context, const struct message *message)
{
    const char *line = message->dialogue.line;
    const char *sent = strstr(line, SENT);
    bool is_said = strncmp(line, "C: ", 3) == 0;
    bool is_heard = strncmp(line, "S: ", 3) == 0;

    if (!is_said && !is_heard && sent != NULL) {
        gather_sent(context, line, sent);
        return true;
    }
    show_sent(context);
    if (line[0] == '\0')
        show_next_job(context);
    else if (is_said)
        show_said(context, line + 3);
    else if (is_heard)
        show_text("", line + 3);
    else
        show_event(context, line);
    return output_is_well();
}

/* Octets of names in one question. */
#define NAMES_MAX 65000

/* Control file names, each with its NUL. */
struct names {
    char text[NAMES_MAX];
    size_t used;
};

/* Tries the jobs NAMES, all where it is NULL; SHOWING what happens, or NULL. */
static int
ask_run(const struct sendmail_options *options, const struct names *names, struct showing *showing)
{
    static const struct conversation_handler HANDLERS[] = {{MESSAGE_DIALOGUE, show_line}};
    const struct conversation conversation = {
        .handlers = HANDLERS, .handler_count = showing != NULL, .context = showing};
    const char *directory = sendmail_directory(options);
    struct message question = {.type = MESSAGE_ASK_RUN};

    if (directory == NULL)
        return EX_CONFIG;
    question.ask_run.directory = directory;
    question.ask_run.verbose = showing != NULL;
    if (names != NULL) {
        question.ask_run.selected = 1;
        question.ask_run.names = (struct bytes){names->text, names->used};
    }
    return sendmail_ask(options, &conversation, &question);
}

/* A run with a worse end than the others is what is told of. */
static int
worse(int left, int right)
{
    return left > right ? left : right;
}

/* Tries what is in LIST, in as many runs as it takes. */
static int
run_list(
    const struct sendmail_options *options, const struct mailq_list *list, struct showing *showing)
{
    struct names *names = memory_new(1, sizeof(*names));
    int status = EX_OK;

    for (size_t i = 0; i < list->count; i++) {
        size_t size = strlen(list->jobs[i]->name) + 1;

        if (showing != NULL && list->jobs[i]->locked)
            continue;
        if (names->used + size > NAMES_MAX) {
            status = worse(status, ask_run(options, names, showing));
            names->used = 0;
        }
        memcpy(names->text + names->used, list->jobs[i]->name, size);
        names->used += size;
    }
    if (names->used > 0)
        status = worse(status, ask_run(options, names, showing));
    free(names);
    return status;
}

static int
run_selected(const struct sendmail_options *options)
{
    struct mailq_lists lists;
    int status = mailq_fetch(&lists, options);

    for (size_t i = 0; i < lists.count && status == EX_OK; i++)
        status = run_list(options, lists.lists[i], NULL);
    mailq_lists_free(&lists);
    return status;
}

/* The same for somebody who watches. */
static int
show_list(const struct sendmail_options *options, const struct mailq_list *list)
{
    struct showing showing = {.list = list};
    int status = run_list(options, list, &showing);

    show_sent(&showing);
    show_next_job(&showing);
    return status;
}

/* Jobs that were tried not long ago wait, unless they were asked for. */
static void
leave_out_young(const struct sendmail_options *options, struct mailq_list *list)
{
    int64_t now = (int64_t)time(NULL);
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct mailq_job *job = list->jobs[i];

        if (options->selection.count == 0 && mailq_job_is_young(job, options->least_age, now))
            mailq_job_free(job);
        else
            list->jobs[kept++] = job;
    }
    list->count = kept;
}

static int
run_shown(const struct sendmail_options *options)
{
    struct mailq_lists lists;
    int status = mailq_fetch(&lists, options);

    bool is_fetched = status == EX_OK;

    for (size_t i = 0; i < lists.count && is_fetched; i++) {
        leave_out_young(options, lists.lists[i]);
        mailq_list_sort(lists.lists[i], options->order);
        if (lists.lists[i]->count == 0)
            putchar('\n');
        status = worse(status, show_list(options, lists.lists[i]));
    }
    if (status == EX_OK && lists.irregular)
        status = EX_SOFTWARE;
    mailq_lists_free(&lists);
    return status;
}

/* With -OQueueLA, as sendmail has it. */
static bool
is_too_busy(const struct sendmail_options *options)
{
    double load = 0;

    return options->load >= 0 && getloadavg(&load, 1) == 1 && load + 0.5 >= (double)options->load;
}

int
sendmail_run(const struct sendmail_options *options)
{
    int status;

    if (sendmail_directory(options) == NULL)
        return output_end(EX_CONFIG);
    if (is_too_busy(options)) {
        if (options->verbose)
            puts("Skipping queue run -- load average too high");
        return output_end(EX_OK);
    }
    if (options->verbose)
        return output_end(run_shown(options));
    if (!options->foreground && !sendmail_detach(&status))
        return status;
    return options->selection.count > 0 ? run_selected(options) : ask_run(options, NULL, NULL);
}
