#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "cli/sendmail_options.h"

/* More than any calendar has; the sum cannot overflow. */
#define NUMBER_MAX INT64_C(10000000000)
#define SUM_MAX INT64_C(100000000000000)

static const struct {
    char letter;
    int64_t seconds;
} UNITS[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};

/* 0 where LETTER is no unit. */
static int64_t
find_unit(char letter)
{
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
        if (UNITS[i].letter == letter)
            return UNITS[i].seconds;
    return 0;
}

/* The number that TEXT begins with; what is too large stays at the most. */
static int64_t
read_number(const char **text)
{
    int64_t number = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++)
        if (number < NUMBER_MAX)
            number = number * 10 + (**text - '0');
    return number;
}

bool
sendmail_interval_parse(const char *text, char unit, int64_t *seconds, char *bad)
{
    bool negative = *text == '-';

    *seconds = 0;
    *bad = '\0';
    if (strcasecmp(text, "now") == 0)
        return false;
    text += negative ? 1 : 0;
    while (*text != '\0') {
        int64_t number = read_number(&text);
        char letter = *text != '\0' ? *text++ : unit;
        int64_t factor = find_unit(letter);

        if (factor == 0) {
            *bad = letter;
            return false;
        }
        if (*seconds < SUM_MAX)
            *seconds += (number < SUM_MAX / factor ? number : SUM_MAX / factor) * factor;
    }
    return !negative;
}
