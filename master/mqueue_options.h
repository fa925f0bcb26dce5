/*
 * What sendmail(8) and the init script say about sendmail's queues, in place of main.cf.
 */
#ifndef SMAILER_MQUEUE_OPTIONS_H
#define SMAILER_MQUEUE_OPTIONS_H

#include <stdbool.h>

#include "lib/configuration.h"
#include "lib/error.h"
#include "master/options.h"

/* With --mqueue, that directory becomes the only queue; its other settings are the first mqueue
 * section's. With --mqueue-interval, or QPI in the environment ("30m"; a number: minutes), that is
 * the interval of all of them. */
bool mqueue_options_apply(
    const struct options *options, struct configuration *configuration, struct error *error);

#endif
