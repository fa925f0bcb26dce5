/*
 * Who gets which mail: the accounts' jobs go to their workers, and more of these are started where
 * that helps.
 */
#ifndef SMAILER_QMGR_SERVE_H
#define SMAILER_QMGR_SERVE_H

/* Serves all accounts that have jobs. Those that have the fewest connections come first, and of
 * these the one that has waited longest: a place that was freed for it would go to who gave it up
 * else. */
void serve_all(void);

#endif
