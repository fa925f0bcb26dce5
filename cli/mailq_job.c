#include "cli/mailq_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/memory.h"
#include "lib/text.h"
#include "queue/control_details.h"

/* What sendmail takes for the priority of a job that does not say it. */
#define PRIORITY_UNKNOWN INT64_C(0x7fffffff)

/* Columns, plain and with -v. */
static const struct {
    int sender;
    int recipient;
    int status;
} WIDTHS[] = {{39, 38, 60}, {78, 71, 100}};

#define CONTROLLER_WIDTH 64
#define BODY_TYPE_WIDTH 10

/* What was met so far in the control file, for sendmail prints while it reads. */
struct printing {
    FILE *file;
    const struct mailq_job *job;
    bool verbose;
    int64_t version;
    int64_t created;
    bool warned;
    const char *status;
    const char *quarantine;
    const char *body_type;
};

static int64_t
read_number(const char *text)
{
    return strtoll(text, NULL, 10);
}

static void
read_details(struct mailq_job *job)
{
    const char *line = NULL;
    bool has_priority = false;

    while ((line = control_details_next(job->details.data, job->details.size, line)) != NULL) {
        if (line[0] == 'T')
            job->created = read_number(line + 1);
        else if (line[0] == 'K')
            job->last_attempt = read_number(line + 1);
        else if (line[0] == 'N')
            job->attempts = read_number(line + 1);
        else if (line[0] == 'P')
            job->priority = read_number(line + 1), has_priority = true;
        else if (line[0] == 'R' && job->recipient == NULL)
            job->recipient = line + 1;
        else if (line[0] == 'q' && !(has_priority && job->created != 0))
            job->quarantined_early = true;
    }
}

struct mailq_job *
mailq_job_new(const char *name, int64_t size, bool locked, const struct bytes *details)
{
    struct mailq_job *job = memory_new(1, sizeof(*job));
    char *copy = memory_new(details->size + 1, 1);

    if (details->size > 0)
        memcpy(copy, details->data, details->size);
    job->name = memory_copy_text(name);
    job->size = size;
    job->locked = locked;
    job->details = (struct bytes){copy, details->size};
    job->priority = PRIORITY_UNKNOWN;
    read_details(job);
    return job;
}

void
mailq_job_free(struct mailq_job *job)
{
    free(job->name);
    free((char *)(uintptr_t)job->details.data);
    free(job);
}

/* TEXT in at most WIDTH columns. A backslash is doubled, what cannot be shown becomes \ooo; how
 * those count is sendmail's way. */
static void
print_address(FILE *file, const char *text, int width)
{
    for (; width-- > 0 && *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;

        if (octet == '\\') {
            if (width-- > 0)
                fputs("\\\\", file);
        } else if (octet >= ' ' && octet < 0x7F) {
            fputc(octet, file);
        } else {
            width -= 3;
            if (width > 0)
                fprintf(file, "\\%03o", octet);
        }
    }
}

/* The first WIDTH octets of TEXT, made safe; a backslash is none of what is escaped here. */
static void
print_words(FILE *file, const char *text, int width)
{
    char shown[4 * 4 + 1];
    size_t length = strnlen(text, (size_t)width);
    size_t count;

    for (size_t i = 0; i < length; i += count) {
        count = text_character(text + i, length - i);
        count = count > 0 ? count : 1;
        if (text[i] == '\\')
            fputc('\\', file);
        else
            fputs(text_escape_bytes(shown, sizeof(shown), text + i, count), file);
    }
}

/* The time's ctime(3) from character FIRST on. */
static void
print_time(const struct printing *printing, int first, int count)
{
    time_t created = (time_t)printing->created;
    struct tm local;
    char shown[32];

    if (localtime_r(&created, &local) == NULL || asctime_r(&local, shown) == NULL)
        text_format(shown, sizeof(shown), "%-26s", "(impossible time)");
    fprintf(printing->file, "%.*s ", count, shown + first);
}

static void
print_sender(struct printing *printing, const char *text)
{
    FILE *file = printing->file;
    const int status_width = WIDTHS[printing->verbose].status;

    if (printing->verbose) {
        fprintf(file, "%8" PRId64 " %10" PRId64 "%c", printing->job->size, printing->job->priority,
            printing->warned ? '+' : ' ');
        print_time(printing, 4, 12);
    } else {
        fprintf(file, "%8" PRId64 " ", printing->job->size);
        print_time(printing, 0, 16);
    }
    print_address(file, text, WIDTHS[printing->verbose].sender);
    if (printing->quarantine != NULL) {
        fputs("\n     QUARANTINE: ", file);
        print_words(file, printing->quarantine, status_width);
        printing->quarantine = NULL;
    }
    if (printing->status != NULL || printing->body_type[0] != '\0') {
        size_t length = strnlen(printing->body_type, BODY_TYPE_WIDTH);

        fprintf(file, "\n    %*s", BODY_TYPE_WIDTH - (int)length, "");
        print_words(file, printing->body_type, BODY_TYPE_WIDTH);
    }
    if (printing->status != NULL) {
        fputs("   (", file);
        print_words(file, printing->status, status_width);
        fputc(')', file);
    }
    printing->status = NULL;
}

static void
print_recipient(struct printing *printing, const char *text)
{
    if (printing->version >= 1) {
        text = strchr(text, ':');
        if (text == NULL)
            return;
        text++;
    }
    fputs(printing->verbose ? "\n\t\t\t\t\t\t" : "\n\t\t\t\t\t ", printing->file);
    print_address(printing->file, text, WIDTHS[printing->verbose].recipient);
    if (!printing->verbose || printing->status == NULL)
        return;
    fputs("\n\t\t (", printing->file);
    print_words(printing->file, printing->status, WIDTHS[true].status);
    fputc(')', printing->file);
    printing->status = NULL;
}

static void
print_controller(struct printing *printing, const char *text)
{
    if (!printing->verbose)
        return;
    fputs("\n\t\t\t\t\t\t(---", printing->file);
    print_words(printing->file, text, CONTROLLER_WIDTH);
    fputs("---)", printing->file);
}

static void
note_version(struct printing *printing, const char *text)
{
    printing->version = read_number(text);
}

static void
note_created(struct printing *printing, const char *text)
{
    printing->created = read_number(text);
}

static void
note_flags(struct printing *printing, const char *text)
{
    if (strchr(text, 'w') != NULL)
        printing->warned = true;
}

/* An empty one is none. */
static void
note_status(struct printing *printing, const char *text)
{
    printing->status = text[0] != '\0' ? text : NULL;
}

static void
note_quarantine(struct printing *printing, const char *text)
{
    printing->quarantine = text[0] != '\0' ? text : NULL;
}

static void
note_body_type(struct printing *printing, const char *text)
{
    printing->body_type = text;
}

static const struct {
    char letter;
    void (*take)(struct printing *printing, const char *text);
} LINES[] = {
    {'V', note_version},
    {'M', note_status},
    {'q', note_quarantine},
    {'B', note_body_type},
    {'S', print_sender},
    {'C', print_controller},
    {'R', print_recipient},
    {'T', note_created},
    {'F', note_flags},
};

bool
mailq_job_is_young(const struct mailq_job *job, int64_t least_age, int64_t now)
{
    return job->attempts > 0 && job->last_attempt <= now && now - job->last_attempt < least_age;
}

void
mailq_job_print(FILE *file, const struct mailq_job *job, char mark, bool verbose)
{
    struct printing printing = {.file = file, .job = job, .verbose = verbose, .body_type = ""};
    const char *line = NULL;

    fprintf(file, "%13s", job->name + 2);
    if (job->size < 0 && job->details.size > 0)
        fprintf(file, "readqf: cannot open ./df%s: No such file or directory\n", job->name + 2);
    fputc(mark, file);
    while ((line = control_details_next(job->details.data, job->details.size, line)) != NULL)
        for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++)
            if (LINES[i].letter == line[0])
                LINES[i].take(&printing, line + 1);
    fputs(printing.created == 0 ? " (no control file)\n" : "\n", file);
}
