/*
 * The headers of a job in sendmail's queue, as they go out.
 */
#ifndef SMAILER_CLEANUP_JOB_HEADER_H
#define SMAILER_CLEANUP_JOB_HEADER_H

#include <stdbool.h>

#include "queue/control_file.h"

#include "cleanup/output.h"

/* A body's and a header's lines of more octets are cut, as sendmail does it. */
enum { JOB_LINE_MAX = 990 };

/* The value of the header NAME, unfolded at its ends only; NULL where there is none. */
const char *job_header_value(const struct control_file *control, const char *name);

/* Appends the headers that go out, each line ended by CRLF, but those called one of EXCEPT (ended
 * by NULL). SENDER stands in for what a Return-Path leaves open. */
void job_headers_write(struct output *output, const struct control_file *control,
    const char *sender, const char *const *except);

/* Appends a line of LENGTH octets and CRLF, cut where it is too long. */
void job_line_write(struct output *output, const char *line, size_t length);

#endif
