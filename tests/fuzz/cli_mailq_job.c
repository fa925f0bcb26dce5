/*
 * Any octets as a control file that mailq shows: no control character of it gets to the terminal.
 */
#include <ctype.h>

#include "cli/mailq_job.h"
#include "cli/mailq_selection.h"
#include "queue/control_details.h"
#include "tests/fuzz/fuzz.h"

enum { DETAILS_SIZE = 65536 };

static void
check_details(const char *details, size_t size)
{
    size_t counted = 0;
    const char *line = NULL;

    while ((line = control_details_next(details, size, line)) != NULL) {
        require(strlen(line) < CONTROL_DETAILS_LINE);
        counted += strlen(line) + 1;
    }
    require(counted == size);
}

static void
check_shown(const struct mailq_job *job, bool verbose)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);

    require(stream != NULL);
    mailq_job_print(stream, job, '*', verbose);
    require(fclose(stream) == 0);
    for (size_t i = 0; i < length; i++)
        require(text[i] == '\n' || text[i] == '\t' || !iscntrl((unsigned char)text[i]));
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char details[DETAILS_SIZE];
    struct mailq_selection selection = {0};
    struct bytes bytes = {.data = details};
    struct mailq_job *job;

    bytes.size = control_details_make((const char *)data, size, details, sizeof(details));
    require(bytes.size <= sizeof(details));
    check_details(details, bytes.size);
    job = mailq_job_new("qfAA00269", (int64_t)size, size % 2 == 0, &bytes);
    check_shown(job, false);
    check_shown(job, true);
    mailq_selection_add(&selection, 'R', false, "example");
    mailq_selection_add(&selection, 'S', true, "foo");
    mailq_selection_fits(&selection, job->name, &job->details);
    mailq_selection_free(&selection);
    mailq_job_free(job);
    return 0;
}
