#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/channel.h"

/* Two ends of a pipe, pickup's and qmgr's, in one process, and what qmgr heard. */
struct scene {
    struct event_base *base;
    struct channel *pickup;
    struct channel *qmgr;
    uint32_t heard[2000];
    size_t heard_count;
    size_t descriptors;
    bool gone;
    char reason[1024];
    void (*on_heard)(struct scene *scene, const struct message *message);
};

static void
on_received(struct channel *channel, const struct message *message)
{
    struct scene *scene = channel_context(channel);

    if (message->type == MESSAGE_PARSE) {
        scene->descriptors += fcntl(message->parse.file, F_GETFD) >= 0;
        close(message->parse.file);
    }
    assert_true(scene->heard_count < sizeof(scene->heard) / sizeof(scene->heard[0]));
    scene->heard[scene->heard_count++] =
        message->type == MESSAGE_PARSE ? (uint32_t)message->parse.job : message->run_for.run;
    if (scene->on_heard != NULL)
        scene->on_heard(scene, message);
}

static void
on_closed(struct channel *channel, const char *reason)
{
    struct scene *scene = channel_context(channel);

    scene->gone = true;
    snprintf(scene->reason, sizeof(scene->reason), "%s", reason);
}

static const struct channel_events EVENTS = {on_received, on_closed};

static void
open_between(struct scene *scene, enum role from, enum role to)
{
    struct error error;
    int ends[2];

    memset(scene, 0, sizeof(*scene));
    scene->base = event_base_new();
    assert_non_null(scene->base);
    assert_true(channel_pair(ends, &error));
    scene->pickup = channel_open(scene->base, ends[0], from, to, 0, &EVENTS, scene);
    scene->qmgr = channel_open(scene->base, ends[1], to, from, 0, &EVENTS, scene);
}

static void
close_scene(struct scene *scene)
{
    channel_close(scene->pickup);
    channel_close(scene->qmgr);
    event_base_free(scene->base);
}

static void
say_to(struct scene *scene, uint32_t run, const char *sender)
{
    struct error error;

    assert_true(channel_send(scene->pickup,
        &(struct message){MESSAGE_RUN_FOR, .run_for = {.run = run, .sender = sender}}, &error));
}

static void
say(struct scene *scene, uint32_t run)
{
    say_to(scene, run, "foo@example.com");
}

/* Lets the loop turn until COUNT were heard, or nothing happens any more. */
static void
turn_until(struct scene *scene, size_t count)
{
    for (int i = 0; i < 2000 && scene->heard_count < count && !scene->gone; i++)
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
}

static void
assert_heard(const struct scene *scene, uint32_t count)
{
    assert_int_equal(scene->heard_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(scene->heard[i], i);
}

/* Packets that wait at the other end. */
static size_t
count_packets(const struct scene *scene)
{
    static char octets[100000];
    size_t count = 0;

    while (recv(channel_descriptor(scene->qmgr), octets, sizeof(octets), MSG_DONTWAIT) > 0)
        count++;
    return count;
}

static void
what_is_sent_in_one_turn_leaves_together(void **state)
{
    struct scene scene;

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    for (uint32_t i = 0; i < 100; i++)
        say(&scene, i);
    assert_int_equal(count_packets(&scene), 0);
    channel_flush(scene.pickup);
    assert_int_equal(count_packets(&scene), 1);
    close_scene(&scene);
}

static void
it_leaves_at_the_end_of_the_turn_in_order(void **state)
{
    struct scene scene;

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    for (uint32_t i = 0; i < 1000; i++)
        say(&scene, i);
    turn_until(&scene, 1000);
    assert_heard(&scene, 1000);
    close_scene(&scene);
}

static void
a_full_pipe_loses_nothing(void **state)
{
    static char sender[321];
    struct scene scene;

    (void)state;
    memset(sender, 'x', sizeof(sender) - 1);
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    for (uint32_t i = 0; i < 1500; i++)
        say_to(&scene, i, sender);
    channel_flush(scene.pickup);
    assert_true(channel_backlog(scene.pickup) > 0);
    turn_until(&scene, 1500);
    assert_heard(&scene, 1500);
    assert_int_equal(channel_backlog(scene.pickup), 0);
    say(&scene, 1500);
    turn_until(&scene, 1501);
    assert_heard(&scene, 1501);
    close_scene(&scene);
}

static void
what_was_sent_before_the_end_is_heard(void **state)
{
    struct scene scene;

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    say(&scene, 0);
    channel_close(scene.pickup);
    scene.pickup = NULL;
    channel_read_out(scene.qmgr);
    assert_heard(&scene, 1);
    assert_true(scene.gone);
    assert_string_equal(scene.reason, "");
    close_scene(&scene);
}

static void
who_abandons_a_channel_says_nothing(void **state)
{
    struct scene scene;

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    say(&scene, 0);
    channel_abandon(scene.pickup);
    scene.pickup = NULL;
    channel_read_out(scene.qmgr);
    assert_int_equal(scene.heard_count, 0);
    close_scene(&scene);
}

static int
count_descriptors(void)
{
    int count = 0;

    for (int i = 0; i < 1024; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static void
say_with_file(struct scene *scene, uint32_t job)
{
    struct error error;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(channel_send(scene->pickup,
        &(struct message){MESSAGE_PARSE, .parse = {.job = job, .file = file, .data = -1}}, &error));
    close(file);
}

static void
descriptors_travel_with_their_messages(void **state)
{
    struct scene scene;
    int before = count_descriptors();

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_CLEANUP);
    for (uint32_t i = 0; i < 100; i++)
        say_with_file(&scene, i);
    turn_until(&scene, 100);
    assert_heard(&scene, 100);
    assert_int_equal(scene.descriptors, 100);
    close_scene(&scene);
    assert_int_equal(count_descriptors(), before);
}

static void
close_at_two(struct scene *scene, const struct message *message)
{
    (void)message;
    if (scene->heard_count < 2)
        return;
    channel_close(scene->qmgr);
    scene->qmgr = NULL;
}

static void
a_handler_may_close_in_the_middle_of_a_packet(void **state)
{
    struct scene scene;
    int before = count_descriptors();

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_CLEANUP);
    scene.on_heard = close_at_two;
    for (uint32_t i = 0; i < 10; i++)
        say_with_file(&scene, i);
    turn_until(&scene, 10);
    assert_heard(&scene, 2);
    close_scene(&scene);
    assert_int_equal(count_descriptors(), before);
}

static struct scene *other_scene;

static void
read_other(struct scene *scene, const struct message *message)
{
    assert_string_equal(message->run_for.sender, "foo@example.com");
    if (scene->heard_count == 1)
        channel_read_out(other_scene->qmgr);
    assert_string_equal(message->run_for.sender, "foo@example.com");
}

static void
a_handler_may_read_another_channel_out(void **state)
{
    struct scene scene;
    struct scene other;

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    open_between(&other, ROLE_PICKUP, ROLE_QMGR);
    other_scene = &other;
    scene.on_heard = read_other;
    for (uint32_t i = 0; i < 5; i++)
        say(&scene, i);
    for (uint32_t i = 0; i < 7; i++)
        say_to(&other, i, "boo@example.org");
    channel_flush(other.pickup);
    turn_until(&scene, 5);
    assert_heard(&scene, 5);
    assert_heard(&other, 7);
    close_scene(&scene);
    close_scene(&other);
}

static void
a_peer_that_lies_is_told_of(void **state)
{
    struct scene scene;

    (void)state;
    open_between(&scene, ROLE_PICKUP, ROLE_QMGR);
    assert_int_equal(send(channel_descriptor(scene.pickup), "what is that?", 13, 0), 13);
    turn_until(&scene, 1);
    assert_true(scene.gone);
    assert_string_not_equal(scene.reason, "");
    assert_int_equal(scene.heard_count, 0);
    close_scene(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_in_one_turn_leaves_together),
        cmocka_unit_test(it_leaves_at_the_end_of_the_turn_in_order),
        cmocka_unit_test(a_full_pipe_loses_nothing),
        cmocka_unit_test(what_was_sent_before_the_end_is_heard),
        cmocka_unit_test(who_abandons_a_channel_says_nothing),
        cmocka_unit_test(descriptors_travel_with_their_messages),
        cmocka_unit_test(a_handler_may_close_in_the_middle_of_a_packet),
        cmocka_unit_test(a_handler_may_read_another_channel_out),
        cmocka_unit_test(a_peer_that_lies_is_told_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
