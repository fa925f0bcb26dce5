/*
 * The queues of tests/data/mqueue: what is in a control file, and that it survives being written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/control_file.h"

#define CASES "tests/data/mqueue"
#define VALUE_MAX 300

static char *
read_file(const char *path, size_t *length)
{
    FILE *stream = fopen(path, "r");
    char *text = calloc(1, 2 << 20);

    if (stream == NULL)
        fail_msg("%s cannot be read", path);
    *length = fread(text, 1, (2 << 20) - 1, stream);
    fclose(stream);
    return text;
}

/* TEXT without the blanks around it and without line ends; tabs, and $ for a macro's octet, are
 * shown. */
static void
show(FILE *stream, const char *text)
{
    char shown[VALUE_MAX * 8];
    size_t used = 0;

    if (text == NULL)
        text = "-";
    text += strspn(text, " \t\n");
    for (size_t i = 0; text[i] != '\0' && i < sizeof(shown) / 2; i++)
        if (text[i] != '\n')
            shown[used++] = text[i] == '\201' && text[i + 1] == 'g' ? '$' : text[i];
    while (used > 0 && (shown[used - 1] == ' ' || shown[used - 1] == '\t'))
        used--;
    if (used > VALUE_MAX)
        used = VALUE_MAX;
    for (size_t i = 0; i < used; i++)
        fputs(shown[i] == '\t' ? "\\t" : (char[]){shown[i], '\0'}, stream);
}

static void
show_line(FILE *stream, const char *name, const char *text)
{
    fprintf(stream, "%s ", name);
    show(stream, text);
    fputc('\n', stream);
}

static void
show_recipient(FILE *stream, const struct control_recipient *recipient)
{
    fputs("recipient ", stream);
    show(stream, recipient->address);
    fprintf(stream, " | %s | ", recipient->flags);
    show(stream, recipient->status);
    fputs(" | ", stream);
    show(stream, recipient->original);
    fputs(" | ", stream);
    show(stream, recipient->final);
    fputc('\n', stream);
}

static void
show_header(FILE *stream, const struct control_header *header)
{
    if (header->name_length == 0) {
        fprintf(stream, "header %s | ! | \n", header->condition);
        return;
    }
    fprintf(
        stream, "header %s | %.*s | ", header->condition, (int)header->name_length, header->text);
    show(stream, strchr(header->text, ':') + 1);
    fputc('\n', stream);
}

static char *
show_file(const struct control_file *file)
{
    size_t length;
    char *text;
    FILE *stream = open_memstream(&text, &length);

    fprintf(stream, "version %u\ncreated %" PRId64 "\nlast_attempt %" PRId64 "\n", file->version,
        file->created, file->last_attempt);
    fprintf(stream, "attempts %" PRId64 "\npriority %" PRId64 "\nflags %s\n", file->attempts,
        file->priority, file->flags);
    show_line(stream, "body_type", file->body_type);
    show_line(stream, "status", file->status);
    show_line(stream, "quarantine_reason", file->quarantine);
    show_line(stream, "sender", file->sender);
    show_line(stream, "envelope_id", file->envelope_id);
    fprintf(stream, "terminated %s\n", file->terminated ? "yes" : "no");
    for (size_t i = 0; i < file->recipient_count; i++)
        show_recipient(stream, &file->recipients[i]);
    for (size_t i = 0; i < file->header_count; i++)
        show_header(stream, &file->headers[i]);
    fclose(stream);
    return text;
}

static const struct {
    const char *name;
    enum control_state state;
} STATES[] = {
    {"b01-no-terminator", CONTROL_INCOMPLETE},
    {"b02-cut-in-mid-line", CONTROL_INCOMPLETE},
    {"b05-no-S-line", CONTROL_UNUSABLE},
    {"b07-unknown-letter", CONTROL_LOST},
    {"b08-version-99", CONTROL_LOST},
    {"b11-data-after-dot", CONTROL_LOST},
    {"b12-from-line", CONTROL_LOST},
    {"b13-bad-body-type", CONTROL_LOST},
    {"b15-empty-qf-fresh", CONTROL_EMPTY},
    {"b16-empty-line-inside", CONTROL_LOST},
};

static enum control_state
state_of(const char *path)
{
    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++)
        if (strstr(path, STATES[i].name) != NULL)
            return STATES[i].state;
    return CONTROL_GOOD;
}

static void
expect_text(const char *path, const char *is, const char *expected)
{
    if (strcmp(is, expected) != 0)
        fail_msg("%s:\n--- is\n%s--- expected\n%s", path, is, expected);
}

/* What was read, written and read again says the same. */
static void
check_again(const char *path, const struct control_file *file, const char *before)
{
    struct control_file again;
    struct error error;
    size_t length;
    char *text = control_file_format(file, &(struct control_data){0}, &length);
    char *expected = strdup(before);
    char *after;

    if (control_file_parse(&again, text, length, &error) != CONTROL_GOOD)
        fail_msg("%s, written again: %s", path, error.text);
    assert_int_equal(again.version, CONTROL_FILE_VERSION);
    again.version = file->version;
    again.terminated = file->terminated;
    after = show_file(&again);
    for (char *bad; (bad = strstr(expected, " | ! | \n")) != NULL;) {
        char *line = bad;

        while (line > expected && line[-1] != '\n')
            line--;
        memmove(line, bad + 8, strlen(bad + 8) + 1);
    }
    expect_text(path, after, expected);
    control_file_free(&again);
    free(text);
    free(expected);
    free(after);
}

static void
check_case(const char *fields)
{
    struct control_file file;
    struct error error = {0};
    char pattern[256];
    glob_t found;
    size_t length;
    char *expected = read_file(fields, &length);
    char *text;
    char *shown;
    enum control_state state;

    snprintf(pattern, sizeof(pattern), "%.*s/[qh]f*", (int)(strrchr(fields, '/') - fields), fields);
    if (glob(pattern, 0, NULL, &found) != 0) {
        free(expected);
        return;
    }
    text = read_file(found.gl_pathv[0], &length);
    state = control_file_parse(&file, text, length, &error);
    if (state != state_of(fields))
        fail_msg("%s: state %d: %s", fields, state, error.text);
    shown = show_file(&file);
    expect_text(fields, shown, expected);
    if (state == CONTROL_GOOD)
        check_again(fields, &file, shown);
    control_file_free(&file);
    globfree(&found);
    free(text);
    free(shown);
    free(expected);
}

static void
test_corpus(void **state)
{
    glob_t found;

    (void)state;
    assert_int_equal(glob(CASES "/*/fields", 0, NULL, &found), 0);
    assert_true(found.gl_pathc > 50);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_case(found.gl_pathv[i]);
    globfree(&found);
}

static enum control_state
parse(const char *text, struct error *error)
{
    struct control_file file;
    enum control_state state = control_file_parse(&file, text, strlen(text), error);

    control_file_free(&file);
    return state;
}

static void
test_refused(void **state)
{
    static const struct {
        enum control_state state;
        const char *text;
    } FILES[] = {
        {CONTROL_UNUSABLE, "Vabc\nSa@b\nRPFD:c@d\n.\n"},
        {CONTROL_UNUSABLE, "V8\nSa@b\nRnocolon\n.\n"},
        {CONTROL_UNUSABLE, "V8\nd/elsewhere\nSa@b\nRPFD:c@d\n.\n"},
        {CONTROL_LOST, "V9\nSa@b\nRPFD:c@d\n.\n"},
        {CONTROL_LOST, "V8\nSa@b\nAx=y\nRPFD:c@d\n.\n"},
        {CONTROL_LOST, " V8\nSa@b\nRPFD:c@d\n.\n"},
        {CONTROL_GOOD, "V8\nd.\nS<>\nRPFD:c@d\n.anything"},
        {CONTROL_GOOD, "Sa\nRb"},
        {CONTROL_INCOMPLETE, "V1\nSa\nRP:b"},
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++)
        if (parse(FILES[i].text, &error) != FILES[i].state)
            fail_msg("%s: is not %d", FILES[i].text, FILES[i].state);
}

/* However many CRs stand before an LF, none is of the line: written and read again, it is the same.
 */
static void
test_line_ends(void **state)
{
    static const char TEXT[] =
        "V8\r\r\nSa@b.c\r\r\nRPFD:d@e.f\n \n\t\r\nH??X: a\rb\r\r\n\tc\r\n.\n";
    struct control_file file;
    struct error error;

    (void)state;
    assert_int_equal(control_file_parse(&file, TEXT, strlen(TEXT), &error), CONTROL_GOOD);
    assert_string_equal(file.sender, "a@b.c");
    assert_string_equal(file.recipients[0].address, "d@e.f");
    assert_string_equal(file.headers[0].text, "X: a\rb\n\tc");
    control_file_free(&file);
    assert_int_equal(control_file_parse(&file, "Sa@b.c\r\r", 8, &error), CONTROL_GOOD);
    assert_string_equal(file.sender, "a@b.c");
    control_file_free(&file);
}

/* A name that does not fit on a line would be cut in two, and the first half be no header. */
static void
test_long_names(void **state)
{
    char text[2048] = "V8\nSa@b.c\nRPFD:d@e.f\nH??";
    struct control_file file;
    struct error error;

    (void)state;
    memset(text + strlen(text), 'x', 1000);
    strcat(text, ": y\n.\n");
    assert_int_equal(control_file_parse(&file, text, strlen(text), &error), CONTROL_GOOD);
    assert_int_equal(file.headers[0].name_length, 0);
    control_file_free(&file);
}

static void
test_bounds(void **state)
{
    const size_t length = 60000;
    struct control_file file;
    struct error error;
    char *text = calloc(1, length + 100);

    (void)state;
    memcpy(text, "V8\nSa@b\nRPFD:c@d\nHX: ", 21);
    memset(text + 21, 'x', length);
    memcpy(text + 21 + length, "\n.\n", 3);
    assert_int_equal(control_file_parse(&file, text, strlen(text), &error), CONTROL_GOOD);
    assert_int_equal(strlen(file.headers[0].text), length + 3);
    control_file_free(&file);
    memset(text + 13, 'x', length);
    assert_int_equal(control_file_parse(&file, text, strlen(text), &error), CONTROL_UNUSABLE);
    control_file_free(&file);
    /* A NUL ends its line, as it does for sendmail. */
    assert_int_equal(control_file_parse(&file, "Sa\n\0Rb\n", 7, &error), CONTROL_LOST);
    control_file_free(&file);
    assert_int_equal(control_file_parse(&file, "Sa\0b\nRc\n", 8, &error), CONTROL_GOOD);
    assert_string_equal(file.sender, "a");
    control_file_free(&file);
    free(text);
}

/* Every prefix of a file is read without harm. */
static void
test_prefixes(void **state)
{
    size_t length;
    char *text = read_file(CASES "/v04-all-letters/qfAA00777", &length);
    struct control_file file;
    struct error error;

    (void)state;
    for (size_t i = 0; i <= length; i++) {
        char *part = malloc(i + 1);

        memcpy(part, text, i);
        control_file_parse(&file, part, i, &error);
        control_file_free(&file);
        free(part);
    }
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
