/*
 * Text: formatted within bounds, and what is from outside made safe to show.
 */
#ifndef SMAILER_TEXT_H
#define SMAILER_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Formats into TARGET (SIZE octets; terminated, but where it has none). What does not fit is cut at
 * a character; false where it was, for those to whom it matters. (snprintf is for those who want
 * the length.) */
bool text_format(char *target, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool text_format_list(char *target, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

/* LENGTH, or as much below as ends at a character of TEXT and is at most MOST. */
size_t text_cut(const char *text, size_t length, size_t most);

/* Copies TEXT to TARGET (SIZE octets, always terminated): control characters (C0, DEL, C1) and
 * octets that are no UTF-8 become \ooo, a backslash becomes two. What does not fit is cut at a
 * character. Returns TARGET. */
char *text_escape(char *target, size_t size, const char *text);

/* The same for LENGTH octets, NUL among them. */
char *text_escape_bytes(char *target, size_t size, const void *bytes, size_t length);

/* How many octets the UTF-8 character at BYTES has (1 to 4), 0 where there is none. Overlong forms,
 * surrogates and what is above U+10FFFF are none (RFC 3629, section 3). */
size_t text_character(const void *bytes, size_t length);

/* True where LENGTH octets at BYTES are UTF-8 throughout. */
bool text_is_utf8(const void *bytes, size_t length);

/* True where they are ASCII throughout. */
bool text_is_ascii(const void *bytes, size_t length);

/* True where TEXT can be the value of a parameter of MAIL or RCPT (RFC 5321, esmtp-value). */
bool text_is_esmtp_value(const char *text);

/* How many octets at BYTES are printable ASCII before the first that is not. */
size_t text_plain(const void *bytes, size_t length);

/* True where the UTF-8 character of COUNT octets at BYTES is a control character: C0, DEL, C1. */
bool text_is_control(const void *bytes, size_t count);

#endif
