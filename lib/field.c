#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/field.h"
#include "lib/text.h"

static bool
put(struct field_output *output, const void *octets, size_t size)
{
    if (size > output->size - output->used)
        return false;
    if (size > 0)
        memcpy(output->octets + output->used, octets, size);
    output->used += size;
    return true;
}

static bool
put_text(struct field_output *output, const char *text, size_t limit)
{
    size_t length = text == NULL ? 0 : strlen(text);
    uint32_t size = (uint32_t)length + 1;

    return length <= limit && put(output, &size, sizeof(size)) &&
           put(output, text == NULL ? "" : text, size);
}

static bool
put_bytes(struct field_output *output, const struct bytes *bytes, size_t limit)
{
    uint32_t size = (uint32_t)bytes->size;

    return bytes->size <= limit && put(output, &size, sizeof(size)) &&
           put(output, bytes->data, bytes->size);
}

static bool
put_descriptor(struct field_output *output, int descriptor, bool optional)
{
    uint32_t present = descriptor >= 0;

    if (!present && !optional)
        return false;
    if (present) {
        if (output->descriptor_count == FIELD_DESCRIPTORS_MAX)
            return false;
        output->descriptors[output->descriptor_count++] = descriptor;
    }
    return put(output, &present, sizeof(present));
}

static bool
encode_member(const struct field *field, const void *member, struct field_output *output)
{
    switch (field->type) {
    case FIELD_U32:
        return put(output, member, sizeof(uint32_t));
    case FIELD_U64:
    case FIELD_I64:
        return put(output, member, sizeof(uint64_t));
    case FIELD_TEXT:
    case FIELD_PRIVATE:
        return put_text(output, *(const char *const *)member, field->limit);
    case FIELD_BYTES:
        return put_bytes(output, member, field->limit);
    case FIELD_DESCRIPTOR:
    case FIELD_OPTIONAL:
        return put_descriptor(output, *(const int *)member, field->type == FIELD_OPTIONAL);
    case FIELD_END:
        break;
    }
    return false;
}

bool
field_encode(const struct field *fields, const void *object, struct field_output *output,
    struct error *error)
{
    for (const struct field *field = fields; field->type != FIELD_END; field++) {
        if (!encode_member(field, (const char *)object + field->offset, output))
            return error_set(
                error, "field %s cannot be encoded: it is over its limit", field->name);
    }
    return true;
}

static bool
take(struct field_input *input, void *octets, size_t size)
{
    if (size > input->size - input->at)
        return false;
    memcpy(octets, input->octets + input->at, size);
    input->at += size;
    return true;
}

static bool
take_bytes(struct field_input *input, struct bytes *bytes, size_t limit)
{
    uint32_t size;

    if (!take(input, &size, sizeof(size)) || size > limit || size > input->size - input->at)
        return false;
    bytes->data = input->octets + input->at;
    bytes->size = size;
    input->at += size;
    return true;
}

static bool
take_text(struct field_input *input, const char **text, size_t limit)
{
    struct bytes bytes;

    if (!take_bytes(input, &bytes, limit + 1) || bytes.size == 0)
        return false;
    *text = bytes.data;
    return memchr(bytes.data, '\0', bytes.size) == *text + bytes.size - 1;
}

static bool
take_descriptor(struct field_input *input, int *descriptor, bool optional)
{
    uint32_t present;

    *descriptor = -1;
    if (!take(input, &present, sizeof(present)))
        return false;
    if (present == 0)
        return optional;
    if (present != 1 || input->descriptor_at == input->descriptor_count)
        return false;
    *descriptor = input->descriptors[input->descriptor_at];
    input->descriptors[input->descriptor_at++] = -1;
    return true;
}

static bool
decode_member(const struct field *field, void *member, struct field_input *input)
{
    switch (field->type) {
    case FIELD_U32:
        return take(input, member, sizeof(uint32_t));
    case FIELD_U64:
    case FIELD_I64:
        return take(input, member, sizeof(uint64_t));
    case FIELD_TEXT:
    case FIELD_PRIVATE:
        return take_text(input, member, field->limit);
    case FIELD_BYTES:
        return take_bytes(input, member, field->limit);
    case FIELD_DESCRIPTOR:
    case FIELD_OPTIONAL:
        return take_descriptor(input, member, field->type == FIELD_OPTIONAL);
    case FIELD_END:
        break;
    }
    return false;
}

bool
field_decode(
    const struct field *fields, void *object, struct field_input *input, struct error *error)
{
    for (const struct field *field = fields; field->type != FIELD_END; field++) {
        if (!decode_member(field, (char *)object + field->offset, input))
            return error_set(
                error, "field %s is cut, over its limit or not terminated", field->name);
    }
    return true;
}

bool
field_input_ended(const struct field_input *input)
{
    return input->at == input->size && input->descriptor_at == input->descriptor_count;
}

static void
trace_member(const struct field *field, const void *member, char *target, size_t size)
{
    switch (field->type) {
    case FIELD_U32:
        text_format(target, size, "%" PRIu32, *(const uint32_t *)member);
        break;
    case FIELD_U64:
        text_format(target, size, "%" PRIu64, *(const uint64_t *)member);
        break;
    case FIELD_I64:
        text_format(target, size, "%" PRId64, *(const int64_t *)member);
        break;
    case FIELD_TEXT:
        text_escape(target, size, *(const char *const *)member ? *(const char *const *)member : "");
        break;
    case FIELD_PRIVATE:
        text_format(target, size, "(private)");
        break;
    case FIELD_BYTES:
        text_format(target, size, "(%zu octets)", ((const struct bytes *)member)->size);
        break;
    case FIELD_DESCRIPTOR:
    case FIELD_OPTIONAL:
        text_format(target, size, "%d", *(const int *)member);
        break;
    case FIELD_END:
        break;
    }
}

void
field_trace(const struct field *fields, const void *object, char *target, size_t size)
{
    size_t used = 0;

    target[0] = '\0';
    for (const struct field *field = fields; field->type != FIELD_END; field++) {
        char value[256];
        int written;

        trace_member(field, (const char *)object + field->offset, value, sizeof(value));
        written = snprintf(
            target + used, size - used, "%s%s=%s", used > 0 ? " " : "", field->name, value);
        if (written < 0 || (size_t)written >= size - used)
            return;
        used += (size_t)written;
    }
}
