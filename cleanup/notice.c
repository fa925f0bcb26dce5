#include "cleanup/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/sealed.h"
#include "lib/text.h"

#include "cleanup/output.h"

enum { CONTENT_MAX = 1 << 30, FULL_MAX = 10 << 20, MENTIONS_MAX = 2000, TEXT_MAX = 2048 };

/* A recipient, as NOTICE has it. */
struct mention {
    const char *address;
    const char *original;
    const char *action;
    const char *status;
    const char *words;
    const char *relay;
};

struct work {
    const struct message_notice *notice;
    struct mention mentions[MENTIONS_MAX];
    size_t count;
    bool failed; /* somebody did not get it */
    bool delayed; /* somebody has not got it yet */
    char boundary[64];
    struct output *output;
};

static bool
take_text(const char **at, size_t *left, const char **text)
{
    const char *end = memchr(*at, '\0', *left);

    if (end == NULL)
        return false;
    *text = *at;
    *left -= (size_t)(end + 1 - *at);
    *at = end + 1;
    return true;
}

static bool
read_mentions(struct work *work, struct error *error)
{
    const char *at = work->notice->recipients.data;
    size_t left = work->notice->recipients.size;

    while (left > 0 && work->count < MENTIONS_MAX) {
        struct mention *mention = &work->mentions[work->count++];

        if (!take_text(&at, &left, &mention->address) ||
            !take_text(&at, &left, &mention->original) ||
            !take_text(&at, &left, &mention->action) || !take_text(&at, &left, &mention->status) ||
            !take_text(&at, &left, &mention->words) || !take_text(&at, &left, &mention->relay))
            return error_set(error, "the recipients of a notice end early");
        work->failed |= strcmp(mention->action, "failed") == 0;
        work->delayed |= strcmp(mention->action, "delayed") == 0;
    }
    return work->count > 0 || error_set(error, "a notice about nobody");
}

/* In one line of ASCII, whatever it is. */
static void
put(struct output *output, const char *before, const char *text, const char *after)
{
    char shown[TEXT_MAX];

    text_escape(shown, sizeof(shown), text);
    for (char *octet = shown; *octet != '\0'; octet++)
        if ((unsigned char)*octet > '~')
            *octet = '?';
    output_text(output, before);
    output_text(output, shown);
    output_text(output, after);
}

/* An address without its angle brackets. */
static void
put_address(struct output *output, const char *before, const char *text, const char *after)
{
    char bare[TEXT_MAX];
    size_t length = strlen(text);

    if (length >= 2 && length < TEXT_MAX && text[0] == '<' && text[length - 1] == '>') {
        memcpy(bare, text + 1, length - 2);
        bare[length - 2] = '\0';
        text = bare;
    }
    put(output, before, text, after);
}

static void
put_date(struct output *output, const char *before, int64_t seconds)
{
    char text[64];
    time_t moment = (time_t)seconds;
    struct tm parts = {0};

    localtime_r(&moment, &parts);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S %z\n", &parts);
    output_text(output, before);
    output_text(output, text);
}

static bool
make_boundary(struct work *work, struct error *error)
{
    uint64_t random[2];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return error_errno(error, "make a boundary");
    text_format(work->boundary, sizeof(work->boundary), "smailer-%016" PRIx64 "%016" PRIx64,
        random[0], random[1]);
    return true;
}

/* As lines of a control file. */
static void
write_header(struct work *work, int64_t now)
{
    struct output *output = work->output;
    const char *host = work->notice->hostname;

    put_date(output, "H??Date: ", now);
    put(output, "H??From: Mail Delivery System <MAILER-DAEMON@", host, ">\n");
    put_address(output, "H??To: ", work->notice->sender, "\n");
    output_format(output, "H??Subject: %s\n",
        work->failed    ? "Undelivered mail returned to sender"
        : work->delayed ? "Warning: mail is delayed (it is still being tried)"
                        : "Return receipt: mail was handed on");
    output_format(output, "H??Message-Id: <%s@", work->boundary);
    put(output, "", host, ">\n");
    output_text(output, "H??Auto-Submitted: auto-replied\nH??MIME-Version: 1.0\n");
    output_format(output,
        "H??Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"%s\"\n",
        work->boundary);
}

/* What is said of a recipient to whom the first sentence does not apply. */
static const char *
remark(const struct work *work, const struct mention *mention)
{
    if (work->failed && strcmp(mention->action, "delayed") == 0)
        return " (still tried)\n";
    if ((work->failed || work->delayed) && strcmp(mention->action, "relayed") == 0)
        return " (handed on)\n";
    return "\n";
}

static void
write_words(struct work *work)
{
    struct output *output = work->output;

    put(output, "This is the mail system at ", work->notice->hostname, ".\n\n");
    output_text(output,
        work->failed ? "Your mail could not be delivered to these recipients:\n\n"
        : work->delayed
            ? "Your mail could not be delivered yet to these recipients.\n"
              "There is no need to send it again: it is still being tried.\n\n"
            : "Your mail for these recipients was handed on to a server that will not tell\n"
              "what becomes of it:\n\n");
    for (size_t i = 0; i < work->count; i++) {
        const struct mention *mention = &work->mentions[i];

        put_address(output, "    <", mention->address, ">");
        output_text(output, remark(work, mention));
        put(output, "        ", mention->words, "\n");
    }
}

/* RFC 3464, section 2.2 */
static void
write_message_fields(struct work *work)
{
    struct output *output = work->output;

    put(output, "Reporting-MTA: dns; ", work->notice->hostname, "\n");
    if (work->notice->envelope_id[0] != '\0')
        put(output, "Original-Envelope-Id: ", work->notice->envelope_id, "\n");
    put_date(output, "Arrival-Date: ", work->notice->created);
    put(output, "X-Queue-Id: ", work->notice->queue_id, "\n");
}

/* "192.0.2.1" or a host's name, of "host[address]:port". */
static void
write_relay(struct output *output, const char *relay)
{
    char host[TEXT_MAX];
    size_t length = strcspn(relay, "[:");

    if (length == 0 || length >= sizeof(host))
        return;
    memcpy(host, relay, length);
    host[length] = '\0';
    put(output, "Remote-MTA: dns; ", host, "\n");
}

/* RFC 3464, section 2.3 */
static void
write_recipient_fields(struct work *work, const struct mention *mention, int64_t now)
{
    struct output *output = work->output;
    bool by_server = mention->words[0] >= '2' && mention->words[0] <= '5';

    output_text(output, "\n");
    if (mention->original[0] != '\0')
        put(output, "Original-Recipient: ", mention->original, "\n");
    put_address(output, "Final-Recipient: rfc822; ", mention->address, "\n");
    put(output, "Action: ", mention->action, "\n");
    put(output, "Status: ", mention->status, "\n");
    write_relay(output, mention->relay);
    put(output, by_server ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: x-smailer; ",
        mention->words, "\n");
    put_date(output, "Last-Attempt-Date: ", now);
    if (strcmp(mention->action, "delayed") == 0)
        put_date(output, "Will-Retry-Until: ", work->notice->expires);
}

/* LENGTH octets whose lines end in CRLF, with LF. */
static void
write_lines(struct output *output, const char *text, size_t length)
{
    const char *end = text + length;

    while (text < end) {
        const char *feed = memchr(text, '\n', (size_t)(end - text));
        size_t count = (size_t)((feed != NULL ? feed : end) - text);

        output_bytes(output, text, count > 0 && text[count - 1] == '\r' ? count - 1 : count);
        output_text(output, "\n");
        text += count + 1;
    }
}

/* Octets of the header that the content begins with. */
static size_t
header_length(const char *content, size_t size)
{
    const char *end = memmem(content, size, "\r\n\r\n", 4);

    return end != NULL ? (size_t)(end - content) + 2 : size;
}

static bool
write_content(struct work *work, struct error *error)
{
    struct output *output = work->output;
    const char *content;
    size_t size;
    bool full;

    if (work->notice->content < 0)
        return true;
    content = sealed_map(work->notice->content, CONTENT_MAX, &size, error);
    if (content == NULL)
        return false;
    full = work->notice->full != 0 && size <= FULL_MAX;
    output_format(output, "\n--%s\nContent-Type: %s\n\n", work->boundary,
        full ? "message/rfc822" : "text/rfc822-headers");
    write_lines(output, content, full ? size : header_length(content, size));
    sealed_unmap(content, size);
    return true;
}

static bool
write_body(struct work *work, int64_t now, struct error *error)
{
    struct output *output = work->output;

    output_format(output, "--%s\nContent-Type: text/plain; charset=us-ascii\n\n", work->boundary);
    write_words(work);
    output_format(output, "\n--%s\nContent-Type: message/delivery-status\n\n", work->boundary);
    write_message_fields(work);
    for (size_t i = 0; i < work->count; i++)
        write_recipient_fields(work, &work->mentions[i], now);
    if (!write_content(work, error))
        return false;
    output_format(output, "\n--%s--\n", work->boundary);
    return true;
}

bool
notice_compose(
    const struct message_notice *notice, int *content, uint64_t *header, struct error *error)
{
    static struct output output;
    static struct work work;
    int64_t now = (int64_t)time(NULL);

    work = (struct work){.notice = notice, .output = &output};
    output_clear(&output);
    if (!read_mentions(&work, error) || !make_boundary(&work, error))
        return false;
    write_header(&work, now);
    *header = output.used;
    if (!write_body(&work, now, error))
        return false;
    *content = sealed_create("notice", output.data, output.used, error);
    return *content >= 0;
}
