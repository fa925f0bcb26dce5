#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/packet.h"

static int
new_descriptor(void)
{
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(descriptor >= 0);
    return descriptor;
}

static bool
is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

/* OCTETS and COUNT new descriptors, as a message is encoded. */
static struct field_output
output_of(const char *octets, size_t count)
{
    struct field_output output = {
        .octets = (unsigned char *)(uintptr_t)octets, .used = strlen(octets)};

    for (size_t i = 0; i < count; i++)
        output.descriptors[output.descriptor_count++] = new_descriptor();
    return output;
}

/* What PACKET is on the other side, whose descriptors become the reader's. */
static struct packet_reader
reader_of(struct packet *packet)
{
    struct packet_reader reader = {.octets = packet->octets,
        .size = packet->used,
        .descriptor_count = packet->descriptor_count};

    memcpy(reader.descriptors, packet->descriptors, sizeof(reader.descriptors));
    packet->descriptor_count = 0;
    return reader;
}

static void
messages_come_out_as_they_went_in(void **state)
{
    static const char *const TEXTS[] = {"one", "", "three and more"};
    static const size_t COUNTS[] = {0, 2, 1};
    struct packet *packet = NULL;
    struct packet_reader reader;
    struct field_input input;
    struct error error;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct field_output output = output_of(TEXTS[i], COUNTS[i]);

        if (packet == NULL)
            packet = packet_new(&output);
        assert_true(packet_has_room(packet, &output));
        packet_add(packet, &output);
    }
    reader = reader_of(packet);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(packet_next(&reader, &input, &error), PACKET_MESSAGE);
        assert_int_equal(input.size, strlen(TEXTS[i]));
        assert_memory_equal(input.octets, TEXTS[i], input.size);
        assert_int_equal(input.descriptor_count, COUNTS[i]);
        for (size_t each = 0; each < COUNTS[i]; each++)
            assert_int_equal(close(input.descriptors[each]), 0);
    }
    assert_int_equal(packet_next(&reader, &input, &error), PACKET_END);
    packet_free(packet);
}

static void
a_packet_has_bounds(void **state)
{
    static char large[20000];
    struct field_output empty = output_of("", 0);
    struct field_output one = output_of("", 1);
    struct packet *packet = packet_new(&empty);

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    for (size_t i = 0; i < PACKET_DESCRIPTORS_MAX; i++) {
        struct field_output output = output_of("", 1);

        assert_true(packet_has_room(packet, &output));
        packet_add(packet, &output);
    }
    assert_false(packet_has_room(packet, &one));
    assert_true(packet_has_room(packet, &empty));
    while (packet->message_count < PACKET_MESSAGES_MAX)
        packet_add(packet, &empty);
    assert_false(packet_has_room(packet, &empty));
    packet_free(packet);

    one.descriptor_count = 0;
    close(one.descriptors[0]);
    one = output_of(large, 0);
    packet = packet_new(&one);
    packet_add(packet, &one);
    assert_false(packet_has_room(packet, &one));
    packet_free(packet);
}

static void
a_large_message_has_a_packet_of_its_own(void **state)
{
    static unsigned char octets[MESSAGE_SIZE_MAX];
    struct field_output output = {.octets = octets, .used = sizeof(octets)};
    struct packet *packet = packet_new(&output);

    (void)state;
    assert_true(packet_has_room(packet, &output));
    packet_add(packet, &output);
    assert_int_equal(packet->used, PACKET_SIZE_MAX);
    packet_free(packet);
}

static void
what_was_not_taken_is_closed(void **state)
{
    struct field_output output = output_of("a", 2);
    struct packet *packet = packet_new(&output);
    struct packet_reader reader;

    (void)state;
    packet_add(packet, &output);
    reader = reader_of(packet);
    packet_close_rest(&reader);
    assert_false(is_open(output.descriptors[0]));
    assert_false(is_open(output.descriptors[1]));
    packet_free(packet);

    output = output_of("a", 1);
    packet = packet_new(&output);
    packet_add(packet, &output);
    packet_free(packet);
    assert_false(is_open(output.descriptors[0]));
}

struct head {
    uint32_t size;
    uint32_t descriptors;
};

/* What becomes of a packet with HEAD and so many octets behind it. */
static enum packet_progress
read_one(struct head head, size_t behind, size_t descriptor_count)
{
    static unsigned char octets[MESSAGE_SIZE_MAX + 100];
    struct packet_reader reader = {
        .octets = octets, .size = sizeof(head) + behind, .descriptor_count = descriptor_count};
    struct field_input input;
    struct error error;

    memset(reader.descriptors, -1, sizeof(reader.descriptors));
    memcpy(octets, &head, sizeof(head));
    return packet_next(&reader, &input, &error);
}

static void
lies_about_sizes_are_seen(void **state)
{
    (void)state;
    assert_int_equal(read_one((struct head){4, 0}, 4, 0), PACKET_MESSAGE);
    assert_int_equal(read_one((struct head){5, 0}, 4, 0), PACKET_BROKEN);
    assert_int_equal(read_one((struct head){UINT32_MAX, 0}, 4, 0), PACKET_BROKEN);
    assert_int_equal(
        read_one((struct head){MESSAGE_SIZE_MAX + 1, 0}, MESSAGE_SIZE_MAX + 1, 0), PACKET_BROKEN);
    assert_int_equal(read_one((struct head){4, 1}, 4, 0), PACKET_BROKEN);
    assert_int_equal(
        read_one((struct head){4, FIELD_DESCRIPTORS_MAX + 1}, 4, FIELD_DESCRIPTORS_MAX + 1),
        PACKET_BROKEN);
}

static void
ends_that_are_none_are_seen(void **state)
{
    struct head heads[PACKET_MESSAGES_MAX + 1] = {0};
    struct packet_reader reader = {.octets = (unsigned char *)heads, .size = sizeof(heads)};
    struct field_input input;
    struct error error;

    (void)state;
    for (size_t i = 0; i < PACKET_MESSAGES_MAX; i++)
        assert_int_equal(packet_next(&reader, &input, &error), PACKET_MESSAGE);
    assert_int_equal(packet_next(&reader, &input, &error), PACKET_BROKEN);

    reader = (struct packet_reader){.octets = (unsigned char *)heads, .size = sizeof(heads[0]) - 1};
    assert_int_equal(packet_next(&reader, &input, &error), PACKET_BROKEN);
    reader = (struct packet_reader){.descriptors = {-1}, .descriptor_count = 1};
    assert_int_equal(packet_next(&reader, &input, &error), PACKET_BROKEN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_as_they_went_in),
        cmocka_unit_test(a_packet_has_bounds),
        cmocka_unit_test(a_large_message_has_a_packet_of_its_own),
        cmocka_unit_test(what_was_not_taken_is_closed),
        cmocka_unit_test(lies_about_sizes_are_seen),
        cmocka_unit_test(ends_that_are_none_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
