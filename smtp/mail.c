#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "smtp/mail.h"

#define WORDS_SIZE 1001 /* RESULT's limit and a NUL */
#define DELAY_SIZE 32
#define LINE_SIZE 1024 /* of a transcript */

int64_t
mail_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t
later(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* How many texts BYTES is made of, each with its NUL; 0 where it is no such thing. */
static size_t
count_texts(const struct bytes *bytes)
{
    const char *octets = bytes->data;
    size_t count = 0;

    if (bytes->size == 0 || octets[bytes->size - 1] != '\0')
        return 0;
    for (size_t i = 0; i < bytes->size; i++)
        count += octets[i] == '\0';
    return count;
}

/* Copies TEXT to *AT, and moves *AT behind it. */
static char *
put_text(char **at, const char *text)
{
    char *copy = *at;
    size_t size = strlen(text) + 1;

    memcpy(copy, text, size);
    *at += size;
    return copy;
}

/* Takes "LINE NOTIFY ORCPT" apart, "-" for none. */
static void
take_details(struct recipient *recipient, char *details)
{
    const char *words[3] = {"", "-", "-"};
    char *rest = details;

    for (size_t i = 0; i < 3 && rest != NULL; i++)
        words[i] = strsep(&rest, " ");
    if (strcmp(words[1], "-") != 0)
        recipient->parameters.notify = words[1];
    if (strcmp(words[2], "-") != 0)
        recipient->parameters.original = words[2];
}

static void
fill_details(struct mail *mail, const struct message_deliver *deliver, size_t count, char **at)
{
    const char *details = deliver->details.data;

    if (count_texts(&deliver->details) != count)
        return;
    for (size_t i = 0; i < count; i++) {
        take_details(&mail->job.recipients[i], put_text(at, details));
        details += strlen(details) + 1;
    }
}

/* What DSN says of the whole mail (RFC 3461). */
static void
fill_options(struct mail *mail, const struct message_deliver *deliver, char **at)
{
    if (deliver->envelope_id[0] != '\0')
        mail->job.envelope_id = put_text(at, deliver->envelope_id);
    if (deliver->auth[0] != '\0')
        mail->job.auth = put_text(at, deliver->auth);
    mail->job.deliver_by = deliver->deliver_by;
    mail->job.returned_late = (deliver->flags & MAIL_FLAG_BY_RETURN) != 0;
    mail->job.traced_late = (deliver->flags & MAIL_FLAG_BY_TRACE) != 0;
    if ((deliver->flags & MAIL_FLAG_RET_FULL) != 0)
        mail->job.return_part = "FULL";
    else if ((deliver->flags & MAIL_FLAG_RET_HDRS) != 0)
        mail->job.return_part = "HDRS";
}

/* What DESCRIPTOR, which may be -1, holds; its size is 0 where that cannot be had. */
static struct content
content_in(int descriptor)
{
    struct content content = {.descriptor = descriptor};
    struct stat status;

    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size > 0)
        content.size = (uint64_t)status.st_size;
    return content;
}

static struct content
take_content(const struct message_deliver *deliver, char **at)
{
    struct content content;

    if (deliver->content >= 0)
        return content_in(deliver->content);
    content = (struct content){.memory = *at, .descriptor = -1, .size = deliver->small.size};
    memcpy(*at, deliver->small.data, deliver->small.size);
    *at += deliver->small.size;
    return content;
}

static void
fill(struct mail *mail, const struct message_deliver *deliver, size_t count)
{
    struct recipient *recipients = (struct recipient *)(mail + 1);
    char *at = (char *)(recipients + count);
    const char *address = deliver->recipients.data;

    mail->id = put_text(&at, deliver->id);
    mail->job.sender = put_text(&at, deliver->sender);
    mail->job.recipients = recipients;
    mail->job.recipient_count = count;
    for (size_t i = 0; i < count; i++) {
        recipients[i].address = put_text(&at, address);
        address += strlen(address) + 1;
    }
    fill_details(mail, deliver, count, &at);
    fill_options(mail, deliver, &at);
    mail->job.content = take_content(deliver, &at);
    mail->job.encoded = content_in(deliver->encoded);
}

struct mail *
mail_new(const struct message_deliver *deliver, struct error *error)
{
    size_t count = count_texts(&deliver->recipients);
    struct mail *mail;

    if (count == 0 || (deliver->content < 0 && deliver->small.size == 0)) {
        error_set(error, "job %" PRIu64 " has no recipient, or no content", deliver->job);
        message_discard(&(struct message){.type = MESSAGE_DELIVER, .deliver = *deliver});
        return NULL;
    }
    mail = memory_new(1, sizeof(*mail) + count * sizeof(struct recipient) + strlen(deliver->id) +
                             strlen(deliver->sender) + 2 + deliver->recipients.size +
                             deliver->details.size + strlen(deliver->envelope_id) + 1 +
                             strlen(deliver->auth) + 1 + deliver->small.size);
    fill(mail, deliver, count);
    mail->number = deliver->job;
    mail->arrived_ns = deliver->arrived_ns;
    mail->begin_until_ns = deliver->begin_until_ns;
    mail->transcript = deliver->transcript;
    mail->taken_ns = mail_clock();
    mail->job.eight_bit = (deliver->flags & MAIL_FLAG_8BIT) != 0;
    mail->job.declared_8bit = (deliver->flags & MAIL_FLAG_8BITMIME) != 0;
    mail->job.smtputf8 = (deliver->flags & MAIL_FLAG_SMTPUTF8) != 0;
    mail->job.context = mail;
    return mail;
}

void
mail_free(struct mail *mail)
{
    if (mail->job.content.descriptor >= 0)
        close(mail->job.content.descriptor);
    if (mail->job.encoded.descriptor >= 0)
        close(mail->job.encoded.descriptor);
    if (mail->transcript >= 0)
        close(mail->transcript);
    free(mail);
}

struct mail *
mail_in_session(const struct transaction *transaction, uint64_t number)
{
    for (size_t i = 0; i < transaction->job_count; i++) {
        struct mail *mail =
            transaction->jobs[(transaction->first_job + i) % TRANSACTION_JOBS_MAX]->context;

        if (mail->number == number)
            return mail;
    }
    return NULL;
}

/* A line: BEFORE is ours, the rest may come from outside. */
static void
append(const struct mail *mail, const char *before, const char *line, size_t length)
{
    char text[LINE_SIZE];
    size_t used = strlcpy(text, before, sizeof(text));

    text_escape_bytes(text + used, sizeof(text) - used - 1, line, length);
    used = strlcat(text, "\n", sizeof(text));
    if (write(mail->transcript, text, used) != (ssize_t)used)
        log_debug("%s: its transcript cannot be written", mail->id);
}

void
mail_transcribe(struct mail *mail, const char *relay, bool by_us, const char *line, size_t length)
{
    char text[LINE_SIZE];

    if (mail->transcript < 0)
        return;
    if (!mail->transcribed) {
        text_format(text, sizeof(text), "%.*s:", (int)strcspn(relay, "["), relay);
        append(mail, "... while talking to ", text, strlen(text));
    }
    mail->transcribed = true;
    append(mail, by_us ? ">>> " : "<<< ", line, length);
}

/* Who does not get it, in sendmail's words. */
static void
transcribe_result(const struct mail *mail, size_t recipient, enum stage stage,
    const struct decision *decision, const struct reply *reply)
{
    const char *address = mail->job.recipients[recipient].address;
    char enhanced[ENHANCED_TEXT_SIZE];
    char text[LINE_SIZE];

    if (mail->transcript < 0 || decision->outcome == OUTCOME_SENT)
        return;
    if (decision->outcome == OUTCOME_DEFERRED)
        text_format(text, sizeof(text), "%s... Deferred: %s", address, reply->words);
    else
        text_format(text, sizeof(text), "%u %s %s... %s", reply->code,
            enhanced_print(decision->enhanced, enhanced), address,
            stage == STAGE_RCPT ? "User unknown" : "Service unavailable");
    append(mail, "", text, strlen(text));
}

/* Seconds with two digits that count, as Postfix shows them. */
static const char *
format_delay(char target[static DELAY_SIZE], int64_t nanoseconds)
{
    double seconds = (double)nanoseconds / 1e9;

    if (seconds < 0.005)
        strlcpy(target, "0", DELAY_SIZE);
    else
        text_format(target, DELAY_SIZE, seconds < 10 ? "%.2g" : "%.0f", seconds);
    return target;
}

static void
log_result(const struct mail *mail, size_t recipient, const struct decision *decision,
    const char *relay, const int64_t delays[static 4], const char *words)
{
    char enhanced[ENHANCED_TEXT_SIZE];
    char shown[5][DELAY_SIZE];
    int64_t total = 0;

    for (size_t i = 0; i < 4; i++) {
        format_delay(shown[i], delays[i]);
        total += delays[i];
    }
    log_info("%s: to=<%s>, relay=%s, delay=%s, delays=%s/%s/%s/%s, dsn=%s, status=%s (%s)",
        mail->id, mail->job.recipients[recipient].address, relay, format_delay(shown[4], total),
        shown[0], shown[1], shown[2], shown[3], enhanced_print(decision->enhanced, enhanced),
        outcome_name(decision->outcome), words);
}

/* Before it was in hand, waiting there, connecting, sending: as Postfix divides the time. */
static void
divide_time(const struct mail *mail, const struct mail_times *times, int64_t delays[static 4])
{
    int64_t started = later(later(mail->taken_ns, times->connected_ns), times->reported_ns);
    int64_t before = later(mail->taken_ns - mail->arrived_ns, 0);
    int64_t waiting = later(started - mail->taken_ns, 0);

    delays[2] = times->reported_ns < times->connected_ns
                    ? later(times->connected_ns - times->opened_ns, 0)
                    : 0;
    if (delays[2] > before + waiting)
        delays[2] = before + waiting;
    delays[1] = later(waiting - delays[2], 0);
    delays[0] = before + waiting - delays[1] - delays[2];
    delays[3] = later(mail_clock() - started, 0);
}

void
mail_report(struct mail *mail, size_t recipient, enum stage stage, const struct reply *reply,
    const char *relay, struct mail_times *times, struct channel *qmgr)
{
    struct decision decision = outcome_decide(stage, reply->code, reply->enhanced);
    char enhanced[ENHANCED_TEXT_SIZE];
    char words[WORDS_SIZE];
    int64_t delays[4];

    divide_time(mail, times, delays);
    strlcpy(words, reply->words, sizeof(words));
    if (stage != STAGE_UNTRIED) {
        log_result(mail, recipient, &decision, relay, delays, words);
        transcribe_result(mail, recipient, stage, &decision, reply);
    }
    mail->told++;
    service_send(qmgr, &(struct message){.type = MESSAGE_RESULT,
                           .result = {.job = mail->number,
                               .recipient = (uint32_t)recipient,
                               .last = mail->told == mail->job.recipient_count,
                               .stage = stage,
                               .code = reply->code,
                               .enhanced = enhanced_print(decision.enhanced, enhanced),
                               .words = words}});
    if (stage != STAGE_UNTRIED)
        times->reported_ns = mail_clock();
}
