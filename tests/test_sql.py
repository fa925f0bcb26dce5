"""The queue in PostgreSQL: rows are claimed, sent and recorded, on one host or on many."""

import re
import time

import pytest

from harness import postgresql
from harness.process import stays, wait_for
from harness.smailer import account

FOO = "foo@example.com"
ID = r"\d\d\.\d\d\.\d{10}_[0-9A-F]{16}"


@pytest.fixture
def database():
    if postgresql.programs() is None:
        pytest.fail("PostgreSQL is not installed")
    server = postgresql.PostgreSQL().start()
    yield server
    server.end()


@pytest.fixture
def table(database):
    return database.table()


@pytest.fixture
def start(smailer):
    """Starts a smailer on a table, after `init`."""
    def begin(table, accounts, init=True, started=True, section=None, **settings):
        section = {"lease": "5s", **(section or {})}
        instance = smailer(accounts, {}, started=False, scan_interval="1h", **settings)
        instance.sections.append(table.section(**section))
        instance.configure()
        if init:
            instance.cli_ok("--sid", "biblioteka", "init")
        return instance.start() if started else instance
    return begin


@pytest.mark.main_flow
def test_a_row_is_sent(table, start, relay):
    key = table.insert(topic="Zażółć", content="gęślą jaźń")
    instance = start(table, {FOO: relay})
    table.wait_for_status(key, "S", smailer=instance)
    mail, = relay.wait(1)
    assert (mail.subject, mail.text) == ("Zażółć", "gęślą jaźń\n")
    assert table.own(key, "key") is None
    assert instance.wait_for_log(rf"17\.10\.2011000011_[0-9A-F]{{16}}: recorded as S, row {key}$", "qmgr")
