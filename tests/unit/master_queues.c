/*
 * Which bases there are, and that changes are noticed.
 */
#include "tests/unit/configuration_place.h"

#include "master/queues.h"

static void
spools_write(struct place *place)
{
    char text[512];
    snprintf(text, sizeof text,
        "spool one { root = %s/one\n path = var/mail }\n"
        "spool two { root = %s/two\n path = mail\n pattern = \"*.xml\" }\n"
        "spool gone { root = %s/gone\n path = mail }\n",
        place->directory, place->directory, place->directory);
    file_write(place, "main.cf", text, 0644);
    assert_loaded(place);
}

static void
bases_are_found(void **state)
{
    struct place *place = *state;
    char path[128];
    directory_add(place, "one/b/var/mail");
    directory_add(place, "one/a/var/mail");
    directory_add(place, "one/.hidden/var/mail");
    directory_add(place, "one/empty");
    directory_add(place, "two/c/mail");
    file_write(place, "one/file", "", 0644);
    snprintf(path, sizeof path, "%s/one/link", place->directory);
    assert_int_equal(symlink("a", path), 0);
    spools_write(place);
    queues_find(&place->configuration, false);
    const struct queue_settings *queues = place->configuration.queues;
    assert_int_equal(place->configuration.queue_count, 3);
    assert_string_equal(queues[0].sid, "a");
    assert_string_equal(queues[1].sid, "b");
    assert_string_equal(queues[2].section, "two");
    assert_string_equal(queues[2].pattern, "*.xml");
    assert_int_equal(queues[2].interval, 3600000);
    snprintf(path, sizeof path, "%s/one/b/var/mail", place->directory);
    assert_string_equal(queues[1].path, path);
}

static void
bases_that_come_and_go_are_noticed(void **state)
{
    struct place *place = *state;
    char path[128];
    directory_add(place, "one/a/var/mail");
    spools_write(place);
    queues_find(&place->configuration, false);
    assert_false(queues_changed(&place->configuration));
    directory_add(place, "gone/d/mail");
    assert_true(queues_changed(&place->configuration));
    queues_find(&place->configuration, false);
    assert_int_equal(place->configuration.queue_count, 2);
    assert_false(queues_changed(&place->configuration));
    snprintf(path, sizeof path, "%s/gone/d/mail", place->directory);
    assert_int_equal(rmdir(path), 0);
    assert_true(queues_changed(&place->configuration));
}

static void
one_directory_is_one_queue(void **state)
{
    struct place *place = *state;
    char text[256];
    directory_add(place, "one/a/mail");
    snprintf(text, sizeof text,
        "spool x { root = %s/one\n path = mail }\nspool y { root = %s/one/../one\n path = mail }\n",
        place->directory, place->directory);
    file_write(place, "main.cf", text, 0644);
    assert_loaded(place);
    queues_find(&place->configuration, false);
    assert_int_equal(place->configuration.queue_count, 1);
    assert_string_equal(place->configuration.queues[0].section, "x");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(bases_are_found),
        PLACE_TEST(bases_that_come_and_go_are_noticed),
        PLACE_TEST(one_directory_is_one_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
