"""The mails in a maildir."""

import email
import email.policy


def files(maildir):
    """Older ones first."""
    return sorted((maildir / "new").glob("*"), key=lambda path: path.stat().st_mtime)


def read(maildir):
    """As messages."""
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in files(maildir)]
