#include <stdio.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/output.h"

static bool
print_script(void *context, const struct message *message)
{
    const struct bytes *text = &message->script.text;

    (void)context;
    fwrite(text->data, 1, text->size, stdout);
    return output_is_well();
}

int
command_init(const struct options *options, const char *sender, const char *address)
{
    static const struct conversation_handler HANDLERS[] = {{MESSAGE_SCRIPT, print_script}};
    struct conversation conversation = {.handlers = HANDLERS, .handler_count = 1, .is_all = true};
    const struct message question = {MESSAGE_ASK_INIT,
        .ask_init = {.print = options->print, .sid = options->sid != NULL ? options->sid : ""}};

    (void)sender;
    (void)address;
    if (options->sid == NULL)
        return options_complain("init needs --sid: the base whose table is to be prepared");
    return connection_ask(options, CONNECTION_ANY, &conversation, &question);
}
