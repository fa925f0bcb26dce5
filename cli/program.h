/*
 * The programs that this one is, by name.
 */
#ifndef SMAILER_PROGRAM_H
#define SMAILER_PROGRAM_H

/* smailer(1); returns the exit status. */
int smailer_main(int argc, char **argv);

#endif
