/*
 * The command line of smailer: options, before or after the command, and words.
 */
#ifndef SMAILER_CLI_OPTIONS_H
#define SMAILER_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Texts are NULL where the option was not given, and lie in argv. */
struct options {
    const char *configuration_directory;
    const char *sid;
    const char *testing;
    const char *tester;
    const char *verbose;
    const char *log_file;
    const char *pid_file;
    const char *mqueue; /* of sendmail: a directory that is the only queue */
    const char *mqueue_interval; /* of sendmail: in place of the configuration's */
    uint32_t states; /* a set of 1 << enum mail_state; 0: not given */
    unsigned timeout; /* seconds; 0: none */
    bool purge;
    bool print;
    bool daemon;
    bool foreground; /* of sendmail, with daemon: do not go to the background after all */
    bool json;
    char **words; /* the command and what follows it */
    int word_count;
};

/* Fills OPTIONS and sorts ARGV, its words last. False where there is nothing left to do but to end
 * with *STATUS: help or the version were printed, or what is wrong was said. */
bool options_parse(struct options *options, int argc, char **argv, int *status);

/* "deferred,sent" as a set; "all" is every state. False where a state does not exist, which is said
 * on standard error. */
bool options_parse_states(const char *text, uint32_t *states);

/* Says on standard error what is wrong, and where help is. Returns EX_USAGE. */
int options_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Of COUNT names, the one that NAME may have been meant to be; NULL where none is like it. */
const char *options_nearest(const char *name, const char *const *names, int count);

/* The place of NAME among COUNT names; -1 where it has none, which is said, and of what kind (WHAT)
 * the names are, and which one may be meant, or else which there are. */
int options_choose(const char *what, const char *name, const char *const *names, int count);

#endif
