/*
 * The command line of smailer-master.
 */
#ifndef SMAILER_MASTER_OPTIONS_H
#define SMAILER_MASTER_OPTIONS_H

#include <stdbool.h>

/* Texts are NULL where the option was not given; paths are absolute. */
struct options {
    char *configuration_directory;
    char *log_file;
    char *pid_file;
    const char *testing;
    const char *tester;
    const char *verbose;
    char *mqueue; /* the only queue's directory */
    const char *mqueue_interval;
    bool purge;
    bool detach;
    bool check;
    bool print_run_directory;
    bool print_state_directory;
    bool once;
    int client; /* the descriptor of the one client this tree is for, or -1 */
};

/* Fills OPTIONS, which options_free empties. False where there is nothing left to do but to end
 * with *STATUS: help or the version were asked for, or the usage is wrong and that was said. */
bool options_parse(struct options *options, int argc, char **argv, int *status);

void options_free(struct options *options);

/* True where the programs are started for one run, and end with it. */
bool options_on_demand(const struct options *options);

#endif
