/*
 * Which smailer this is.
 */
#ifndef SMAILER_VERSION_H
#define SMAILER_VERSION_H

#define SMAILER_VERSION "0.1"

#endif
