#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sysexits.h>

#include "lib/log.h"
#include "queue/control_file.h"

/* A letter and its text; nothing where there is none. */
static void
put(FILE *stream, char letter, const char *text)
{
    if (text != NULL)
        fprintf(stream, "%c%s\n", letter, text);
}

/* The lines with LETTER that are kept. */
static void
put_kept(FILE *stream, const struct control_file *file, char letter)
{
    for (size_t i = 0; i < file->kept_count; i++)
        if (file->kept[i].letter == letter)
            put(stream, letter, file->kept[i].text);
}

static void
put_envelope(FILE *stream, const struct control_file *file, const struct control_data *data)
{
    fprintf(stream, "V%d\nT%" PRId64 "\nK%" PRId64 "\nN%" PRId64 "\nP%" PRId64 "\n",
        CONTROL_FILE_VERSION, file->created, file->last_attempt, file->attempts, file->priority);
    if (data->inode != 0)
        fprintf(
            stream, "I%u/%u/%" PRIu64 "\n", major(data->device), minor(data->device), data->inode);
    put(stream, 'B', file->body_type);
    put(stream, 'q', file->quarantine);
    put(stream, 'M', file->status);
    put(stream, 'F', file->flags[0] != '\0' ? file->flags : NULL);
    put_kept(stream, file, '$');
    put(stream, 'S', file->sender);
    put(stream, 'Z', file->envelope_id);
    put_kept(stream, file, 'O');
    put_kept(stream, file, 'A');
    put_kept(stream, file, '!');
}

static void
put_recipients(FILE *stream, const struct control_file *file)
{
    const char *controller = NULL;

    for (size_t i = 0; i < file->recipient_count; i++) {
        const struct control_recipient *recipient = &file->recipients[i];

        if (recipient->address == NULL)
            continue;
        put(stream, 'M', recipient->status);
        if (recipient->controller != controller)
            fprintf(stream, "C%s\n", recipient->controller != NULL ? recipient->controller : "");
        controller = recipient->controller;
        put(stream, 'Q', recipient->original);
        put(stream, 'r', recipient->final);
        fprintf(stream, "R%s:%s\n", recipient->flags, recipient->address);
    }
}

char *
control_file_format(
    const struct control_file *file, const struct control_data *data, size_t *length)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);

    if (stream == NULL)
        fatal(EX_OSERR, "out of memory: a control file");
    put_envelope(stream, file, data);
    put_recipients(stream, file);
    for (size_t i = 0; i < file->header_count; i++)
        if (file->headers[i].name_length > 0)
            fprintf(stream, "H?%s?%s\n", file->headers[i].condition, file->headers[i].text);
    fputs(".\n", stream);
    if (fclose(stream) != 0)
        fatal(EX_OSERR, "out of memory: a control file");
    return text;
}
