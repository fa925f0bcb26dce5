/* Any octets as a control file of sendmail's queue. */
#include <stddef.h>
#include <stdint.h>

#include "queue/control_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_file file;
    struct error error;

    control_file_parse(&file, (const char *)data, size, &error);
    control_file_free(&file);
    return 0;
}
