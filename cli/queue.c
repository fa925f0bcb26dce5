#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/output.h"
#include "queue/queue.h"

#define STATES_BY_DEFAULT ((1U << MAIL_WAITING) | (1U << MAIL_DEFERRED) | (1U << MAIL_HELD))

#define STATE_NAME(value, name) name,
static const char *const STATE_NAMES[] = {MAIL_STATES(STATE_NAME)};

/* The recipient after RECIPIENT (NULL: the first) in BYTES, each of which ends with a NUL; NULL
 * after the last. */
static const char *
next_recipient(const struct bytes *bytes, const char *recipient)
{
    const char *first = bytes->data;
    const char *next = recipient == NULL ? first : recipient + strlen(recipient) + 1;
    size_t left = bytes->size - (size_t)(next - first);

    return left > 0 && memchr(next, '\0', left) != NULL ? next : NULL;
}

/* ID: (sender => recipient), as scripts know it; a mail whose file does not say so, with why. */
static bool
print_line(void *context, const struct message *message)
{
    const struct message_entry *entry = &message->entry;
    const char *recipient = NULL;
    const char *separator = "";

    (void)context;
    output_text(stdout, entry->base);
    if (entry->base[0] != '\0')
        putchar('/');
    output_text(stdout, entry->id);
    fputs(": (", stdout);
    output_text(stdout, entry->sender);
    fputs(" => ", stdout);
    while ((recipient = next_recipient(&entry->recipients, recipient)) != NULL) {
        fputs(separator, stdout);
        output_text(stdout, recipient);
        separator = ", ";
    }
    putchar(')');
    if (entry->sender[0] == '\0' && entry->recipients.size == 0 && entry->error[0] != '\0') {
        putchar(' ');
        output_text(stdout, entry->error);
    }
    putchar('\n');
    return output_is_well();
}

static json_t *
list_recipients(const struct bytes *bytes)
{
    json_t *recipients = json_array();

    for (const char *each = next_recipient(bytes, NULL); each != NULL;
         each = next_recipient(bytes, each))
        json_array_append_new(recipients, json_of_text(each));
    return recipients;
}

static bool
print_object(void *context, const struct message *message)
{
    const struct message_entry *entry = &message->entry;
    json_t *object = json_object();

    (void)context;
    json_object_set_new(object, "sid", json_of_text(entry->sid));
    json_object_set_new(object, "queue", json_of_text(entry->section));
    json_object_set_new(object, "id", json_of_text(entry->id));
    json_object_set_new(object, "file", json_of_text(entry->file));
    json_object_set_new(object, "state",
        json_of_text(entry->state < MAIL_STATE_COUNT ? STATE_NAMES[entry->state] : "unknown"));
    json_object_set_new(object, "sender", json_of_optional(entry->sender));
    json_object_set_new(object, "recipients", list_recipients(&entry->recipients));
    json_object_set_new(object, "subject", json_of_optional(entry->subject));
    json_object_set_new(object, "size", json_of_count(entry->size));
    json_object_set_new(object, "created", json_of_time(entry->time));
    json_object_set_new(object, "attempts", json_of_count(entry->attempts));
    json_object_set_new(object, "next_attempt", json_of_time(entry->next_try / 1000));
    json_object_set_new(object, "error", json_of_optional(entry->error));
    json_print(object);
    return output_is_well();
}

int
command_queue(const struct options *options, const char *sender, const char *address)
{
    const struct conversation_handler handlers[] = {
        {MESSAGE_ENTRY, options->json ? print_object : print_line},
    };
    struct conversation conversation = {.handlers = handlers, .handler_count = 1, .is_all = true};
    struct message question = {
        MESSAGE_ASK_QUEUE, .ask_queue = {.states = options->states, .sender = sender}};

    (void)address;
    if (question.ask_queue.states == 0)
        question.ask_queue.states = STATES_BY_DEFAULT;
    question.ask_queue.sid = options->sid != NULL ? options->sid : "";
    return connection_ask(options, CONNECTION_ANY, &conversation, &question);
}
