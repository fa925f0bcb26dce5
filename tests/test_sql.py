"""The queue in PostgreSQL: rows are claimed, sent and recorded, on one host or on many."""

import datetime
import os
import re
import signal
import time
import zoneinfo

import pytest

from harness import postgresql
from harness.process import wait_for
from harness.smailer import account

FOO = "foo@example.com"
ID = r"\d\d\.\d\d\.\d{10}_[0-9A-F]{16}"


@pytest.mark.main_flow
def test_a_row_is_sent(table, start_on, relay):
    key = table.insert(topic="Zażółć", content="gęślą jaźń")
    instance = start_on(table, {FOO: relay})
    table.wait_for_status(key, "S", smailer=instance)
    mail, = relay.wait(1)
    assert (mail.subject, mail.text) == ("Zażółć", "gęślą jaźń\n")
    assert table.own(key, "key") is None
    assert instance.wait_for_log(rf"17\.10\.2011000011_[0-9A-F]{{16}}: recorded as S, row {key}$", "qmgr")


def numbers(relay):
    return sorted(int(re.search(r"boo(\d+)@", mail.recipients[0]).group(1)) for mail in relay.mails)


def test_many_rows_of_many_senders(table, start_on, make_relay):
    relay = make_relay()
    table.fill(5000, sender="'s' || n % 100 || '@example.com'")
    instance = start_on(table, {"@example.com": account(relay, connections=8)}, log_level="info")
    table.wait_for_counts({"S": 5000}, 60, instance)
    assert numbers(relay) == list(range(1, 5001))
    wait_for(lambda: table.database.value("SELECT count(*) FROM tbl_mails_smailer") == "0", 5)


# What becomes of rows


def test_a_row_is_deferred_and_sent_later(table, start_on, make_relay):
    replies = ["450 4.2.0 mailbox busy"]
    relay = make_relay(lambda stage, mail, address: replies[0] if stage == "rcpt" else None)
    key = table.insert()
    instance = start_on(table, {FOO: relay}, retry_interval="2s")
    table.wait_for_status(key, "d", smailer=instance)
    assert table.own(key, "reason") == "450 4.2.0 mailbox busy"
    assert table.own(key, "first_try IS NOT NULL AND last_try IS NOT NULL AND next_try > now()") == "t"
    entry, = instance.queue()
    assert (entry["state"], entry["file"], entry["attempts"]) == ("deferred", key, 1)
    assert entry["error"] == "450 4.2.0 mailbox busy" and entry["next_attempt"]
    replies[0] = None
    table.wait_for_status(key, "S", smailer=instance)
    assert len(relay.mails) == 1


def test_attempts_end(table, start_on, make_relay):
    relay = make_relay(lambda stage, mail, address: "450 no" if stage == "rcpt" else None)
    key = table.insert()
    instance = start_on(table, {FOO: relay}, retry_interval="200ms", max_attempts=3)
    table.wait_for_status(key, "D", smailer=instance)
    assert table.own(key, "attempts") == "3"
    assert re.search("given up after 3 attempts: 450 no", table.own(key, "reason"))


def test_the_time_of_each_deferred_row_is_met(table, start_on, make_relay):
    """Nothing is polled: each of 60 rows comes back by its own time, twice."""
    tries = {}

    def answer(stage, mail, address):
        if stage != "rcpt":
            return None
        tries[address] = tries.get(address, 0) + 1
        return "450 later" if tries[address] < 3 else None

    relay = make_relay(answer, delay=0.02)
    table.fill(60)
    instance = start_on(table, {FOO: account(relay, connections=2)}, retry_interval="700ms")
    table.wait_for_counts({"S": 60}, 40, instance)
    assert set(tries.values()) == {3} and len(relay.mails) == 60


HOSTILE = {
    "crlf in the address": (dict(address="a@example.org\r\nBcc: x@example.org"), "fld_address"),
    "crlf in the sender": (dict(sender="foo@example.com\nX: y"), "fld_sender"),
    "a list of addresses": (dict(address="a@example.org, b@example.org"), "fld_address"),
    "no address": (dict(address=None), "fld_address is missing"),
    "no sender": (dict(sender=None), "fld_sender is missing"),
    "empty address": (dict(address=""), "fld_address"),
    "control character": (dict(content="a\x01b"), "no mail can carry"),
    "long subject": (dict(topic="x" * 10_000_000), "fld_topic has 10000000 octets"),
    "long sender": (dict(sender="x" * 5000 + "@example.com"), "fld_sender"),
    "too large": (dict(content="x" * 40_000_000), "max_message_size"),
}


def test_hostile_values_are_dropped(table, start_on, relay):
    instance = start_on(table, {FOO: relay}, log_level="info")
    keys = {name: table.insert(**values) for name, (values, reason) in HOSTILE.items()}
    good = table.insert(topic="a\r\nBcc: x@example.org", content="<&>]]>\r\n.\r\n")
    for name, key in keys.items():
        table.wait_for_status(key, "D", smailer=instance)
        assert re.search(HOSTILE[name][1], table.own(key, "reason")), name
    table.wait_for_status(good, "S", smailer=instance)
    mail, = relay.wait(1)
    assert mail.message["Bcc"] is None and mail.text == "<&>]]>\n.\n\n" or mail.text == "<&>]]>\n.\n"


def test_a_large_row_is_sent(table, start_on, relay):
    key = table.insert(content="0123456789\n" * 200_000)
    instance = start_on(table, {FOO: relay}, log_level="info")
    table.wait_for_status(key, "S", smailer=instance)
    assert len(relay.wait(1)[0].text) == 2_200_000


def today(instance):
    """The day where smailer is, or the one before: midnight may pass while a test runs."""
    now = datetime.datetime.now(zoneinfo.ZoneInfo(instance.environment()["TZ"]))
    days = [now, now - datetime.timedelta(days=1)]
    return "(" + "|".join(f"{day:%d[.]%m[.]%Y}" for day in days) + ")"


@pytest.mark.one_identity
@pytest.mark.parametrize("kind, good, bad", [
    ("timestamp", "2011-10-17 00:00:11", "infinity"),
    ("timestamptz", "2011-10-16 22:00:11+00", "infinity"),
    ("text", "17.10.2011 00:00:11", "yesterday"),
    ("varchar(30)", " 17.10.2011 00:00:11 ", "31.02.2011 00:00:00"),
])
def test_the_time_may_be_of_several_types(database, start_on, relay, kind, good, bad):
    """One that is none is replaced by that of the claim, and stops no mail."""
    table = database.table(text=postgresql.TABLE.replace("fld_time    timestamp", f"fld_time {kind}"))
    keys = [table.insert(time=value) for value in (good, bad)]
    instance = start_on(table, {FOO: relay})
    for key in keys:
        table.wait_for_status(key, "S", smailer=instance)
    assert instance.wait_for_log(rf"17\.10\.2011000011_[0-9A-F]{{16}}: recorded as S, row {keys[0]}$", "qmgr")
    assert instance.wait_for_log(
        rf"{today(instance)}\d{{6}}_[0-9A-F]{{16}}: recorded as S, row {keys[1]}$", "qmgr")


def test_no_time_is_the_time_of_the_claim(table, start_on, relay):
    key = table.insert(time=None)
    instance = start_on(table, {FOO: relay})
    table.wait_for_status(key, "S", smailer=instance)
    assert instance.wait_for_log(rf"{today(instance)}\d{{6}}_[0-9A-F]{{16}}: recorded as S", "qmgr")


# The table is the application's


@pytest.mark.parametrize("key, values", [
    ("fld_id uuid PRIMARY KEY DEFAULT gen_random_uuid()", None),
    ("fld_id text PRIMARY KEY", ["a/b", "", "'\"\\{},NULL", "x" * 300, "ż\nółw"]),
    ("fld_id numeric(20, 3) PRIMARY KEY", ["1.5", "2"]),
])
def test_keys_of_any_type(database, start_on, relay, key, values):
    table = database.table(text="CREATE TABLE {name} (" + key + """, extra int, fld_time timestamptz,
        fld_sender varchar(200), fld_address varchar(200), fld_topic text, fld_content text,
        fld_status char(1))""")
    for value in values or [None] * 3:
        table.insert(**({"fld_id": value} if value is not None else {}))
    count = len(values or [None] * 3)
    instance = start_on(table, {FOO: relay})
    table.wait_for_counts({"S": count}, smailer=instance)
    assert len(relay.mails) == count
    assert len(instance.queue("--state", "all")) == count


def test_text_times_and_other_names(database, start_on, relay):
    database.sql("CREATE SCHEMA \"Zla nazwa\"")
    table = database.table("\"Zla nazwa\".\"Listy\"", """CREATE TABLE {name} ("Nr" int PRIMARY KEY,
        czas text, "Od" text, "Do" text, temat text, tresc text, "Stan""s" varchar(1))""")
    database.sql("""INSERT INTO "Zla nazwa"."Listy" VALUES (7, '17.10.2011 00:00:11',
        'foo@example.com', 'boo@example.org', 'T', 'C', NULL)""")
    table.name = "Zla nazwa.Listy"
    instance = start_on(table, {FOO: relay}, section={
        "time": "czas", "sender": "Od", "address": "Do", "topic": "temat", "content": "tresc",
        "status": 'Stan"s'})
    relay.wait(1)
    assert instance.wait_for_log(r"17\.10\.2011000011_[0-9A-F]{16}: recorded as S, row 7", "qmgr")


@pytest.mark.parametrize("key, reason", [
    ("a int, b int, PRIMARY KEY (a, b)", "the primary key of tbl_mails has 2 columns"),
    ("a int", "has no primary key"),
])
def test_tables_without_a_usable_key_are_refused(database, start_on, key, reason):
    table = database.table(text="CREATE TABLE {name} (" + key + """, fld_time text, fld_sender text,
        fld_address text, fld_topic text, fld_content text, fld_status text)""")
    instance = start_on(table, {}, init=False)
    assert instance.wait_for_log(reason, "sql")
    result = instance.cli("--sid", "biblioteka", "init")
    assert result.returncode == 69 and reason in result.stderr
    queue, = instance.status()["queues"]
    assert reason in queue["problem"]


def test_init_is_idempotent_and_can_be_printed(table, start_on):
    instance = start_on(table, {}, init=False, started=False)
    script = instance.cli_ok("--sid", "biblioteka", "init", "--print").stdout
    assert table.database.value("SELECT to_regclass('tbl_mails_smailer') IS NULL") == "t"
    table.database.sql(script)
    table.database.sql(script)
    for _ in range(2):
        instance.cli_ok("--sid", "biblioteka", "init")
    assert instance.cli("init").returncode == 64


def test_a_role_with_few_rights_does_it(table, start_on, relay, database):
    instance = start_on(table, {FOO: relay}, started=False)
    role = f"smailer_{database.name}"
    database.sql(f"""CREATE ROLE {role} LOGIN;
        GRANT SELECT, UPDATE (fld_status) ON tbl_mails TO {role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON tbl_mails_smailer, tbl_mails_smailer_hosts TO {role}""")
    instance.sections = [table.section(conninfo=database.conninfo(role))]
    instance.configure()
    key = table.insert()
    instance.start()
    table.wait_for_status(key, "S", smailer=instance)
    result = instance.cli("--sid", "biblioteka", "init")
    assert result.returncode == 77 and "must be owner" in result.stderr


def test_new_rows_are_noticed_at_once(table, start_on, relay):
    start_on(table, {FOO: relay})
    for number in range(5):
        began = time.monotonic()
        table.insert(address=f"boo{number}@example.org")
        assert relay.wait_for_recipient(f"boo{number}@example.org").arrived - began < 1
    table.database.sql("UPDATE tbl_mails SET fld_status = '' WHERE fld_id = 1")
    relay.wait(6)


def test_without_the_trigger_rows_are_found_by_polling(table, start_on, relay):
    instance = start_on(table, {FOO: relay}, started=False)
    instance.main["scan_interval"] = "500ms"
    instance.configure()
    table.database.sql("DROP TRIGGER smailer_insert ON tbl_mails")
    instance.start()
    key = table.insert()
    table.wait_for_status(key, "S", smailer=instance)


def test_what_the_application_does_meanwhile_is_respected(table, start_on, make_relay):
    relay = make_relay(delay=lambda mail: 2 if not relay.mails else 0)
    keys = [table.insert(address=f"boo{number}@example.org") for number in range(4)]
    instance = start_on(table, {FOO: account(relay, connections=4)})
    wait_for(lambda: relay.stages.count("content") >= 4, 10)
    table.database.sql(f"DELETE FROM tbl_mails WHERE fld_id = {keys[0]};"
                     f"UPDATE tbl_mails SET fld_status = 'D' WHERE fld_id = {keys[1]};"
                     f"UPDATE tbl_mails SET fld_topic = 'New' WHERE fld_id = {keys[2]}")
    table.wait_for_status(keys[3], "S", smailer=instance)
    table.wait_for_status(keys[2], "S", smailer=instance)
    assert table.status(keys[1]) == "D" and table.status(keys[0]) == "gone"
    assert [mail.subject for mail in relay.for_recipient("boo2@example.org")] == ["About", "New"]


def test_rows_stay_unless_the_section_says_otherwise(table, start_on, relay):
    keys = [table.insert(), table.insert(address="no"), table.insert(status="S")]
    instance = start_on(table, {FOO: relay}, section={"keep_sent": "1s"})
    wait_for(lambda: table.status(keys[0]) == "gone", 15)
    table.wait_for_status(keys[1], "D")
    assert table.status(keys[2]) == "S"  # smailer does not know when


@pytest.mark.one_identity
def test_dropped_rows_go_when_the_section_says_so(table, start_on, relay):
    keys = [table.insert(), table.insert(address="no"), table.insert(status="D")]
    instance = start_on(table, {FOO: relay}, section={"keep_dropped": "1s"})
    wait_for(lambda: table.status(keys[1]) == "gone", 15, instance.tail)
    assert table.status(keys[0]) == "S" and table.status(keys[2]) == "D"
    assert table.own(keys[1], "key") is None


@pytest.mark.one_identity
def test_a_listing_tells_all_of_each_state(table, start_on, make_relay):
    relay = make_relay(lambda stage, mail, address: "450 later" if address == "later@example.org" else None)
    keys = {name: table.insert(address=f"{name}@example.org", topic=f"About {name}")
            for name in ("sent", "later")}
    keys["none"] = table.insert(address="none")
    instance = start_on(table, {FOO: relay})
    table.wait_for_counts({"S": 1, "d": 1, "D": 1}, smailer=instance)
    table.database.sql("DROP TRIGGER smailer_insert ON tbl_mails")
    keys["new"] = table.insert(address="new@example.org")
    found = {entry["file"]: entry for entry in instance.queue("--state", "all")}
    states = {"sent": "sent", "later": "deferred", "none": "dropped", "new": "waiting"}
    assert {name: found[key]["state"] for name, key in keys.items()} == states
    entry = found[keys["later"]]
    assert entry["sid"] == entry["queue"] == "biblioteka" and entry["attempts"] == 1
    assert entry["sender"] == FOO and entry["recipients"] == ["later@example.org"]
    assert entry["subject"] == "About later" and entry["error"] == "450 later" and entry["next_attempt"]
    assert "fld_address" in found[keys["none"]]["error"]
    assert [entry["file"] for entry in instance.queue("--state", "deferred")] == [keys["later"]]
    assert instance.queue("someone@example.com", "--state", "all") == []
    queue, = instance.status()["queues"]
    assert [queue[name] for name in ("waiting", "deferred", "sent", "dropped")] == [1, 1, 1, 1]


def test_deferred_rows_of_others_are_taken_in(table, start_on, relay):
    key = table.insert(status="d")
    instance = start_on(table, {FOO: relay}, retry_interval="1s")
    table.wait_for_status(key, "S", smailer=instance)


# Commands


def test_send_queue_and_test_without_a_daemon(table, start_on, make_relay):
    relay = make_relay()
    instance = start_on(table, {FOO: relay}, started=False)
    key = table.insert()
    other = table.insert(status="D")
    line = instance.cli_ok("--sid", "biblioteka", "queue").stdout
    assert re.fullmatch(ID + r": \(foo@example\.com => boo@example\.org\)\n", line)
    assert {entry["state"] for entry in instance.queue("--state", "all")} == {"waiting", "dropped"}
    assert table.status(key) is None
    result = instance.cli_ok("send")
    assert "1" in result.stdout and table.status(key) == "S" and table.status(other) == "D"
    instance.cli_ok("test", FOO, "me@example.org")
    table.insert()
    assert instance.master("--once").returncode == 0
    assert table.counts() == {"S": 2, "D": 1}


def test_send_tries_deferred_rows_at_once(table, start_on, make_relay):
    replies = ["450 later"]
    relay = make_relay(lambda stage, mail, address: replies[0] if stage == "rcpt" else None)
    keys = [table.insert() for _ in range(20)]
    instance = start_on(table, {FOO: relay})
    table.wait_for_counts({"d": 20}, smailer=instance)
    assert instance.cli("send").returncode == 69
    replies[0] = None
    instance.cli_ok("--sid", "biblioteka", "send")
    assert table.counts() == {"S": 20}
    assert {queue["sent"] for queue in instance.status()["queues"]} == {20}


def test_testing_leaves_the_table_as_it_is(table, start_on, relay):
    key = table.insert()
    instance = start_on(table, {FOO: relay}, started=False)
    instance.cli_ok("send", "--testing", "me@example.org")
    assert table.status(key) is None and relay.wait(1)[0].recipients == ["me@example.org"]
    instance.cli_ok("send", "--testing", "me@example.org", "--purge")
    assert table.status(key) == "D"


# A database that is away


@pytest.mark.own_cluster
def test_the_database_is_restarted(table, start_on, make_relay):
    relay = make_relay(delay=0.01)
    table.fill(1000)
    instance = start_on(table, {FOO: account(relay, connections=8)}, log_level="info")
    wait_for(lambda: len(relay.mails) > 200, 20)
    table.database.server.stop()
    queue, = instance.status()["queues"]
    assert queue["problem"]
    table.database.server.start()
    table.wait_for_counts({"S": 1000}, 30, instance)
    assert numbers(relay) == list(range(1, 1001))
    assert instance.status()["queues"][0]["problem"] in (None, "")


@pytest.mark.own_cluster
def test_what_was_sent_is_recorded_after_a_restart(table, start_on, make_relay):
    """smailer ends while the database is away: what it sent is in its journal."""
    relay = make_relay(delay=2)
    keys = [table.insert(address=f"boo{number}@example.org") for number in range(1, 4)]
    instance = start_on(table, {FOO: account(relay, connections=4)})
    wait_for(lambda: relay.stages.count("content") >= 3, 10)
    table.database.server.stop("immediate")
    relay.wait(3)
    assert instance.stop() == 0
    table.database.server.start()
    assert table.status(keys[0]) is None
    instance.start()
    table.wait_for_counts({"S": 3}, smailer=instance)
    assert len(relay.mails) == 3
    assert instance.wait_for_log("was in the journal", "sql")


def test_a_read_only_database_concerns_that_queue_only(table, start_on, relay, database):
    instance = start_on(table, {FOO: relay})
    database.sql(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on;"
                 "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                 " WHERE application_name = 'smailer' AND datname = current_database()")
    assert instance.wait_for_log("read-only transaction", "sql")
    wait_for(lambda: "read-only" in (instance.status()["queues"][0]["problem"] or ""), 5)
    database.sql("SET default_transaction_read_only = off; INSERT INTO tbl_mails (fld_sender,"
                 " fld_address) VALUES ('foo@example.com', 'boo@example.org');"
                 f"ALTER DATABASE {database.name} RESET default_transaction_read_only")
    relay.wait(1, 20)


# More than one host


@pytest.fixture
def hosts(smailer, table):
    made = []

    def begin(count, relay, lease="20s"):
        for _ in range(count):
            instance = smailer({FOO: account(relay, connections=4)}, {}, started=False,
                               log_level="info")
            instance.sections.append(table.section(lease=lease))
            instance.configure()
            made.append(instance)
        made[0].cli_ok("--sid", "biblioteka", "init")
        return [instance.start() for instance in made]

    yield begin
    for instance in made:  # none of them is what another one left behind
        instance.stop()


# SMAILER_FULL=yes: as many as the promise is about.
ROWS = 30000 if os.environ.get("SMAILER_FULL") else 3000


@pytest.mark.one_identity
def test_three_hosts_send_each_mail_once(table, hosts, make_relay):
    relay = make_relay()
    table.fill(ROWS)
    instances = hosts(3, relay)
    table.wait_for_counts({"S": ROWS}, 300)
    assert numbers(relay) == list(range(1, ROWS + 1))
    instances[0].wait_for_log("recorded as S", "qmgr")
    assert all(instance.log_lines("recorded as S", "qmgr") for instance in instances)


@pytest.mark.one_identity
def test_one_host_of_three_dies(table, hosts, make_relay):
    relay = make_relay(delay=0.002)
    table.fill(ROWS)
    instances = hosts(3, relay, lease="8s")
    wait_for(lambda: len(relay.mails) > ROWS // 3, 240)
    victim = instances[0]
    pids = [each.pid for each in victim.processes()]
    for pid in [victim.process.pid, *pids]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    table.wait_for_counts({"S": ROWS}, 300, instances[1])
    found = numbers(relay)
    assert sorted(set(found)) == list(range(1, ROWS + 1))
    # What its connections had in hand: the relay does not pipeline, so each has two mails.
    assert len(found) - ROWS <= 4 * 2, len(found) - ROWS


@pytest.mark.own_cluster
@pytest.mark.one_identity
def test_the_database_restarts_under_three_hosts(table, hosts, make_relay):
    relay = make_relay(delay=0.002)
    table.fill(ROWS)
    instances = hosts(3, relay)
    wait_for(lambda: len(relay.mails) > ROWS // 4, 240)
    table.database.server.stop()
    table.database.server.start()
    wait_for(lambda: len(relay.mails) > ROWS // 2, 240)
    table.database.server.stop("immediate")
    table.database.server.start()
    table.wait_for_counts({"S": ROWS}, 300, instances[0])
    assert numbers(relay) == list(range(1, ROWS + 1))
