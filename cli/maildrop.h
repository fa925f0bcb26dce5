/*
 * Where messages wait while no smailer runs: a directory that everybody may write to and nobody but
 * smailer can look into. A file is whole once its group may read it; its owner is who wrote it.
 */
#ifndef SMAILER_MAILDROP_H
#define SMAILER_MAILDROP_H

#include "lib/error.h"

/* Leaves CONTENT in DIRECTORY, on the disk when it returns true. */
bool maildrop_leave(const char *directory, int content, struct error *error);

#endif
