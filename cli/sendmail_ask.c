#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/connection.h"
#include "cli/output.h"
#include "cli/sendmail_command.h"
#include "lib/text.h"

/* The answer, kept until it is clear that no other program has to be asked. */
struct asking {
    const struct conversation *conversation;
    int status;
    char words[2001];
};

static int
keep_answer(void *context, int status, const char *words)
{
    struct asking *asking = context;

    asking->status = status;
    text_format(asking->words, sizeof(asking->words), "%s", words);
    return status;
}

/* The handlers see their own context, and the answer is kept here. */
static int
ask_once(struct asking *asking, const struct options *options, enum connection_choice choice,
    const struct message *question)
{
    struct conversation conversation = *asking->conversation;

    asking->status = -1;
    conversation.answered = keep_answer;
    conversation.answer_context = asking;
    return connection_ask(options, choice, &conversation, question);
}

int
sendmail_ask(const struct sendmail_options *options, const struct conversation *conversation,
    const struct message *question)
{
    struct asking asking = {.conversation = conversation};
    const char *directory = sendmail_directory(options);
    struct options common = {.configuration_directory = options->configuration};
    int status;

    if (directory == NULL)
        return EX_CONFIG;
    common.mqueue = directory[0] != '\0' ? directory : NULL;
    status = ask_once(&asking, &common, CONNECTION_ANY, question);
    if (asking.status == EX_NOINPUT && common.mqueue != NULL)
        status = ask_once(&asking, &common, CONNECTION_BESIDE, question);
    if (asking.status > 0)
        conversation_answered(NULL, asking.status, asking.words);
    return status;
}

const char *
sendmail_directory(const struct sendmail_options *options)
{
    static char path[PATH_MAX];

    if (options->queue_directory == NULL)
        return "";
    if (realpath(options->queue_directory, path) != NULL && access(path, X_OK) == 0)
        return path;
    fputs("can not chdir(", stdout);
    output_text(stdout, options->queue_directory);
    printf("/): %s\n", strerror(errno));
    return NULL;
}

bool
sendmail_detach(int *status)
{
    pid_t child;
    int nothing;

    *status = EX_OK;
    fflush(stdout);
    child = fork();
    if (child < 0)
        *status = output_problem(EX_OSERR, "fork: %s", strerror(errno));
    if (child != 0)
        return false;
    setsid();
    nothing = open("/dev/null", O_RDWR);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO && nothing >= 0; i++)
        dup2(nothing, i);
    if (nothing > STDERR_FILENO)
        close(nothing);
    return true;
}
