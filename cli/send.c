#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/progress.h"

struct sending {
    bool is_shown; /* progress, on a terminal */
    bool json;
    struct progress progress;
};

static bool
take_progress(void *context, const struct message *message)
{
    struct sending *sending = context;
    const struct message_run_progress *said = &message->run_progress;
    char line[PROGRESS_LINE_SIZE];

    sending->progress =
        (struct progress){said->total, said->sent, said->deferred, said->dropped, said->skipped};
    if (!sending->is_shown)
        return true;
    printf("\r%s\033[K",
        progress_line(line, sizeof(line), &sending->progress, progress_terminal_width()));
    return fflush(stdout) == 0;
}

static void
print_json(const struct progress *progress)
{
    json_t *object = json_object();

    json_object_set_new(object, "sent", json_of_count(progress->sent));
    json_object_set_new(object, "deferred", json_of_count(progress->deferred));
    json_object_set_new(object, "dropped", json_of_count(progress->dropped));
    json_print(object);
}

static int
print_result(void *context, int status, const char *words)
{
    const struct sending *sending = context;
    const struct progress *progress = &sending->progress;

    if (sending->is_shown)
        fputs("\r\033[K", stdout);
    if (status == EX_OK || status == EX_UNAVAILABLE) {
        if (sending->json)
            print_json(progress);
        else
            printf("%" PRIu64 " sent, %" PRIu64 " deferred, %" PRIu64 " dropped\n", progress->sent,
                progress->deferred, progress->dropped);
    }
    fflush(stdout);
    return conversation_answered(NULL, status, words);
}

int
command_send(const struct options *options, const char *sender, const char *address)
{
    static const struct conversation_handler HANDLERS[] = {{MESSAGE_RUN_PROGRESS, take_progress}};
    struct sending sending = {
        .is_shown = isatty(STDOUT_FILENO) == 1 && !options->json, .json = options->json};
    struct conversation conversation = {.handlers = HANDLERS,
        .handler_count = 1,
        .answered = print_result,
        .context = &sending,
        .is_all = true};
    struct message question = {MESSAGE_ASK_SEND, .ask_send = {.force = 1, .sender = sender}};

    (void)address;
    question.ask_send.sid = options->sid != NULL ? options->sid : "";
    return connection_ask(options, options->testing != NULL ? CONNECTION_OWN : CONNECTION_ANY,
        &conversation, &question);
}
