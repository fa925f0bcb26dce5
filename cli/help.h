/*
 * What `smailer --help` and `sendmail --help` say.
 */
#ifndef SMAILER_HELP_H
#define SMAILER_HELP_H

extern const char HELP_TEXT[];
extern const char SENDMAIL_HELP_TEXT[];

#endif
