#include <stdio.h>
#include <string.h>

#include "cleanup/time.h"

enum { TEXT_MAX = 64, FIRST_YEAR = 1970, LAST_YEAR = 9999, TM_YEAR_BASE = 1900 };

static int
days_in_month(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : DAYS[month - 1];
}

static bool
exists(int year, int month, int day, int hour, int minute, int second)
{
    return year >= FIRST_YEAR && year <= LAST_YEAR && month >= 1 && month <= 12 && day >= 1 &&
           day <= days_in_month(year, month) && hour >= 0 && hour <= 23 && minute >= 0 &&
           minute <= 59 && second >= 0 && second <= 59;
}

bool
time_read(time_t *moment, const char *text, size_t length)
{
    char copy[TEXT_MAX + 1] = {0};
    struct tm parts = {.tm_isdst = -1};
    int year;
    int month;
    int end = 0;
    int end_with_seconds = 0;

    if (length > TEXT_MAX || memchr(text, '\0', length) != NULL)
        return false;
    memcpy(copy, text, length);
    /* NOLINTNEXTLINE(cert-err34-c): numbers of so few digits do not overflow */
    if (sscanf(copy, " %2d.%2d.%4d %2d:%2d %n:%2d %n", &parts.tm_mday, &month, &year,
            &parts.tm_hour, &parts.tm_min, &end, &parts.tm_sec, &end_with_seconds) < 5)
        return false;
    if (copy[end_with_seconds > 0 ? end_with_seconds : end] != '\0' ||
        !exists(year, month, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec))
        return false;
    parts.tm_year = year - TM_YEAR_BASE;
    parts.tm_mon = month - 1;
    *moment = mktime(&parts);
    return *moment != (time_t)-1;
}
