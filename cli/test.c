#include <stdio.h>
#include <sysexits.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/output.h"

static bool
print_dialogue(void *context, const struct message *message)
{
    (void)context;
    output_text(stdout, message->dialogue.line);
    putchar('\n');
    return fflush(stdout) == 0;
}

/* What works is the result; what does not is a problem, as everywhere. */
static int
print_sentence(void *context, int status, const char *words)
{
    if (status != EX_OK)
        return conversation_answered(context, status, words);
    output_text(stdout, words);
    putchar('\n');
    return status;
}

int
command_test(const struct options *options, const char *sender, const char *address)
{
    static const struct conversation_handler HANDLERS[] = {{MESSAGE_DIALOGUE, print_dialogue}};
    struct conversation conversation = {
        .handlers = HANDLERS, .handler_count = 1, .answered = print_sentence, .is_all = true};
    struct message question = {
        MESSAGE_ASK_TEST, .ask_test = {.sender = sender, .address = address}};

    if (sender[0] == '\0')
        return options_complain("test is for one account: give its address in place of @");
    return connection_ask(options, CONNECTION_ANY, &conversation, &question);
}
