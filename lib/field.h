/*
 * A struct as octets and back, by a table of its members.
 *
 * Both ends of a pipe run on one machine, so numbers travel as they lie in memory. A text travels
 * with its length and its final NUL; decoding checks both and leaves a pointer into the octets.
 */
#ifndef SMAILER_FIELD_H
#define SMAILER_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum field_type {
    FIELD_END,
    FIELD_U32, /* uint32_t */
    FIELD_U64, /* uint64_t */
    FIELD_I64, /* int64_t */
    FIELD_TEXT, /* const char *, never NULL after decoding; NULL is encoded as "" */
    FIELD_PRIVATE, /* the same, but never traced */
    FIELD_BYTES, /* struct bytes */
    FIELD_DESCRIPTOR, /* int; it does not travel in the octets but beside them */
    FIELD_OPTIONAL /* int: a descriptor, or -1 */
};

struct bytes {
    const void *data;
    size_t size;
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset; /* of the member in its struct */
    size_t limit; /* octets that a text (without its NUL) or bytes may have */
};

#define FIELD_DESCRIPTORS_MAX 4

/* What a struct is encoded to: octets and descriptors (borrowed, never closed here). */
struct field_output {
    unsigned char *octets;
    size_t size;
    size_t used;
    int descriptors[FIELD_DESCRIPTORS_MAX];
    size_t descriptor_count;
};

/* What a struct is decoded from. Descriptors that a member took are set to -1 here. */
struct field_input {
    const unsigned char *octets;
    size_t size;
    size_t at;
    int descriptors[FIELD_DESCRIPTORS_MAX];
    size_t descriptor_count;
    size_t descriptor_at;
};

/* Appends OBJECT's members, as FIELDS (ended by FIELD_END) lists them. False where a text is over
 * its limit or OUTPUT is too small. */
bool field_encode(const struct field *fields, const void *object, struct field_output *output,
    struct error *error);

/* Fills OBJECT. False where INPUT is too short, a text is over its limit or not terminated, or a
 * descriptor is missing. Texts point into INPUT's octets. */
bool field_decode(
    const struct field *fields, void *object, struct field_input *input, struct error *error);

/* True where INPUT was used up, octets and descriptors. */
bool field_input_ended(const struct field_input *input);

/* "job=7 name=list.xml": what OBJECT holds, for the trace; made safe, cut at SIZE. */
void field_trace(const struct field *fields, const void *object, char *target, size_t size);

#endif
