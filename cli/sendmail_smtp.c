/*
 * sendmail -bs: SMTP on standard input and output, as some mail programs hand over a message. It
 * says no more than RFC 5321 demands; the messages go where those of sendmail -t go.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "cli/output.h"
#include "cli/sendmail_command.h"
#include "lib/memory.h"
#include "lib/text.h"

#define RECIPIENTS_MAX 1000 /* of one message */
#define LINE_SIZE 2048 /* RFC 5321, section 4.5.3.1.4, and some more */

/* A conversation. */
struct talk {
    struct sendmail_options options; /* of the message that is being given */
    bool has_sender;
    char sender[LINE_SIZE];
    char *recipients[RECIPIENTS_MAX];
    int recipient_count;
    bool over;
};

static void
say(const char *line)
{
    fputs(line, stdout);
    fputs("\r\n", stdout);
    fflush(stdout);
}

static void
forget(struct talk *talk)
{
    while (talk->recipient_count > 0)
        free(talk->recipients[--talk->recipient_count]);
    talk->has_sender = false;
    talk->options.body_type = NULL;
}

/* The path behind "FROM:" or "TO:", between its brackets, in TARGET; what comes behind it in *REST.
 * False where there is none. */
static bool
take_path(const char *text, const char *word, char target[LINE_SIZE], const char **rest)
{
    const char *end;

    if (strncasecmp(text, word, strlen(word)) != 0)
        return false;
    text += strlen(word);
    text += strspn(text, " ");
    end = text[0] == '<' ? strchr(text, '>') : NULL;
    if (end == NULL)
        return false;
    text_format(target, LINE_SIZE, "%.*s", (int)(end - text - 1), text + 1);
    *rest = end + 1;
    return true;
}

static void
take_mail(struct talk *talk, const char *text)
{
    const char *rest;

    if (talk->has_sender) {
        say("503 5.5.0 Sender already specified");
    } else if (!take_path(text, "FROM:", talk->sender, &rest)) {
        say("501 5.5.2 Syntax error in parameters scanning \"FROM\"");
    } else {
        talk->has_sender = true;
        talk->options.body_type = strcasestr(rest, " BODY=8BITMIME") != NULL ? "8BITMIME" : NULL;
        say("250 2.1.0 Sender ok");
    }
}

static void
take_recipient(struct talk *talk, const char *text)
{
    char recipient[LINE_SIZE];
    const char *rest;

    if (!talk->has_sender) {
        say("503 5.0.0 Need MAIL before RCPT");
    } else if (!take_path(text, "TO:", recipient, &rest) || recipient[0] == '\0') {
        say("501 5.5.2 Syntax error in parameters scanning \"TO\"");
    } else if (talk->recipient_count == RECIPIENTS_MAX) {
        say("452 4.5.3 Too many recipients");
    } else {
        talk->recipients[talk->recipient_count++] = memory_copy_text(recipient);
        say("250 2.1.5 Recipient ok");
    }
}

static void
take_data(struct talk *talk, const char *text)
{
    int status;

    (void)text;
    if (talk->recipient_count == 0) {
        say("503 5.0.0 Need RCPT (recipient)");
        return;
    }
    say("354 Enter mail, end with \".\" on a line by itself");
    talk->options.sender = talk->sender;
    talk->options.words = talk->recipients;
    talk->options.word_count = talk->recipient_count;
    status = sendmail_take(&talk->options);
    say(status == EX_OK         ? "250 2.0.0 Message accepted for delivery"
        : status == EX_TEMPFAIL ? "451 4.3.0 Message not accepted now: try again"
                                : "554 5.6.0 Message not accepted");
    forget(talk);
}

static void
take_hello(struct talk *talk, const char *text)
{
    (void)text;
    forget(talk);
    say("250 smailer");
}

static void
take_extended_hello(struct talk *talk, const char *text)
{
    (void)text;
    forget(talk);
    say("250-smailer\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME");
}

static void
take_reset(struct talk *talk, const char *text)
{
    (void)text;
    forget(talk);
    say("250 2.0.0 Reset state");
}

static void
take_nothing(struct talk *talk, const char *text)
{
    (void)talk;
    (void)text;
    say("250 2.0.0 OK");
}

static void
take_verify(struct talk *talk, const char *text)
{
    (void)talk;
    (void)text;
    say("252 2.5.2 Cannot VRFY user; try RCPT to attempt delivery");
}

static void
take_quit(struct talk *talk, const char *text)
{
    (void)text;
    talk->over = true;
    say("221 2.0.0 closing connection");
}

static void
take_line(struct talk *talk, char *line)
{
    static const struct {
        const char *verb;
        void (*take)(struct talk *talk, const char *text);
    } VERBS[] = {{"HELO", take_hello}, {"EHLO", take_extended_hello}, {"MAIL", take_mail},
        {"RCPT", take_recipient}, {"DATA", take_data}, {"RSET", take_reset}, {"NOOP", take_nothing},
        {"VRFY", take_verify}, {"QUIT", take_quit}};
    size_t length = strcspn(line, " ");
    const char *text = line + length + strspn(line + length, " ");

    for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++) {
        if (length == 4 && strncasecmp(line, VERBS[i].verb, 4) == 0) {
            VERBS[i].take(talk, text);
            return;
        }
    }
    say("500 5.5.1 Command unrecognized");
}

int
sendmail_smtp(const struct sendmail_options *options)
{
    struct talk talk = {.options = *options};
    char line[LINE_SIZE];

    talk.options.from_headers = false;
    talk.options.ignore_dots = false;
    say("220 smailer ESMTP");
    while (!talk.over && fgets(line, sizeof(line), stdin) != NULL) {
        bool is_whole = strchr(line, '\n') != NULL;

        line[strcspn(line, "\r\n")] = '\0';
        if (is_whole) {
            take_line(&talk, line);
        } else {
            talk.over = true;
            say("500 5.5.2 Line too long");
        }
    }
    forget(&talk);
    return output_end(EX_OK);
}
