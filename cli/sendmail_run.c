#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/mailq_fetch.h"
#include "cli/output.h"
#include "cli/sendmail_command.h"
#include "lib/memory.h"

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
    const struct conversation conversation = {.handler_count = 0};
    const char *directory = sendmail_directory(options);
    struct message question = {.type = MESSAGE_ASK_RUN};

    if (directory == NULL)
        return EX_CONFIG;
    question.ask_run.directory = directory;
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

int
sendmail_run(const struct sendmail_options *options)
{
    int status;

    if (sendmail_directory(options) == NULL)
        return output_end(EX_CONFIG);
    if (!options->foreground && !sendmail_detach(&status))
        return status;
    return options->selection.count > 0 ? run_selected(options) : ask_run(options, NULL);
}
