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
    if (is_said)
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

/* Tries the jobs NAMES, all where it is NULL. */
static int
ask_run(const struct sendmail_options *options, const struct names *names)
{
    static const struct conversation_handler HANDLERS[] = {{MESSAGE_DIALOGUE, show_line}};
    struct showing showing = {.host = ""};
    const struct conversation conversation = {
        .handlers = HANDLERS, .handler_count = 1, .context = &showing};
    int status;
    const char *directory = sendmail_directory(options);
    struct message question = {.type = MESSAGE_ASK_RUN};

    if (directory == NULL)
        return EX_CONFIG;
    question.ask_run.directory = directory;
    question.ask_run.verbose = options->verbose;
    if (names != NULL) {
        question.ask_run.selected = 1;
        question.ask_run.names = (struct bytes){names->text, names->used};
    }
    status = sendmail_ask(options, &conversation, &question);
    show_sent(&showing);
    return status;
}

/* A run with a worse end than the others is what is told of. */
static int
worse(int left, int right)
{
    return left > right ? left : right;
}

/* Tries what was selected of LIST, in as many runs as it takes. */
static int
run_list(const struct sendmail_options *options, const struct mailq_list *list)
{
    struct names *names = memory_new(1, sizeof(*names));
    int status = EX_OK;

    for (size_t i = 0; i < list->count; i++) {
        size_t size = strlen(list->jobs[i]->name) + 1;

        if (names->used + size > NAMES_MAX) {
            status = worse(status, ask_run(options, names));
            names->used = 0;
        }
        memcpy(names->text + names->used, list->jobs[i]->name, size);
        names->used += size;
    }
    if (names->used > 0)
        status = worse(status, ask_run(options, names));
    free(names);
    return status;
}

static int
run_selected(const struct sendmail_options *options)
{
    struct mailq_lists lists;
    int status = mailq_fetch(&lists, options);

    for (size_t i = 0; i < lists.count && status == EX_OK; i++)
        status = run_list(options, lists.lists[i]);
    mailq_lists_free(&lists);
    return status;
}

/* One job after the other, for somebody who watches. */
static int
show_job(const struct sendmail_options *options, const struct mailq_list *list, size_t number)
{
    const struct mailq_job *job = list->jobs[number];
    struct names *names;
    int status;

    printf("\nRunning %s/%s (sequence %zu of %zu)\n", list->directory, job->name + 2, number + 1,
        list->count);
    if (job->locked) {
        printf("%s: locked\n", job->name + 2);
        return EX_OK;
    }
    fflush(stdout);
    names = memory_new(1, sizeof(*names));
    names->used = strlen(job->name) + 1;
    memcpy(names->text, job->name, names->used);
    status = ask_run(options, names);
    free(names);
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

/* Leaves the jobs of LIST that BEFORE has. */
static void
leave_out_seen(struct mailq_list *list, const struct mailq_lists *before)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct mailq_job *job = list->jobs[i];

        if (mailq_lists_have(before, list->directory, job->name))
            mailq_job_free(job);
        else
            list->jobs[kept++] = job;
    }
    list->count = kept;
}

/* Shows the jobs of LISTS but those of BEFORE. */
static int
show_lists(const struct sendmail_options *options, const struct mailq_lists *lists,
    const struct mailq_lists *before)
{
    int status = EX_OK;

    for (size_t i = 0; i < lists->count; i++) {
        struct mailq_list *list = lists->lists[i];

        leave_out_young(options, list);
        leave_out_seen(list, before);
        mailq_list_sort(list, options->order);
        if (list->count == 0 && before->count == 0)
            putchar('\n');
        for (size_t job = 0; job < list->count; job++)
            status = worse(status, show_job(options, list, job));
    }
    return status;
}

/* Whoever is told of a mail that failed is told in the same run. */
static int
run_shown(const struct sendmail_options *options)
{
    const struct mailq_lists nothing = {.count = 0};
    struct mailq_lists lists;
    struct mailq_lists notices;
    int status = mailq_fetch(&lists, options);

    if (status == EX_OK)
        status = show_lists(options, &lists, &nothing);
    if (status == EX_OK && lists.irregular)
        status = EX_SOFTWARE;
    if (status == EX_NOUSER && options->selection.count == 0) {
        if (mailq_fetch(&notices, options) == EX_OK)
            show_lists(options, &notices, &lists);
        mailq_lists_free(&notices);
    }
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
    return options->selection.count > 0 ? run_selected(options) : ask_run(options, NULL);
}
