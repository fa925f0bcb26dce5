#include "sql/drain.h"
#include "lib/service.h"
#include "sql/claim.h"
#include "sql/offer.h"
#include "sql/record.h"
#include "sql/release.h"
#include "sql/session.h"

static struct {
    bool begun;
    bool said;
} drain;

bool
drain_has_begun(void)
{
    return drain.begun;
}

void
drain_begin(void)
{
    drain.begun = true;
    claim_stop();
    offer_stop();
    record_pump();
    drain_check();
}

void
drain_check(void)
{
    if (!drain.begun || drain.said || offer_count() > 0)
        return;
    if (session_serves() && (claim_is_busy() || release_is_busy() || record_is_busy()))
        return;
    drain.said = true;
    service_drained(-1);
}
