#include <stdio.h>

#include <jansson.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/table.h"
#include "lib/role.h"

static bool
take_program(void *document, const struct message *message)
{
    const struct message_status_program *said = &message->status_program;
    json_t *object = json_object();

    json_object_set_new(object, "program", json_string(role_name((enum role)said->role)));
    json_object_set_new(object, "instance", json_of_count(said->instance));
    json_object_set_new(object, "pid", json_of_count(said->pid));
    json_object_set_new(object, "generation", json_of_count(said->generation));
    json_object_set_new(object, "age", json_of_age(said->age_ms));
    json_object_set_new(object, "restarts", json_of_count(said->restarts));
    return json_array_append_new(json_object_get(document, "programs"), object) == 0;
}

static bool
take_worker(void *document, const struct message *message)
{
    const struct message_status_worker *said = &message->status_worker;
    json_t *object = json_object();

    json_object_set_new(object, "worker", json_of_count(said->worker));
    json_object_set_new(object, "pid", said->pid != 0 ? json_of_count(said->pid) : json_null());
    json_object_set_new(object, "age", json_of_age(said->age_ms));
    json_object_set_new(object, "in_hand", json_of_count(said->in_hand));
    json_object_set_new(object, "account", json_of_text(said->account));
    json_object_set_new(object, "relay", json_of_optional(said->relay));
    return json_array_append_new(json_object_get(document, "workers"), object) == 0;
}

static bool
take_queue(void *document, const struct message *message)
{
    const struct message_status_queue *said = &message->status_queue;
    json_t *object = json_object();

    json_object_set_new(object, "sid", json_of_text(said->sid));
    json_object_set_new(object, "queue", json_of_text(said->section));
    json_object_set_new(object, "waiting", json_of_count(said->waiting));
    json_object_set_new(object, "deferred", json_of_count(said->deferred));
    json_object_set_new(object, "sent", json_of_count(said->sent));
    json_object_set_new(object, "dropped", json_of_count(said->dropped));
    json_object_set_new(object, "in_hand", json_of_count(said->in_hand));
    json_object_set_new(object, "parked", json_of_count(said->parked));
    json_object_set_new(object, "problem", json_of_optional(said->problem));
    return json_array_append_new(json_object_get(document, "queues"), object) == 0;
}

static bool
take_account(void *document, const struct message *message)
{
    const struct message_status_account *said = &message->status_account;
    json_t *object = json_object();

    json_object_set_new(object, "account", json_of_text(said->address));
    json_object_set_new(object, "relay", json_of_optional(said->relay));
    json_object_set_new(object, "connections", json_of_count(said->connections));
    json_object_set_new(object, "in_hand", json_of_count(said->in_hand));
    json_object_set_new(object, "sent", json_of_count(said->sent));
    json_object_set_new(object, "deferred", json_of_count(said->deferred));
    json_object_set_new(object, "dropped", json_of_count(said->dropped));
    json_object_set_new(object, "per_minute", json_of_count(said->per_minute));
    json_object_set_new(object, "down_until", json_of_time(said->down_until / 1000));
    json_object_set_new(object, "problem", json_of_optional(said->problem));
    return json_array_append_new(json_object_get(document, "accounts"), object) == 0;
}

static const struct conversation_handler HANDLERS[] = {
    {MESSAGE_STATUS_PROGRAM, take_program},
    {MESSAGE_STATUS_WORKER, take_worker},
    {MESSAGE_STATUS_QUEUE, take_queue},
    {MESSAGE_STATUS_ACCOUNT, take_account},
};

static const struct section {
    const char *key;
    const char *title;
    struct column columns[TABLE_COLUMNS_MAX];
} SECTIONS[] = {
    {"programs", "Programs",
        {{"program", "program", COLUMN_TEXT}, {"pid", "pid", COLUMN_NUMBER},
            {"instance", "instance", COLUMN_NUMBER}, {"generation", "generation", COLUMN_NUMBER},
            {"age", "up", COLUMN_AGE}, {"restarts", "restarts", COLUMN_NUMBER},
            {NULL, NULL, COLUMN_TEXT}}},
    {"workers", "Connections",
        {{"worker", "worker", COLUMN_NUMBER}, {"pid", "pid", COLUMN_NUMBER},
            {"age", "up", COLUMN_AGE}, {"in_hand", "in hand", COLUMN_NUMBER},
            {"account", "account", COLUMN_TEXT}, {"relay", "relay", COLUMN_TEXT},
            {NULL, NULL, COLUMN_TEXT}}},
    {"queues", "Mails in the bases",
        {{"sid", "sid", COLUMN_TEXT}, {"queue", "section", COLUMN_TEXT},
            {"waiting", "waiting", COLUMN_NUMBER}, {"deferred", "deferred", COLUMN_NUMBER},
            {"sent", "sent", COLUMN_NUMBER}, {"dropped", "dropped", COLUMN_NUMBER},
            {"in_hand", "in hand", COLUMN_NUMBER}, {"parked", "parked", COLUMN_NUMBER},
            {NULL, NULL, COLUMN_TEXT}}},
    {"accounts", "Accounts since the start",
        {{"account", "account", COLUMN_TEXT}, {"relay", "relay", COLUMN_TEXT},
            {"connections", "connections", COLUMN_NUMBER}, {"in_hand", "in hand", COLUMN_NUMBER},
            {"sent", "sent", COLUMN_NUMBER}, {"deferred", "deferred", COLUMN_NUMBER},
            {"dropped", "dropped", COLUMN_NUMBER}, {"per_minute", "per minute", COLUMN_NUMBER},
            {NULL, NULL, COLUMN_TEXT}}},
};

/* "foo@example.com (smtp.example.com): down until 2026-...: connection refused" */
static void
print_problem(const json_t *object, const char *name_key, const char *beside_key)
{
    const char *name = json_string_value(json_object_get(object, name_key));
    const char *beside = json_string_value(json_object_get(object, beside_key));
    const char *until = json_string_value(json_object_get(object, "down_until"));
    const char *problem = json_string_value(json_object_get(object, "problem"));

    fputs("  ", stdout);
    output_text(stdout, name);
    printf(" (");
    output_text(stdout, beside != NULL ? beside : "-");
    printf("): %s%s%s", until != NULL ? "down until " : "", until != NULL ? until : "",
        until != NULL && problem != NULL ? ": " : "");
    output_text(stdout, problem != NULL ? problem : "");
    putchar('\n');
}

static bool
has_problem(const json_t *object)
{
    return json_is_string(json_object_get(object, "problem")) ||
           json_is_string(json_object_get(object, "down_until"));
}

/* Relays that are down and bases that cannot be used. */
static void
print_problems(const json_t *document)
{
    static const struct {
        const char *key;
        const char *name_key;
        const char *beside_key;
    } LISTS[] = {{"queues", "sid", "queue"}, {"accounts", "account", "relay"}};
    bool is_titled = false;

    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++) {
        const json_t *list = json_object_get(document, LISTS[i].key);

        for (size_t j = 0; j < json_array_size(list); j++) {
            if (!has_problem(json_array_get(list, j)))
                continue;
            if (!is_titled)
                puts("\nProblems");
            is_titled = true;
            print_problem(json_array_get(list, j), LISTS[i].name_key, LISTS[i].beside_key);
        }
    }
}

static void
print_sections(const json_t *document)
{
    const char *separator = "";

    for (size_t i = 0; i < sizeof(SECTIONS) / sizeof(SECTIONS[0]); i++) {
        const json_t *rows = json_object_get(document, SECTIONS[i].key);

        if (json_array_size(rows) == 0)
            continue;
        printf("%s%s\n", separator, SECTIONS[i].title);
        table_print(stdout, SECTIONS[i].columns, rows);
        separator = "\n";
    }
    print_problems(document);
}

/* Both print what there is also where a program did not answer in time; WORDS then say so. */

static int
print_json(void *document, int status, const char *words)
{
    json_object_set_new(document, "problem", json_of_optional(words));
    json_print(json_incref(document));
    fflush(stdout);
    return conversation_answered(NULL, status, words);
}

static int
print_tables(void *document, int status, const char *words)
{
    print_sections(document);
    fflush(stdout);
    return conversation_answered(NULL, status, words);
}

int
command_status(const struct options *options, const char *sender, const char *address)
{
    json_t *document = json_object();
    struct conversation conversation = {.handlers = HANDLERS,
        .handler_count = sizeof(HANDLERS) / sizeof(HANDLERS[0]),
        .answered = options->json ? print_json : print_tables,
        .context = document,
        .is_all = true};
    int status;

    (void)sender;
    (void)address;
    for (size_t i = 0; i < sizeof(SECTIONS) / sizeof(SECTIONS[0]); i++)
        json_object_set_new(document, SECTIONS[i].key, json_array());
    status = connection_ask(
        options, CONNECTION_RUNNING, &conversation, &(struct message){.type = MESSAGE_ASK_STATUS});
    json_decref(document);
    return status;
}
