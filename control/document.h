/*
 * The test mail, as an application would write it into a queue.
 */
#ifndef SMAILER_DOCUMENT_H
#define SMAILER_DOCUMENT_H

#include <time.h>

/* A list of one item in XML, in memory of the caller's. The addresses are UTF-8 without control
 * characters; what means something in XML is escaped here. */
char *document_make(const char *sender, const char *address, time_t now);

#endif
