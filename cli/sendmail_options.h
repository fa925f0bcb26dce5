/*
 * The command line of sendmail, as sendmail 8.17 reads it.
 */
#ifndef SMAILER_SENDMAIL_OPTIONS_H
#define SMAILER_SENDMAIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/mailq_selection.h"

enum sendmail_mode {
    SENDMAIL_SUBMIT, /* -bm, -ba, or nothing: a message is on standard input */
    SENDMAIL_PRINT, /* -bp, mailq */
    SENDMAIL_COUNT, /* -bP */
    SENDMAIL_RUN, /* -q */
    SENDMAIL_DAEMON, /* -bd, -bD, -qTIME */
    SENDMAIL_NOTHING, /* -bi, -bh, -bH, and what only ends */
    SENDMAIL_SMTP, /* -bs */
    SENDMAIL_REFUSED /* -bt, -bv */
};

/* How -oQueueSortOrder sorts. */
enum sendmail_order { ORDER_PRIORITY, ORDER_TIME, ORDER_FILENAME, ORDER_HOST };

/* DSN: whom -N asks to be told when. */
enum { NOTIFY_SUCCESS = 1U, NOTIFY_FAILURE = 2U, NOTIFY_DELAY = 4U };

/* Texts are NULL where the option was not given, and lie in argv. */
struct sendmail_options {
    enum sendmail_mode mode;
    char mode_letter; /* of -b */
    bool verbose;
    bool foreground; /* -qf, -bD */
    int64_t interval; /* -qTIME, in seconds; 0: one run */
    struct mailq_selection selection;
    const char *group; /* -qG */
    const char *queue_directory; /* -oQ */
    const char *configuration; /* -C, where it names a directory */

    /* of a listing */
    enum sendmail_order order;
    int64_t least_age; /* MinQueueAge, seconds */
    int64_t load; /* QueueLA; -1: not given */
    int64_t factor; /* QueueFactor */
    int64_t most; /* MaxQueueRunSize; 0: no limit */

    /* of a message */
    bool from_headers; /* -t */
    bool ignore_dots; /* -i */
    const char *sender; /* -f, -r */
    const char *full_name; /* -F */
    const char *body_type; /* -B: "7BIT", "8BITMIME" */
    bool notify_given; /* -N; NEVER is no bit */
    unsigned int notify;
    const char *return_part; /* -R: "full", "hdrs" */
    const char *envelope_id; /* -V, xtext */
    long hops; /* -h */

    char **words; /* the recipients */
    int word_count;
};

/* Fills OPTIONS; IS_MAILQ: the name was mailq. What is wrong is written to ERRORS in sendmail's
 * words. Returns EX_OK or the status to end with. */
int sendmail_options_parse(
    struct sendmail_options *options, bool is_mailq, int argc, char **argv, FILE *errors);

void sendmail_options_free(struct sendmail_options *options);

/* "1h30m", "15": seconds, where UNIT is that of a number without one. False where it is no such
 * time; *BAD is then the letter that is no unit, or NUL. */
bool sendmail_interval_parse(const char *text, char unit, int64_t *seconds, char *bad);

/* -oX and -OName=value: takes what means something here, and ignores the others as Postfix does. */
void sendmail_setting_short(struct sendmail_options *options, const char *text);
void sendmail_setting_long(struct sendmail_options *options, const char *text);

#endif
