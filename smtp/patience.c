#include "smtp/patience.h"

int64_t
patience_with(struct transaction *transaction, const struct account_settings *settings)
{
    enum stage stage = transaction_stage(transaction);
    size_t length;

    if (stage == STAGE_UNKNOWN)
        return settings->final_timeout;
    if (stage == STAGE_CONTENT)
        return settings->data_timeout;
    if (stage == STAGE_UNTRIED && transaction_output(transaction, &length) == NULL)
        return 0;
    return settings->command_timeout;
}
