/*
 * Any octets as the two files of a job in sendmail's queue, qf before "\n====\n" and df after it:
 * the envelope has checked addresses only, and the message, in 8 bits and in 7, is one that any
 * relay takes.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup/job.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "tests/fuzz/fuzz.h"

#define SEPARATOR "\n====\n"

static struct configuration configuration;

static int
open_memory(struct rest part)
{
    int descriptor = memfd_create("fuzz", MFD_CLOEXEC);

    require(descriptor >= 0);
    require(write(descriptor, part.octets, part.size) == (ssize_t)part.size);
    return descriptor;
}

static void
replace(char **member, const char *text)
{
    free(*member);
    *member = memory_copy_text(text);
}

static void
set_up(void)
{
    struct queue_settings *queue;
    struct error error;

    configuration_init(&configuration);
    queue = configuration_add_queue(&configuration);
    queue->kind = SECTION_MQUEUE;
    replace(&queue->local_to, "rest@x.example");
    replace(&queue->hostname, "host.example");
    configuration_add_account(&configuration, "default");
    require(job_open(&configuration, &error));
}

static size_t
count_texts(const struct output *texts)
{
    size_t count = 0;

    for (size_t at = 0; at < texts->used; at += strlen(texts->data + at) + 1)
        count++;
    require(texts->used == 0 || texts->data[texts->used - 1] == '\0');
    return count;
}

static void
check_address(const char *text)
{
    struct address address;

    require(address_read_loosely(&address, text, strlen(text), NULL));
    require(strcmp(address.text, text) == 0);
}

static void
check_envelope(const struct judgement *judgement)
{
    const struct output *recipients = &judgement->recipients;

    require(count_texts(recipients) == count_texts(&judgement->details));
    count_texts(&judgement->problems);
    require(recipients->used + judgement->details.used + judgement->problems.used <=
            JUDGE_RECIPIENTS_MAX);
    for (size_t at = 0; at < recipients->used; at += strlen(recipients->data + at) + 1)
        check_address(recipients->data + at);
    if (judgement->sender[0] != '\0')
        check_address(judgement->sender);
    require(strpbrk(judgement->envelope_id, " \t\r\n=") == NULL);
}

/* True where LINE begins a header's field, or goes on with one. */
static bool
is_of_header(const char *line, size_t length)
{
    size_t name = 0;

    while (name < length && line[name] > ' ' && line[name] < 0x7F && line[name] != ':')
        name++;
    return line[0] == ' ' || line[0] == '\t' || (name > 0 && name < length && line[name] == ':');
}

/* All lines are of a header; ASCII: only those that are may have octets above 127. */
static void
check_header(const char *message, size_t length, bool ascii)
{
    for (size_t at = 0; at < length;) {
        const char *line = message + at;
        size_t octets = (size_t)((const char *)memchr(line, '\n', length - at) - line) - 1;

        require((ascii && text_is_ascii(line, octets)) || is_of_header(line, octets));
        at += octets + 2;
    }
}

static void
check_message(int descriptor, bool seven_bit)
{
    struct stat status;
    char *message;
    size_t body;

    require(fstat(descriptor, &status) == 0);
    message = memory_new((size_t)status.st_size + 1, 1);
    require(pread(descriptor, message, (size_t)status.st_size, 0) == status.st_size);
    body = check_lines(message, (size_t)status.st_size);
    check_header(message, body - 2, false);
    if (seven_bit)
        check_header(message + body, (size_t)status.st_size - body, true);
    free(message);
    close(descriptor);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct judgement judgement;
    struct rest rest = {(const char *)data, size};
    struct message_parse parse = {.purpose = PARSE_DELIVER, .mqueue = 1};

    if (configuration.queue_count == 0)
        set_up();
    parse.file = open_memory(rest_take(&rest, SEPARATOR, strlen(SEPARATOR)));
    parse.data = open_memory(rest);
    judge_job(&parse, &judgement);
    if (judgement.verdict == VERDICT_MAIL)
        check_envelope(&judgement);
    else
        require(judgement.reason[0] != '\0');
    if (judgement.content >= 0)
        check_message(judgement.content, false);
    if (judgement.encoded >= 0)
        check_message(judgement.encoded, true);
    parse.purpose = PARSE_LIST;
    judge_job(&parse, &judgement);
    require(judgement.content < 0 && judgement.encoded < 0);
    count_texts(&judgement.recipients);
    close(parse.file);
    close(parse.data);
    return 0;
}
