#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/message.h"

/* A function a message, so that offsetof has a name for its struct. */
#define MESSAGE(NAME, name, from, to, fields)                                                      \
    static const struct field *fields_of_##name(void)                                              \
    {                                                                                              \
        typedef struct message_##name current;                                                     \
        /* NOLINTNEXTLINE(bugprone-macro-parentheses): a list with its commas */                   \
        static const struct field table[] = {fields{NULL, FIELD_END, sizeof(current), 0}};         \
        return table;                                                                              \
    }
#define U32(name) {#name, FIELD_U32, offsetof(current, name), 0},
#define U64(name) {#name, FIELD_U64, offsetof(current, name), 0},
#define I64(name) {#name, FIELD_I64, offsetof(current, name), 0},
#define TEXT(name, limit) {#name, FIELD_TEXT, offsetof(current, name), limit},
#define PRIVATE(name, limit) {#name, FIELD_PRIVATE, offsetof(current, name), limit},
#define BYTES(name, limit) {#name, FIELD_BYTES, offsetof(current, name), limit},
#define DESCRIPTOR(name) {#name, FIELD_DESCRIPTOR, offsetof(current, name), 0},
#define OPTIONAL(name) {#name, FIELD_OPTIONAL, offsetof(current, name), 0},
#include "lib/messages.def"
#undef MESSAGE
#undef U32
#undef U64
#undef I64
#undef TEXT
#undef PRIVATE
#undef BYTES
#undef DESCRIPTOR
#undef OPTIONAL

static const struct {
    const char *name;
    unsigned int from; /* sets of ROLE_BIT */
    unsigned int to;
    const struct field *(*fields)(void);
    size_t offset; /* of the member in struct message */
} TYPES[] = {
#define BIT(role) ROLE_BIT(ROLE_##role)
#define MESSAGE(NAME, name, from, to, fields)                                                      \
    {#NAME, from, to, fields_of_##name, offsetof(struct message, name)},
#include "lib/messages.def"
#undef MESSAGE
#undef BIT
};

/* "OFFER". */
static const char *
message_name(enum message_type type)
{
    return (size_t)type < MESSAGE_COUNT ? TYPES[type].name : "unknown";
}

/* True where FROM may send TYPE to TO. */
static bool
message_allowed(enum message_type type, enum role from, enum role to)
{
    return (size_t)type < MESSAGE_COUNT && (TYPES[type].from & ROLE_BIT(from)) != 0 &&
           (TYPES[type].to & ROLE_BIT(to)) != 0;
}

bool
message_encode(const struct message *message, enum role from, enum role to,
    struct field_output *output, struct error *error)
{
    uint32_t type = (uint32_t)message->type;

    if (!message_allowed(message->type, from, to))
        return error_set(error, "%s may not send %s to %s", role_name(from),
            message_name(message->type), role_name(to));
    if (output->size - output->used < sizeof(type))
        return error_set(error, "no room for %s", message_name(message->type));
    memcpy(output->octets + output->used, &type, sizeof(type));
    output->used += sizeof(type);
    if (!field_encode(
            TYPES[type].fields(), (const char *)message + TYPES[type].offset, output, error))
        return error_prefix(error, "%s", message_name(message->type));
    return true;
}

static bool
decode(struct message *message, enum role from, enum role to, struct field_input *input,
    struct error *error)
{
    uint32_t type;

    if (input->size - input->at < sizeof(type))
        return error_set(error, "a message of %zu octets is too short", input->size);
    memcpy(&type, input->octets + input->at, sizeof(type));
    input->at += sizeof(type);
    message->type = (enum message_type)type;
    if (!message_allowed(message->type, from, to))
        return error_set(error, "%s (%u) is not for %s to send to %s", message_name(message->type),
            type, role_name(from), role_name(to));
    if (!field_decode(TYPES[type].fields(), (char *)message + TYPES[type].offset, input, error))
        return error_prefix(error, "%s", message_name(message->type));
    if (!field_input_ended(input))
        return error_set(error, "%s has trailing data", message_name(message->type));
    return true;
}

/* Takes the descriptors that a decoder had put into MESSAGE already back into INPUT's care. */
static void
close_descriptors(struct field_input *input, const int *received)
{
    for (size_t i = 0; i < input->descriptor_count; i++)
        close(received[i]);
}

bool
message_decode(struct message *message, enum role from, enum role to, struct field_input *input,
    struct error *error)
{
    int received[FIELD_DESCRIPTORS_MAX];

    memcpy(received, input->descriptors, sizeof(received));
    if (decode(message, from, to, input, error))
        return true;
    close_descriptors(input, received);
    return false;
}

void
message_discard(const struct message *message)
{
    const char *object = (const char *)message + TYPES[message->type].offset;

    for (const struct field *field = TYPES[message->type].fields(); field->type != FIELD_END;
         field++) {
        int descriptor;

        if (field->type != FIELD_DESCRIPTOR && field->type != FIELD_OPTIONAL)
            continue;
        memcpy(&descriptor, object + field->offset, sizeof(descriptor));
        if (descriptor >= 0)
            close(descriptor);
    }
}

void
message_trace(const struct message *message, char *target, size_t size)
{
    int written = snprintf(target, size, "%s ", message_name(message->type));

    if (written < 0 || (size_t)written >= size || (size_t)message->type >= MESSAGE_COUNT)
        return;
    field_trace(TYPES[message->type].fields(), (const char *)message + TYPES[message->type].offset,
        target + written, size - (size_t)written);
}
