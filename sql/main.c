/*
 * smailer-sql: finds mails in a table, and records there what becomes of them.
 */
#include "lib/service.h"

static const struct service SERVICE = {
    .role = ROLE_SQL,
};

int
main(int argc, char **argv)
{
    return service_main(&SERVICE, argc, argv);
}
