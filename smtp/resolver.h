/*
 * Looking up hosts within a sandbox.
 */
#ifndef SMAILER_SMTP_RESOLVER_H
#define SMAILER_SMTP_RESOLVER_H

/* Loads the modules that nsswitch.conf(5) names for hosts, while that is possible: libc would load
 * them at the first lookup, when nothing can be loaded any more. Those that are not there are
 * passed over, as libc does. */
void resolver_load(void);

#endif
