/*
 * What a server can do, from the lines of its reply to EHLO (RFC 5321, section 4.1.1.1).
 */
#ifndef SMAILER_SMTP_CAPABILITY_H
#define SMAILER_SMTP_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capabilities {
    bool pipelining; /* RFC 2920 */
    bool eight_bit; /* 8BITMIME, RFC 6152 */
    bool smtputf8; /* RFC 6531 */
    bool dsn; /* RFC 3461 */
    bool size; /* RFC 1870 */
    bool starttls;
    bool login; /* AUTH */
    bool deliver_by; /* DELIVERBY, RFC 2852 */
    bool enhanced_codes; /* ENHANCEDSTATUSCODES, RFC 2034 */
    uint64_t size_limit; /* octets of the largest mail; 0: none told */
    uint64_t least_time; /* seconds that a mail which has to be in time must have left */
};

/* Adds what LINE offers: its keyword and parameters, without code and line end. Keywords that mean
 * nothing here are passed over. */
void capabilities_add(struct capabilities *capabilities, const char *line, size_t length);

#endif
