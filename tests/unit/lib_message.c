/* What one program says to another: nothing is lost on the way, and nothing is believed that is
 * cut, too long, not terminated, or from the wrong side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/message.h"

static unsigned char octets[MESSAGE_SIZE_MAX];

static const struct message WANTED = {
    .type = MESSAGE_WANTED, .wanted = {.queue = 7, .account = 8, .count = 9}};

static size_t
encode(const struct message *message, enum role from, enum role to)
{
    struct field_output output = {.octets = octets, .size = sizeof(octets)};
    struct error error;

    if (!message_encode(message, from, to, &output, &error))
        fail_msg("%s", error.text);
    return output.used;
}

static bool
decode(struct message *message, enum role from, enum role to, size_t size)
{
    struct field_input input = {.octets = octets, .size = size};
    struct error error;

    return message_decode(message, from, to, &input, &error);
}

static void
numbers_and_texts_arrive(void **state)
{
    struct message sent = {.type = MESSAGE_RUN_FOR,
        .run_for = {.run = 4000000000U, .force = 1, .sender = "foo@example.com"}};
    struct message received;
    size_t size = encode(&sent, ROLE_PICKUP, ROLE_QMGR);

    (void)state;
    assert_true(decode(&received, ROLE_PICKUP, ROLE_QMGR, size));
    assert_int_equal(received.type, MESSAGE_RUN_FOR);
    assert_int_equal(received.run_for.run, 4000000000U);
    assert_string_equal(received.run_for.sender, "foo@example.com");
}

static void
what_is_cut_or_has_more_is_refused(void **state)
{
    struct message received;
    size_t size = encode(&WANTED, ROLE_QMGR, ROLE_PICKUP);

    (void)state;
    for (size_t shorter = 0; shorter < size; shorter++)
        assert_false(decode(&received, ROLE_QMGR, ROLE_PICKUP, shorter));
    octets[size] = 0;
    assert_false(decode(&received, ROLE_QMGR, ROLE_PICKUP, size + 1));
    assert_true(decode(&received, ROLE_QMGR, ROLE_PICKUP, size));
}

static void
who_may_not_is_refused(void **state)
{
    struct field_output output = {.octets = octets, .size = sizeof(octets)};
    struct message received;
    struct error error;
    size_t size;

    (void)state;
    assert_false(message_encode(&WANTED, ROLE_CLEANUP, ROLE_QMGR, &output, &error));
    assert_non_null(strstr(error.text, "cleanup"));
    size = encode(&WANTED, ROLE_QMGR, ROLE_PICKUP);
    assert_false(decode(&received, ROLE_CLEANUP, ROLE_PICKUP, size));
    assert_false(decode(&received, ROLE_QMGR, ROLE_SMTP, size));
    memset(octets, 0xFF, sizeof(uint32_t)); /* a type that there is not */
    assert_false(decode(&received, ROLE_QMGR, ROLE_PICKUP, size));
}

static void
texts_over_their_limit_or_without_end_are_refused(void **state)
{
    char sender[330];
    struct message sent = {.type = MESSAGE_RUN_FOR, .run_for = {.sender = sender}};
    struct message received;
    struct field_output output = {.octets = octets, .size = sizeof(octets)};
    struct error error;
    size_t size;

    (void)state;
    memset(sender, 'a', sizeof(sender) - 1);
    sender[sizeof(sender) - 1] = '\0';
    assert_false(message_encode(&sent, ROLE_PICKUP, ROLE_QMGR, &output, &error));
    sender[320] = '\0';
    size = encode(&sent, ROLE_PICKUP, ROLE_QMGR);
    assert_true(decode(&received, ROLE_PICKUP, ROLE_QMGR, size));
    octets[size - 1] = 'a';
    assert_false(decode(&received, ROLE_PICKUP, ROLE_QMGR, size));
    octets[size - 1] = '\0';
    octets[size - 5] = '\0';
    assert_false(decode(&received, ROLE_PICKUP, ROLE_QMGR, size));
}

/* A message that is refused takes its descriptors with it. */
static void
descriptors_of_what_is_refused_are_closed(void **state)
{
    struct message sent = {.type = MESSAGE_LOG, .log = {.target = 0}};
    struct message received;
    struct field_input input = {.octets = octets};
    struct error error;
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    sent.log.log = descriptor;
    input.size = encode(&sent, ROLE_MASTER, ROLE_QMGR) - 1;
    input.descriptors[0] = descriptor;
    input.descriptor_count = 1;
    assert_false(message_decode(&received, ROLE_MASTER, ROLE_QMGR, &input, &error));
    assert_int_equal(fcntl(descriptor, F_GETFD), -1);
}

static void
missing_descriptors_are_refused(void **state)
{
    struct message sent = {.type = MESSAGE_LOG, .log = {.target = 0, .log = STDIN_FILENO}};
    struct message received;
    size_t size = encode(&sent, ROLE_MASTER, ROLE_QMGR);

    (void)state;
    assert_false(decode(&received, ROLE_MASTER, ROLE_QMGR, size));
}

/* Each message has one form: a descriptor is there (1), or not (0). */
static void
other_forms_are_refused(void **state)
{
    struct message sent = {.type = MESSAGE_LISTEN, .listen = {.listener = -1, .client = -1}};
    struct field_input input = {.octets = octets, .descriptor_count = 1};
    struct message received;
    struct error error;

    (void)state;
    input.size = encode(&sent, ROLE_MASTER, ROLE_CONTROL);
    octets[input.size - 1] = 2;
    input.descriptors[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_false(message_decode(&received, ROLE_MASTER, ROLE_CONTROL, &input, &error));
}

/* Whatever the octets are, they are refused or understood, and nothing beyond them is read. */
static void
noise_does_no_harm(void **state)
{
    struct message received;

    (void)state;
    srand(17);
    for (int round = 0; round < 200000; round++) {
        size_t size = (size_t)(rand() % 200);
        uint32_t type = (uint32_t)(rand() % MESSAGE_COUNT);

        for (size_t at = 0; at < size; at++)
            octets[at] = (unsigned char)(rand() % 4 == 0 ? rand() : 0);
        if (size >= sizeof(type))
            memcpy(octets, &type, sizeof(type));
        if (decode(&received, ROLE_QMGR, (enum role)(rand() % ROLE_COUNT), size)) {
            char text[2000];

            message_trace(&received, text, sizeof(text));
            assert_true(strlen(text) > 0);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_texts_arrive),
        cmocka_unit_test(what_is_cut_or_has_more_is_refused),
        cmocka_unit_test(who_may_not_is_refused),
        cmocka_unit_test(texts_over_their_limit_or_without_end_are_refused),
        cmocka_unit_test(descriptors_of_what_is_refused_are_closed),
        cmocka_unit_test(missing_descriptors_are_refused),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(noise_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
