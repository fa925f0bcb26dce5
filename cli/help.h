/*
 * What `smailer --help` says.
 */
#ifndef SMAILER_HELP_H
#define SMAILER_HELP_H

extern const char HELP_TEXT[];

#endif
