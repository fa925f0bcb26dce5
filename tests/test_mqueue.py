"""Sendmail's queue: its jobs are sent, rewritten and finished as sendmail does it."""

import email
import email.policy
import os
import re
import time

import pytest

from harness.mqueue import Case, Mqueue, cases
from harness.process import stays, wait_for
from harness.smailer import account

ADDRESS = "foo@example.com"


@pytest.fixture
def mqueue(smailer, tmp_path_factory):
    """Makes a Smailer with a queue: mqueue(accounts, section's settings, ...)."""

    def make(accounts, settings=None, started=True, **main):
        instance = smailer(accounts, {}, started=False, **main)
        instance.mqueue = Mqueue(instance.identity, instance.root / "mqueue")
        instance.sections.append(instance.mqueue.section(
            **{"hostname": "host.example.org", "interval": "1h", **(settings or {})}))
        instance.configure()
        return instance.start() if started else instance

    return make


def wait_for_names(instance, names, limit=20):
    wait_for(lambda: instance.mqueue.names() == sorted(names), limit,
             lambda: f"{sorted(names)}; there are {instance.mqueue.names()}\n{instance.tail()}")


def test_a_job_is_sent_and_removed(mqueue, relay):
    instance = mqueue({"default": relay})
    instance.mqueue.put("bob@far.example.net", sender="ann@example.org")
    mail = relay.wait(1)[0]
    assert (mail.sender, mail.recipients) == ("ann@example.org", ["bob@far.example.net"])
    assert mail.content == b"Subject: test\r\n\r\nbody\r\n"
    wait_for_names(instance, [])


def test_each_recipient_has_its_own_outcome(mqueue, make_relay):
    def answer(stage, mail, address):
        return {"bad@x.example": "550 5.1.1 no such user", "late@x.example": "451 4.3.0 busy"}.get(
            address) if stage == "rcpt" else None

    relay = make_relay(answer)
    instance = mqueue({"default": relay})
    id = instance.mqueue.put(["PFD:good@x.example", "PFD:bad@x.example", "PNSD:late@x.example"],
                             sender="ann@example.org")
    notice = relay.wait_for_recipient("ann@example.org")
    wait_for_names(instance, [f"df{id}", f"qf{id}"])
    assert relay.wait_for_recipient("good@x.example").recipients == ["good@x.example"]
    assert instance.mqueue.lines(id, "R") == ["PNSD:late@x.example"]
    assert instance.mqueue.lines(id, "N") == ["1"]
    assert instance.mqueue.lines(id, "P") == ["120000"]
    assert instance.mqueue.lines(id, "M") == ["Deferred: 451 4.3.0 busy"] * 2
    assert notice.sender == "" or notice.sender is None or notice.sender == "<>"
    parts = list(notice.message.walk())
    assert notice.message.get_content_type() == "multipart/report"
    status = next(part for part in parts if part.get_content_type() == "message/delivery-status")
    fields = status.get_payload()[1]
    assert fields["Final-Recipient"] == "rfc822; bad@x.example"
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert "550 5.1.1 no such user" in fields["Diagnostic-Code"]
    assert "late@x.example" not in str(notice.content)
