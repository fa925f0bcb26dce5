/*
 * smailer-token: gets the tokens that accounts log in with; see smailer-token(8).
 */
#include "lib/service.h"
#include "token/account.h"
#include "token/answer.h"
#include "token/command.h"

static bool
start(int inheritance, struct error *error)
{
    (void)inheritance;
    answer_prepare();
    accounts_open();
    return commands_open(error);
}

static const struct service_handler HANDLERS[] = {
    {MESSAGE_ASK_TOKEN, account_handle_ask},
};

static const struct service SERVICE = {
    .role = ROLE_TOKEN,
    .start = start,
    .handlers = HANDLERS,
    .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
};

int
main(int argc, char **argv)
{
    int status = service_main(&SERVICE, argc, argv);

    commands_end();
    return status;
}
