/*
 * The programs that this one is, by name.
 */
#ifndef SMAILER_PROGRAM_H
#define SMAILER_PROGRAM_H

/* smailer(1); returns the exit status. */
int smailer_main(int argc, char **argv);

/* sendmail(8); returns the exit status. */
int sendmail_main(int argc, char **argv);

/* mailq(1): sendmail -bp. */
int mailq_main(int argc, char **argv);

#endif
