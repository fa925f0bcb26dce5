#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "token/answer.h"

static void
wipe_and_free(void *block)
{
    if (block != NULL)
        explicit_bzero(block, malloc_usable_size(block));
    free(block);
}

void
answer_prepare(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

/* A bearer token (RFC 6750, section 2.1) is of printable ASCII without blanks; anything else could
 * become a part of the login that it stands in (RFC 7628, section 3.1). */
static bool
take_token(const char *text, size_t length, struct answer *answer, struct error *error)
{
    if (length == 0)
        return error_set(error, "printed no token");
    if (length >= sizeof(answer->token))
        return error_set(error, "printed a token of %zu octets, expected %zu at the most", length,
            sizeof(answer->token) - 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return error_set(error, "printed a token with octets that no token has");
    }
    memcpy(answer->token, text, length);
    answer->token[length] = '\0';
    return true;
}

static void
take_lifetime(double seconds, struct answer *answer)
{
    answer->lifetime = 0;
    if (seconds * 1000 >= (double)ANSWER_LIFETIME_MOST)
        answer->lifetime = ANSWER_LIFETIME_MOST;
    else if (seconds > 0)
        answer->lifetime = (int64_t)(seconds * 1000);
}

/* True where TEXT is a number and nothing else. */
static bool
read_seconds(const char *text, double *seconds)
{
    char *end;

    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && *seconds == *seconds;
}

/* ---- an OAuth response ---- */

static bool
take_error_response(const json_t *response, struct error *error)
{
    const char *code = json_string_value(json_object_get(response, "error"));
    const char *words = json_string_value(json_object_get(response, "error_description"));

    if (code == NULL)
        return error_set(error, "printed JSON without an access_token");
    return error_set(error, "got no token: %.100s%s%.200s", code, words != NULL ? ": " : "",
        words != NULL ? words : "");
}

/* Some servers write the number as a string. */
static bool
take_expires_in(const json_t *value, struct answer *answer)
{
    double seconds;

    if (value == NULL)
        return true;
    if (json_is_number(value))
        seconds = json_number_value(value);
    else if (!json_is_string(value) || !read_seconds(json_string_value(value), &seconds))
        return false;
    take_lifetime(seconds, answer);
    return true;
}

static bool
take_response(const json_t *response, struct answer *answer, struct error *error)
{
    const json_t *token = json_object_get(response, "access_token");

    if (!json_is_string(token))
        return take_error_response(response, error);
    if (!take_expires_in(json_object_get(response, "expires_in"), answer))
        return error_set(error, "printed an expires_in that is no number of seconds");
    return take_token(json_string_value(token), json_string_length(token), answer, error);
}

static bool
read_response(const char *octets, size_t length, struct answer *answer, struct error *error)
{
    json_error_t problem;
    json_t *response = json_loadb(octets, length, JSON_REJECT_DUPLICATES, &problem);
    bool taken;

    /* libjansson's words have a piece of the text in them. */
    if (response == NULL)
        return error_set(error, "printed JSON that has a mistake in line %d",
            problem.line > 0 ? problem.line : 1);
    taken = take_response(response, answer, error);
    json_decref(response);
    return taken;
}

/* ---- lines ---- */

/* The octets of the line at OCTETS, with its end; *TEXT of them without it. */
static size_t
measure_line(const char *octets, size_t length, size_t *text)
{
    const char *end = memchr(octets, '\n', length);
    size_t line = end != NULL ? (size_t)(end - octets) : length;

    *text = line;
    if (line > 0 && octets[line - 1] == '\r')
        *text = line - 1;
    return end != NULL ? line + 1 : line;
}

static bool
take_second_line(const char *text, size_t length, struct answer *answer, struct error *error)
{
    static const char KEY[] = "expires_in ";
    char line[64] = "";
    double seconds;

    if (length >= sizeof(line) || memchr(text, '\0', length) != NULL)
        return error_set(error, "printed a second line that is not \"expires_in SECONDS\"");
    memcpy(line, text, length);
    if (strncmp(line, KEY, sizeof(KEY) - 1) != 0 || !read_seconds(line + sizeof(KEY) - 1, &seconds))
        return error_set(error, "printed a second line that is not \"expires_in SECONDS\"");
    take_lifetime(seconds, answer);
    return true;
}

static bool
read_lines(const char *octets, size_t length, struct answer *answer, struct error *error)
{
    size_t text;
    size_t used = measure_line(octets, length, &text);

    if (!take_token(octets, text, answer, error))
        return false;
    while (used < length) {
        const char *line = octets + used;

        used += measure_line(line, length - used, &text);
        if (text > 0 && !take_second_line(line, text, answer, error))
            return false;
    }
    return true;
}

bool
answer_read(const char *octets, size_t length, struct answer *answer, struct error *error)
{
    size_t blanks = 0;

    answer->token[0] = '\0';
    answer->lifetime = ANSWER_LIFETIME_STANDARD;
    while (blanks < length && strchr(" \t\r\n", octets[blanks]) != NULL && octets[blanks] != '\0')
        blanks++;
    if (blanks < length && octets[blanks] == '{')
        return read_response(octets + blanks, length - blanks, answer, error);
    return read_lines(octets, length, answer, error);
}
