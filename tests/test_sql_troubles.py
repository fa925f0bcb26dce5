"""The queue in PostgreSQL when the database, or the way to it, is in trouble."""

import os
import signal
import subprocess
import time

import pytest

from harness.process import stays, wait_for
from harness.smailer import account, program
from harness.wire import Wire

FOO = "foo@example.com"

pytestmark = pytest.mark.one_identity

# Words of the statements.
CLAIM, CLAIM_DUE, RECORD = b"looked(sender, n)", b"m.next_try <= now()", b"WITH ORDINALITY"
REGISTER, RECONCILE, RELEASE = b"excluded.session", b"<> ALL ($3::", b"key = ANY ($3::"


@pytest.fixture
def wire(database):
    with Wire(database) as made:
        yield made


def recipients(relay):
    return sorted(mail.recipients[0] for mail in relay.mails)


def wanted(count):
    return sorted(f"boo{number}@example.org" for number in range(1, count + 1))


def problem(smailer):
    return smailer.status()["queues"][0]["problem"] or ""


# Answers that never come


CUTS = {
    "before the session": [REGISTER, RECONCILE],
    "after a claim": [CLAIM, CLAIM, CLAIM],
    "after results were recorded": [RECORD, RECORD, RECORD],
    "after each": [CLAIM, RECORD, REGISTER, CLAIM, RECONCILE, RECORD],
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_a_lost_answer_repeats_nothing(table, start_on, make_relay, wire, cuts):
    """What was committed without smailer's knowing: each row is sent, and sent once."""
    relay = make_relay(delay=0.005)
    table.fill(400)
    instance = start_on(table, {FOO: account(relay, connections=4)}, started=False)
    instance.sections = [table.section(conninfo=wire.conninfo(), lease="20s", batch=50)]
    instance.configure()
    wire.lost += cuts
    instance.start()
    table.wait_for_counts({"S": 400}, 60, instance)
    assert wire.cuts == len(cuts)
    assert recipients(relay) == wanted(400)
    wait_for(lambda: table.database.value("SELECT count(*) FROM tbl_mails_smailer") == "0", 10)


def test_rows_whose_release_was_not_heard_of_are_claimed_again(table, start_on, make_relay, wire):
    """A claim under way when smailer ends is given back; here nobody hears that it was."""
    relay = make_relay(delay=0.5)
    table.fill(300)
    instance = start_on(table, {FOO: account(relay, connections=2)}, started=False)
    instance.sections = [table.section(conninfo=wire.conninfo(), lease="20s")]
    instance.configure()
    instance.start()
    relay.wait(2)
    wire.lost.append(RELEASE)
    assert instance.stop() == 0
    relay.delay = 0
    instance.start()
    table.wait_for_counts({"S": 300}, 30, instance)
    assert recipients(relay) == wanted(300)


def test_a_statement_of_an_old_session_comes_too_late(table, start_on, make_relay, wire):
    """It waited in a connection that is long gone, and would give back a row that is in hand."""
    replies = ["450 later"]
    relay = make_relay(lambda stage, mail, address: replies[0] if stage == "rcpt" else None, delay=3)
    key = table.insert()
    instance = start_on(table, {FOO: relay}, started=False)
    instance.sections = [table.section(conninfo=wire.conninfo(), lease="20s")]
    instance.configure()
    wire.late.append(RECORD)
    instance.start()
    table.wait_for_status(key, "d", smailer=instance)  # recorded by the next session
    assert wire.cuts == 1
    replies[0] = None
    table.database.sql("UPDATE tbl_mails_smailer SET next_try = now()")
    sending = instance.popen(program("smailer"), "-c", instance.conf, "send", stdout=subprocess.DEVNULL)
    wait_for(lambda: relay.stages.count("content") == 1, 10)
    claimant = table.own(key, "claimant")
    assert claimant
    wire.deliver()
    wait_for(lambda: table.database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%WITH ORDINALITY%'"
        " AND state = 'idle' AND pid <> pg_backend_pid()") == "1", 10)
    assert table.own(key, "claimant") == claimant
    table.wait_for_status(key, "S", smailer=instance)
    assert sending.wait(20) == 0 and len(relay.mails) == 1


def test_backends_are_killed_again_and_again(table, start_on, make_relay):
    relay = make_relay(delay=0.01)
    table.fill(400)
    instance = start_on(table, {FOO: account(relay, connections=8)}, section={"lease": "20s"})
    killed = 0
    while table.counts() != {"S": 400}:
        killed += int(table.database.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'smailer' AND datname = current_database()"))
        assert instance.process.poll() is None
    assert killed >= 3
    assert recipients(relay) == wanted(400)


# A database that stands still


@pytest.mark.own_cluster
def test_a_hanging_database_concerns_its_queue_only(table, smailer, start_on, make_relay):
    relay = make_relay()
    instance = smailer({FOO: account(relay, connections=2)}, started=False, scan_interval="1h")
    instance.sections.append(table.section(lease="5s"))
    instance.configure()
    instance.cli_ok("--sid", "biblioteka", "init")
    instance.start()
    table.insert(address="boo1@example.org")
    relay.wait(1)
    server = table.database.server
    server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        instance.base.drop(address="file@example.org")
        assert relay.wait_for_recipient("file@example.org").arrived - began < 3
        queues = {}
        def told():
            queues.update({queue["queue"]: queue["problem"] for queue in instance.status()["queues"]})
            return queues["biblioteka"]
        wait_for(told, 20)
        assert "answer" in queues["biblioteka"] or "timeout" in queues["biblioteka"]
        assert not queues["sowa1"]
    finally:
        server.signal(signal.SIGCONT)
    key = table.insert(address="boo2@example.org")
    table.wait_for_status(key, "S", 30, instance)
    wait_for(lambda: not problem(instance), 10)
    assert recipients(relay) == ["boo1@example.org", "boo2@example.org", "file@example.org"]


def test_a_slow_database_does_not_hold_up_what_is_claimed(table, start_on, make_relay):
    """Each commit of results takes two seconds; hundreds of mails do not wait for it one by one."""
    relay = make_relay()
    table.fill(200)
    table.database.sql("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER UPDATE OF fld_status ON tbl_mails EXECUTE FUNCTION slow()""")
    instance = start_on(table, {FOO: account(relay, connections=4)}, section={"lease": "20s"})
    relay.wait(200, 30)
    table.wait_for_counts({"S": 200}, 60, instance)
    assert recipients(relay) == wanted(200)


def test_a_full_database_takes_the_results_when_there_is_room(table, start_on, make_relay, database):
    """Writing fails as it does on a full disk; what was sent meanwhile is recorded later."""
    relay = make_relay(delay=0.5)
    table.fill(8)
    instance = start_on(table, {FOO: account(relay, connections=2)}, started=False)
    instance.start()
    relay.wait(1)
    database.sql("""
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
        END $$;
        CREATE TRIGGER full_disk BEFORE UPDATE ON tbl_mails EXECUTE FUNCTION full_disk()""")
    wait_for(lambda: "No space left" in problem(instance), 15)
    sent = len(relay.mails)
    database.sql("DROP TRIGGER full_disk ON tbl_mails")
    table.wait_for_counts({"S": 8}, 30, instance)
    assert sent >= 2 and recipients(relay) == wanted(8)
    assert not problem(instance)


def test_one_row_that_cannot_be_written_holds_up_no_other(table, start_on, make_relay, database):
    relay = make_relay()
    database.sql("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.fld_topic = 'no' AND NEW.fld_status = 'S' THEN RAISE EXCEPTION 'not this one'; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON tbl_mails FOR EACH ROW EXECUTE FUNCTION refuse()""")
    bad = table.insert(topic="no", address="boo1@example.org")
    good = [table.insert(address=f"boo{number}@example.org") for number in range(2, 6)]
    instance = start_on(table, {FOO: relay})
    for key in good:
        table.wait_for_status(key, "S", smailer=instance)
    wait_for(lambda: "not this one" in problem(instance), 10)
    database.sql("DROP TRIGGER refuse ON tbl_mails")
    table.wait_for_status(bad, "S", smailer=instance)
    assert recipients(relay) == wanted(5)


# Leases


def test_no_mail_is_begun_on_a_lease_about_to_end(table, start_on, make_relay, wire):
    """Not by qmgr, nor by a worker that has it in hand behind another one."""
    relay = make_relay(delay=2)
    for number in range(1, 6):
        table.insert(address=f"boo{number}@example.org")
    instance = start_on(table, {FOO: account(relay, connections=1)}, started=False)
    instance.sections = [table.section(conninfo=wire.conninfo(), lease="5s")]
    instance.configure()
    begun = []
    relay.answer = lambda stage, mail, address: begun.append(time.monotonic()) if stage == "mail" else None
    instance.start()
    wait_for(lambda: begun, 10)
    wire.down()
    away = time.monotonic()
    assert instance.wait_for_log("not begun: the lease is about to end", "smtp")
    wait_for(lambda: len(relay.mails) == len(begun) and time.monotonic() > away + 6, 20)
    assert max(begun) - away <= 5 * 3 / 4
    assert 1 <= len(begun) < 5
    wire.up()
    table.wait_for_counts({"S": 5}, 30, instance)
    assert recipients(relay) == wanted(5)


def test_others_take_over_when_a_lease_is_over(table, smailer, make_relay, wire):
    """The first host loses the database alone, with one mail at a relay that hangs: only that one may
    come twice, and the host leaves alone what it has lost."""
    hangs = make_relay(delay=10)
    relay = make_relay()
    for number in range(1, 41):
        table.insert(address=f"boo{number}@example.org")
    hosts = []
    for conninfo, its_relay in ((wire.conninfo(), hangs), (table.database.conninfo(), relay)):
        host = smailer({FOO: account(its_relay, connections=1)}, {}, started=False, scan_interval="1h")
        host.sections.append(table.section(conninfo=conninfo, lease="5s"))
        host.configure()
        hosts.append(host)
    hosts[1].cli_ok("--sid", "biblioteka", "init")
    hosts[0].start()
    wait_for(lambda: hangs.stages.count("content") == 1, 10)
    hosts[1].start()
    wait_for(lambda: table.database.value("SELECT count(*) FROM tbl_mails_smailer_hosts") == "2", 10)
    wire.down()
    table.wait_for_counts({"S": 40}, 40, hosts[1])
    assert hosts[1].wait_for_log("rows come back whose host", "sql")
    wire.up()
    hangs.wait(1, 20)
    wait_for(lambda: not problem(hosts[0]), 10)
    stays(lambda: len(hangs.mails) == 1, 1)
    assert recipients(relay) == wanted(40)
    assert table.counts() == {"S": 40}
    for host in hosts:  # none of them is what another one left behind
        host.stop()


def test_what_was_sent_survives_the_death_of_everything(table, start_on, make_relay, wire):
    """The database is away, and all programs are killed at once: the journal has what was sent."""
    relay = make_relay(delay=1)
    for number in range(1, 7):
        table.insert(address=f"boo{number}@example.org")
    instance = start_on(table, {FOO: account(relay, connections=3)}, started=False)
    instance.sections = [table.section(conninfo=wire.conninfo(), lease="30s")]
    instance.configure()
    instance.start()
    wait_for(lambda: relay.stages.count("content") >= 3, 10)
    wire.down()
    relay.wait(3)
    instance.wait_for_log("status=sent", "smtp")
    wait_for(lambda: len(instance.log_lines("<- qmgr.* RECORD ", "sql")) >= 3, 10)
    before = len(relay.mails)
    for pid in [instance.process.pid, *(each.pid for each in instance.processes())]:
        os.kill(pid, signal.SIGKILL)
    instance.process.wait()
    wire.up()
    relay.delay = 0
    instance.start()
    table.wait_for_counts({"S": 6}, 30, instance)
    assert instance.log_lines("was in the journal", "sql")
    # Those at the relay at that very moment may come twice: no more than there are connections.
    assert set(recipients(relay)) == set(wanted(6)) and len(relay.mails) <= 6 + 3
    assert before >= 3
