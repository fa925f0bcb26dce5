#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "control/sentence.h"
#include "lib/outcome.h"
#include "lib/text.h"

/* Who the sentence is about, between RELAY and its words. */
enum about { ABOUT_NOBODY, ABOUT_SENDER, ABOUT_ADDRESS };

/* "RELAY DID [SENDER or ADDRESS]: WORDS. ADVICE" */
static const struct {
    const char *did;
    enum about about;
    const char *advice;
} STAGES[STAGE_COUNT] = {
    [STAGE_TOKEN] = {"was not connected to, for there is no token to log in with", ABOUT_NOBODY,
        "Run the account's token_command as the user of smailer-token (master.cf), and see "
        "token.log."},
    [STAGE_CONNECT] = {"could not be connected to", ABOUT_NOBODY,
        "Check relay in accounts.cf (name and port), whether this host resolves the name, and "
        "whether a firewall lets it out."},
    [STAGE_TLS] = {"could not be talked to encrypted", ABOUT_NOBODY,
        "Check tls in accounts.cf (starttls mostly goes with port 587 or 25, smtps with 465), and "
        "whether ca_file, or the system's certificates, vouch for the relay's certificate and its "
        "name."},
    [STAGE_GREETING] = {"answered, but does not serve this host", ABOUT_NOBODY,
        "Ask whoever runs the relay, and check that relay in accounts.cf is a mail server's port."},
    [STAGE_EHLO] = {"refused the greeting of this host", ABOUT_NOBODY,
        "Check the name of this host, and ask whoever runs the relay."},
    [STAGE_LOGIN] = {"refused the login", ABOUT_NOBODY,
        "Check user and password (or password_file, or token_command) in accounts.cf, and whether "
        "the relay lets this account log in so, over a connection encrypted as tls says."},
    [STAGE_MAIL] = {"does not take mail from", ABOUT_SENDER,
        "Check that the account may send as this address; user and envelope_from in accounts.cf "
        "say who it is."},
    [STAGE_RCPT] = {"refused the recipient", ABOUT_ADDRESS,
        "Connection and login work. Check the address; where relaying is denied, the account needs "
        "user and password in accounts.cf."},
    [STAGE_DATA] = {"took sender and recipient, but no mail", ABOUT_NOBODY,
        "Ask whoever runs the relay."},
    [STAGE_CONTENT] = {"refused the mail itself", ABOUT_NOBODY,
        "Connection, login, sender and recipient are right. Ask whoever runs the relay why it does "
        "not like the content."},
    [STAGE_UNKNOWN] = {"got the whole mail, but never said whether it took it", ABOUT_NOBODY,
        "It may have arrived or not: look into the mailbox, and ask whoever runs the relay."},
};

static const char *
choose_about(enum about about, const char *sender, const char *address)
{
    const char *const whom[] = {
        [ABOUT_NOBODY] = "", [ABOUT_SENDER] = sender, [ABOUT_ADDRESS] = address};

    return whom[about];
}

/* The relay's code, and what it says; any of the three may be missing. */
static void
quote(char *target, size_t size, const struct message_tried *tried)
{
    char code[16] = "";

    if (tried->code != 0)
        text_format(code, sizeof(code), "%u ", tried->code);
    text_format(target, size, "%s%s%s%s", code, tried->enhanced, tried->enhanced[0] ? " " : "",
        tried->words[0] != '\0' ? tried->words : "(it did not say why)");
}

/* The words without the code, where they begin with it anyway. */
static const char *
words_of(const struct message_tried *tried, char *target, size_t size)
{
    char code[16];

    text_format(code, sizeof(code), "%u", tried->code);
    if (tried->code != 0 && strncmp(tried->words, code, 3) == 0)
        return tried->words;
    quote(target, size, tried);
    return target;
}

int
sentence_make(char *target, size_t size, const struct message_tried *tried, const char *sender,
    const char *address)
{
    char quoted[1100];
    const char *words = words_of(tried, quoted, sizeof(quoted));
    const char *relay = tried->relay[0] != '\0' ? tried->relay : "the relay";
    const char *whom;

    if (tried->outcome == OUTCOME_SENT) {
        text_format(target, size, "The account works: %s took the test mail from %s to %s (%s).",
            relay, sender, address, words);
        return EX_OK;
    }
    if (tried->stage >= STAGE_COUNT || STAGES[tried->stage].did == NULL) {
        text_format(target, size, "The test mail from %s to %s was not sent: %s.", sender, address,
            tried->words[0] != '\0' ? tried->words : "nothing says why");
        return EX_UNAVAILABLE;
    }
    whom = choose_about(STAGES[tried->stage].about, sender, address);
    text_format(target, size, "%s %s%s%s: %s. %s", relay, STAGES[tried->stage].did,
        whom[0] != '\0' ? " " : "", whom, words, STAGES[tried->stage].advice);
    return tried->code >= 400 && tried->code < 500 ? EX_TEMPFAIL : EX_UNAVAILABLE;
}
