/*
 * The control file of a mail in sendmail's queue, qfID: its envelope and its headers, as lines that
 * begin with a letter. Formats 0 (AIX's, without a final dot) to 8 (sendmail 8.17's) are read, 8 is
 * written.
 */
#ifndef SMAILER_QUEUE_CONTROL_FILE_H
#define SMAILER_QUEUE_CONTROL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

#define CONTROL_FILE_VERSION 8 /* the highest that is read, and what is written */
#define CONTROL_FILE_SIZE_MAX (16U << 20) /* octets of a file that is read */
#define CONTROL_FILE_RECIPIENTS_MAX 100000
#define CONTROL_FILE_ADDRESS_MAX 1000 /* octets: a longer one cannot be an address */
#define CONTROL_FILE_NAME_MAX 900 /* octets of a header's name, which has to be on one line */
#define CONTROL_FILE_FLAGS_SIZE 32

/* What is to be done with a file that was read. */
enum control_state {
    CONTROL_GOOD,
    CONTROL_EMPTY, /* of no length: somebody is about to write it */
    CONTROL_INCOMPLETE, /* its final dot is missing: left as it is */
    CONTROL_UNUSABLE, /* it cannot be sent as it is: reported, and left as it is */
    CONTROL_LOST /* no file of ours, or an attack: set aside as Qf */
};

struct control_recipient {
    const char *address; /* as stored, with or without angle brackets */
    char flags[CONTROL_FILE_FLAGS_SIZE]; /* "PFD"; of a format 0 file "PFD" always */
    const char *status; /* of its last try (M), or NULL, as the next three */
    const char *original; /* ORCPT= (Q) */
    const char *final; /* Final-Recipient (r) */
    const char *controller; /* whom a file or program is delivered as (C), in format 8 */
};

struct control_header {
    const char *condition; /* between the question marks; "" for none */
    const char *text; /* "Name: value", folded as it is in the file */
    size_t name_length; /* 0: not a header, which has to be dropped */
};

/* A line that is kept as it is: a macro ($), AUTH= (A), deliver-by (!), MTS (O). */
struct control_kept {
    char letter;
    const char *text;
};

/* Modes of deliver-by, as sendmail numbers them. */
#define CONTROL_BY_NOTIFY 0x01
#define CONTROL_BY_RETURN 0x02
#define CONTROL_BY_TRACE 0x10

struct control_file {
    uint32_t version;
    int64_t created; /* seconds since 1970, 0: unknown (T) */
    int64_t last_attempt; /* the same, 0: none (K) */
    int64_t attempts; /* (N) */
    int64_t priority; /* larger is later (P) */
    char flags[CONTROL_FILE_FLAGS_SIZE]; /* (F) */
    const char *body_type; /* "7BIT", "8BITMIME", or NULL (B) */
    const char *status; /* of the last try, or NULL (M) */
    const char *quarantine; /* why it is held, or NULL (q) */
    const char *sender; /* as stored, NULL: missing (S) */
    const char *auth; /* AUTH=, or NULL (A) */
    int64_t deliver_by; /* seconds after it was created, where there is a mode (!) */
    int deliver_by_mode; /* CONTROL_BY_…, 0: none */
    const char *envelope_id; /* ENVID=, or NULL (Z) */
    const char *data_directory; /* where its df is, NULL: beside it (d) */
    bool terminated; /* the final dot is there */
    struct control_kept *kept;
    size_t kept_count;
    struct control_recipient *recipients;
    size_t recipient_count;
    struct control_header *headers;
    size_t header_count;
    char *text; /* what the others point into */
};

/* Reads LENGTH octets at TEXT. Whatever the state, FILE holds what could be read, and
 * control_file_free() is due; ERROR says why it is not good. */
enum control_state control_file_parse(
    struct control_file *file, const char *text, size_t length, struct error *error);

void control_file_free(struct control_file *file);

/* True where FLAGS have the letter. */
bool control_flag(const char *flags, char letter);

/* Octets that the data file's device and inode stand for; 0 and 0: none known. */
struct control_data {
    uint64_t device;
    uint64_t inode;
};

/* FILE in format 8, ended by a dot; *LENGTH octets of the caller's. Recipients whose address is
 * NULL are left out. */
char *control_file_format(
    const struct control_file *file, const struct control_data *data, size_t *length);

#endif
