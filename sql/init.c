#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "sql/init.h"
#include "sql/session.h"
#include "sql/side.h"

/* One at a time. */
static struct {
    uint32_t request; /* 0: none */
    bool print;
    size_t step;
    char words[2001]; /* what could not be done */
} init;

static void next_step(void);

static void
end(int status, const char *words)
{
    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_INIT_END,
            .init_end = {.request = init.request, .status = (uint32_t)status, .words = words}});
    init.request = 0;
    session_hurry();
}

/* What the database refuses is told, and the rest done. */
static void
did(void *context, const PGresult *result)
{
    const char *what;
    char *statement;
    char words[300];

    (void)context;
    if (init.request == 0)
        return;
    if (result == NULL) {
        end(EX_TEMPFAIL, side_problem());
        return;
    }
    statement = statement_init(init.step, session_table(), session_queue(), &what);
    free(statement);
    if (!database_succeeded(result)) {
        database_words(result, words, sizeof(words));
        strlcat(init.words, init.words[0] != '\0' ? "; " : "", sizeof(init.words));
        strlcat(init.words, what, sizeof(init.words));
        strlcat(init.words, ": ", sizeof(init.words));
        strlcat(init.words, words, sizeof(init.words));
    }
    init.step++;
    next_step();
}

static void
end_steps(void)
{
    char words[2001];

    if (init.words[0] == '\0') {
        end(EX_OK, "");
        return;
    }
    text_format(words, sizeof(words),
        "not everything could be made: %.1500s. The table's owner can: smailer --sid=%.200s init "
        "--print shows the SQL. Without the trigger, new rows are found by polling only.",
        init.words, session_queue()->section);
    end(EX_NOPERM, words);
}

static void
next_step(void)
{
    const char *what;
    char *statement = statement_init(init.step, session_table(), session_queue(), &what);

    if (statement == NULL) {
        end_steps();
        return;
    }
    side_query(statement, 0, NULL, did, NULL);
    free(statement);
}

static void
print(void)
{
    const char *what;
    char *statement;

    for (size_t i = 0;
         (statement = statement_init(i, session_table(), session_queue(), &what)) != NULL; i++) {
        char *line = memory_format("%s;\n", statement);

        service_send(service_peer(ROLE_CONTROL, 0),
            &(struct message){.type = MESSAGE_SCRIPT,
                .script = {.request = init.request, .text = {line, strlen(line)}}});
        free(line);
        free(statement);
    }
    end(EX_OK, "");
}

static void
begin(void *context)
{
    (void)context;
    if (init.request == 0)
        return;
    if (session_table() == NULL)
        end(EX_UNAVAILABLE, session_problem());
    else if (init.print)
        print();
    else
        next_step();
}

void
init_handle(struct channel *from, const struct message *message)
{
    if (init.request != 0) {
        service_send(from, &(struct message){.type = MESSAGE_INIT_END,
                               .init_end = {.request = message->init.request,
                                   .status = EX_TEMPFAIL,
                                   .words = "somebody else does it just now"}});
        return;
    }
    init.request = message->init.request;
    init.print = message->init.print != 0;
    init.step = 0;
    init.words[0] = '\0';
    session_await(begin, NULL);
}
