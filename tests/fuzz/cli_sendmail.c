/*
 * Any octets as sendmail's command line, words that each end in NUL up to an empty one, and as the
 * message on its standard input: what is complained of is safe to show, and what is taken makes a
 * control file that is good and holds what was given.
 */
#include <ctype.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/submission.h"
#include "queue/control_file.h"
#include "tests/fuzz/fuzz.h"

enum { WORDS_MAX = 24 };

static const struct submission_origin ORIGIN = {
    "ann", "Ann \"Lee\"", "host.example.org", 1795323948, UINT64_C(0x1234)};

static int
take_words(struct rest *rest, char *words[WORDS_MAX + 1])
{
    struct rest part;
    int count = 0;

    words[count++] = strdup("sendmail");
    while (count < WORDS_MAX && (part = rest_take(rest, "", 1)).size > 0)
        words[count++] = rest_text(part);
    words[count] = NULL;
    return count;
}

static void
check_shown(const char *text)
{
    for (; *text != '\0'; text++)
        require(*text == '\n' || !iscntrl((unsigned char)*text));
}

static void
check_content(int descriptor, const struct sendmail_options *options)
{
    struct control_file control;
    struct stat status;
    struct error error;
    const char *end;
    size_t length;
    char *text;

    require(fstat(descriptor, &status) == 0);
    text = calloc(1, (size_t)status.st_size + 1);
    require(pread(descriptor, text, (size_t)status.st_size, 0) == status.st_size);
    end = strstr(text, "\n.\n");
    require(end != NULL);
    length = (size_t)(end - text) + 3;
    require(control_file_parse(&control, text, length, &error) == CONTROL_GOOD);
    require(control.recipient_count > 0);
    for (size_t i = 0; i < control.header_count; i++)
        require(control.headers[i].name_length > 0);
    require(options->envelope_id == NULL || strcmp(control.envelope_id, options->envelope_id) == 0);
    control_file_free(&control);
    free(text);
}

static void
submit(const struct sendmail_options *options, struct rest rest)
{
    struct input_message message;
    struct error error = {0};
    FILE *file = rest.size > 0 ? fmemopen((char *)(uintptr_t)rest.octets, rest.size, "r")
                               : fopen("/dev/null", "r");
    int content = -1;
    int status;

    require(file != NULL);
    status = input_message_read(&message, file, options->ignore_dots, &error);
    fclose(file);
    if (status == EX_OK)
        status = submission_make(options, &message, &ORIGIN, &content, &error);
    if (status == EX_OK)
        check_content(content, options);
    else
        require(error.text[0] != '\0');
    if (content >= 0)
        close(content);
    input_message_free(&message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rest rest = {(const char *)data, size};
    struct sendmail_options options;
    char *words[WORDS_MAX + 1];
    char *kept[WORDS_MAX + 1];
    int count = take_words(&rest, words);
    char *errors = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&errors, &length);
    int status;

    memcpy(kept, words, sizeof(words));
    require(stream != NULL);
    status = sendmail_options_parse(&options, size % 7 == 0, count, words, stream);
    require(fclose(stream) == 0);
    check_shown(errors);
    require(status == EX_OK || length > 0 || options.mode == SENDMAIL_NOTHING);
    if (status == EX_OK && options.mode == SENDMAIL_SUBMIT)
        submit(&options, rest);
    sendmail_options_free(&options);
    free(errors);
    for (int i = 0; i < count; i++)
        free(kept[i]);
    return 0;
}
