"""smailer's commands: beside a running master, and without one."""

import datetime
import os
import re

import pytest

from harness import identity as identities
from harness.base import document, item
from harness.process import stays, wait_for
from harness.smailer import account, program

FOO, BAR = "foo@example.com", "bar@example.com"
KEYS = {"sid", "queue", "id", "file", "state", "sender", "recipients", "subject", "size", "created",
        "attempts", "next_attempt", "error"}
LATER = "later@example.org"


@pytest.fixture
def picky(make_relay):
    """A relay that refuses LATER for now."""
    return make_relay(lambda stage, mail, address: "450 4.2.0 not now"
                      if stage == "rcpt" and address == LATER else None)


def three_states(instance):
    """One mail sent, one deferred, one dropped; their names."""
    base = instance.base
    names = (base.drop(topic="sent"), base.drop(address=LATER, topic="Zażółć"),
             base.drop(address="malformed", topic="bad"))
    for state, name in zip(("sent", "defer", "drop"), names):
        instance.wait_for_file(base, state, name)
    return names


# queue


@pytest.mark.main_flow
def test_queue_as_json(smailer, picky):
    instance = smailer({FOO: picky})
    names = three_states(instance)
    [entry] = instance.queue()
    assert KEYS <= set(entry)
    assert (entry["sid"], entry["queue"], entry["state"]) == ("alfa", "sowa1", "deferred")
    assert (entry["sender"], entry["recipients"]) == (FOO, [LATER])
    assert entry["subject"] == "Zażółć" and entry["attempts"] == 1
    assert os.path.basename(entry["file"]) == names[1]
    assert entry["size"] == instance.base.path("defer", names[1]).stat().st_size
    assert "450 4.2.0 not now" in entry["error"]
    now = datetime.datetime.now(datetime.timezone.utc)
    due = datetime.datetime.fromisoformat(entry["next_attempt"])
    assert datetime.timedelta(minutes=55) < due - now < datetime.timedelta(minutes=61)
    assert datetime.datetime.fromisoformat(entry["created"]) == datetime.datetime.fromisoformat(
        "2011-10-17T00:00:11+02:00")


def test_queue_selects_states(smailer, picky):
    instance = smailer({FOO: picky})
    names = three_states(instance)
    by_state = dict(zip(("sent", "deferred", "dropped"), names))
    def files(*arguments):
        return {(entry["state"], os.path.basename(entry["file"]))
                for entry in instance.queue(*arguments)}
    for state, name in by_state.items():
        assert files("--state", state) == {(state, name)}
    assert files("--state", "sent,dropped") == {(state, by_state[state])
                                                for state in ("sent", "dropped")}
    assert files("--state", "all") == set(by_state.items())
    assert files("--state=waiting") == set()
    [dropped] = instance.queue("--state", "dropped")
    assert re.search("(?i)address", dropped["error"]) and dropped["next_attempt"] is None
    assert instance.cli("queue", "--state", "nonsense").returncode == 64


def test_queue_shows_waiting_mails(smailer, make_relay):
    relay = make_relay(delay=3600)
    instance = smailer({FOO: account(relay, connections=1)})
    for number in range(5):
        instance.base.drop(topic=str(number))
    wait_for(lambda: "content" in relay.stages, 15, "one in hand")
    entries = instance.queue()
    assert len(entries) == 5 and {entry["state"] for entry in entries} == {"waiting"}
    assert {entry["attempts"] for entry in entries} == {0}
    assert {entry["next_attempt"] for entry in entries} <= {None}


def test_queue_of_one_sender(smailer, make_relay):
    down = make_relay()
    down.down()
    instance = smailer({FOO: down, BAR: down})
    instance.base.drop()
    instance.base.drop(sender=BAR)
    instance.wait_for_count(instance.base, "defer", 2)
    assert [entry["sender"] for entry in instance.queue(BAR)] == [BAR]
    assert len(instance.queue("@")) == 2
    assert instance.queue("x@example.net") == []


def test_queue_of_bases(smailer, make_relay):
    down = make_relay()
    down.down()
    instance = smailer({FOO: down}, {"sowa1": ["alfa", "both"], "sowa2": ["both", "gamma"]})
    for section, sid in (("sowa1", "alfa"), ("sowa1", "both"), ("sowa2", "both"), ("sowa2", "gamma")):
        instance.add_base(sid, section).drop(topic=section)
    wait_for(lambda: len(instance.queue("--state", "deferred")) == 4, 15, "four deferred mails")
    assert {(entry["queue"], entry["sid"]) for entry in instance.queue()} == {
        ("sowa1", "alfa"), ("sowa1", "both"), ("sowa2", "both"), ("sowa2", "gamma")}
    assert [entry["queue"] for entry in instance.queue("--sid", "sowa2/both")] == ["sowa2"]
    assert [entry["sid"] for entry in instance.queue("--sid", "alfa")] == ["alfa"]
    result = instance.cli("queue", "--sid", "both")
    assert result.returncode in (64, 78) and "sowa1/both" in result.stderr


def test_queue_without_a_master(smailer, picky):
    instance = smailer({FOO: picky})
    three_states(instance)
    with_master = instance.queue("--state", "all")
    instance.stop()
    assert instance.queue("--state", "all") == with_master
    assert re.fullmatch(rf"\S+: \({FOO} => {LATER}\)\n",
                        instance.cli_ok("--sid", "alfa", "queue").stdout)
    assert not instance.left_behind()


def test_queue_is_parsed_for_hostile_files_too(smailer, make_relay):
    down = make_relay()
    down.down()
    instance = smailer({FOO: down})
    base = instance.base
    base.put(document(item(topic="a\tb")))
    base.put(b"half a file", "half.xml")
    instance.wait_for_count(base, "defer", 1)
    entries = {os.path.basename(entry["file"]): entry for entry in instance.queue()}
    assert entries["half.xml"]["state"] == "waiting"
    assert entries["half.xml"]["recipients"] == []
    output = instance.cli_ok("queue").stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", output)


def test_a_long_listing(smailer, make_relay):
    down = make_relay()
    down.down()
    instance = smailer({FOO: down})
    instance.base.drop_many(3000)
    instance.wait_for_count(instance.base, "defer", 3000, 60)
    assert len(instance.cli_ok("queue").stdout.splitlines()) == 3000
    assert len({entry["id"] for entry in instance.queue()}) == 3000


# send


@pytest.mark.main_flow
@pytest.mark.parametrize("running", [True, False], ids=["master", "alone"])
def test_send(smailer, picky, running):
    instance = smailer({FOO: picky}, started=running)
    base = instance.base
    names = [base.drop() for _ in range(10)]
    later, bad = base.drop(address=LATER), base.drop(address="malformed")
    if running:
        instance.wait_for_file(base, "defer", later)
        instance.wait_for_count(base, "sent", 10)
        instance.wait_for_file(base, "drop", bad)
        names += [base.drop()]
    result = instance.cli("send")
    assert result.returncode == 69, result  # one was not sent
    assert base.states() == {"": [], "sent": sorted(names), "defer": [later], "drop": [bad]}
    counts = re.findall(r"(\d+) (sent|deferred|dropped)", result.stdout)
    assert counts and ("1", "deferred") in counts
    if not running:
        assert set(counts) == {("10", "sent"), ("1", "deferred"), ("1", "dropped")}
    assert not running or instance.cli("status").returncode == 0
    assert running or not instance.left_behind()


@pytest.mark.parametrize("running", [True, False], ids=["master", "alone"])
def test_send_tries_deferred_mails_at_once(smailer, make_relay, running):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    relay.up()
    if not running:
        instance.stop()
    result = instance.cli("send")
    assert result.returncode == 0, result
    assert instance.base.where(name) == ["sent"] and "1 sent" in result.stdout


def test_send_of_one_sender(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay, BAR: relay})
    foo, bar = instance.base.drop(), instance.base.drop(sender=BAR)
    instance.wait_for_count(instance.base, "defer", 2)
    relay.up()
    assert instance.cli("send", BAR).returncode == 0
    assert instance.base.where(bar) == ["sent"] and instance.base.where(foo) == ["defer"]
    assert instance.cli("send", "@").returncode == 0
    assert instance.base.where(foo) == ["sent"]


def test_send_of_one_base(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"]})
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    one, other = alfa.drop(), beta.drop()
    for base in (alfa, beta):
        instance.wait_for_count(base, "defer", 1)
    relay.up()
    assert instance.cli("--sid=beta", "send").returncode == 0
    assert beta.where(other) == ["sent"] and alfa.where(one) == ["defer"]


@pytest.mark.one_identity
@pytest.mark.parametrize("running", [True, False], ids=["running", "alone"])
def test_send_sends_what_a_list_became(smailer, relay, running):
    instance = smailer({FOO: relay}, started=False)
    instance.base.put(document(*[item(address=f"{i}@example.org") for i in range(50)]))
    if running:
        instance.start()
    result = instance.cli_ok("send")
    assert instance.base.files("") == [] and len(relay.mails) == 50
    assert running or "50 sent" in result.stdout


@pytest.mark.one_identity
def test_send_waits_for_a_list_that_is_being_split(smailer, relay):
    """Its file is gone, and of the mails that it becomes only some are there."""
    count = 2000
    instance = smailer({FOO: account(relay, connections=1)})
    name = instance.base.put(document(*[item(address=f"{i}@example.org") for i in range(count)]))
    wait_for(lambda: name not in instance.base.files(""), 30, "the list to be split", 0)
    instance.cli_ok("send")
    assert instance.base.files("") == [] and len(relay.mails) == count


@pytest.mark.one_identity
def test_send_ends_when_mails_that_wait_are_taken_away(smailer, make_relay):
    relay = make_relay(delay=0.3)
    instance = smailer({FOO: account(relay, connections=1)})
    instance.base.drop_many(600)
    wait_for(lambda: instance.status()["queues"][0]["parked"] > 300, 15, "mails that are parked")
    send = instance.popen(program("smailer"), "-c", instance.conf, "send")
    instance.wait_for_log("run .* is tried now", "pickup")
    relay.delay = 0
    for name in instance.base.files(""):
        instance.base.path("", name).unlink(missing_ok=True)
    wait_for(lambda: send.poll() is not None, 20, "the end of the run")
    assert send.returncode == 0


def test_send_with_an_empty_queue(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    result = instance.cli("send")
    assert result.returncode == 0 and "0 sent" in result.stdout


def test_send_draws_no_bar_where_there_is_no_terminal(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    instance.base.drop()
    result = instance.cli("send")
    assert "\r" not in result.stdout + result.stderr and "\x1b" not in result.stdout + result.stderr


# --testing


@pytest.mark.main_flow
def test_testing_sends_elsewhere_and_leaves_the_queue(smailer, relay):
    instance = smailer({FOO: relay, BAR: relay}, started=False)
    base = instance.base
    names = [base.drop(address=f"boo{number}@example.org") for number in range(3)]
    def look():
        return {name: (entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns)
                for name in names for entry in [base.path("", name).stat()]}
    before = look()
    result = instance.cli("send", "--testing", "tester@example.com")
    assert result.returncode == 0, result
    assert len(relay.mails) == 3
    assert {mail.recipients[0] for mail in relay.mails} == {"tester@example.com"}
    for number in range(3):
        assert any(f"boo{number}@example.org" in value for mail in relay.mails
                   for header, value in mail.message.items() if header.lower().startswith("x-"))
    assert base.files("") == names
    assert look() == before
    relay.mails.clear()
    assert instance.cli("send").returncode == 0
    assert {mail.recipients[0] for mail in relay.mails} == {
        f"boo{number}@example.org" for number in range(3)}


def test_testing_with_purge_drops(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    name = instance.base.drop()
    assert instance.cli("send", "--testing=tester@example.com", "--purge").returncode == 0
    assert instance.base.where(name) == ["drop"]
    assert "sent in testing" in instance.base.record("drop", name)
    assert instance.cli("send").returncode == 0
    assert len(relay.mails) == 1


def test_tester_is_the_sender(smailer, relay):
    instance = smailer({FOO: relay, BAR: relay}, started=False)
    instance.base.drop()
    assert instance.cli("send", "--testing", "t@example.com", "--tester", BAR).returncode == 0
    [mail] = relay.mails
    assert mail.sender == BAR and mail.message["From"].addresses[0].addr_spec == BAR


def test_testing_beside_a_running_master_is_refused(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    relay.up()
    result = instance.cli("send", "--testing", "tester@example.com")
    assert result.returncode == 75 and result.stderr
    assert relay.mails == [] and instance.base.where(name) == ["defer"]


def test_testing_as_a_setting_implies_the_purge(smailer, relay):
    instance = smailer({FOO: relay}, testing="tester@example.com")
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "drop", name)
    assert "sent in testing" in instance.base.record("drop", name)
    [mail] = relay.mails
    assert mail.recipients == ["tester@example.com"]
    instance.main["testing"] = ""
    instance.configure()
    instance.restart()
    stays(lambda: instance.base.where(name) == ["drop"] and len(relay.mails) == 1, 2)


def test_testing_needs_an_address(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    name = instance.base.drop()
    assert instance.cli("send", "--testing", "nobody").returncode == 64
    assert instance.base.where(name) == [""] and relay.mails == []


# test


@pytest.mark.main_flow
@pytest.mark.parametrize("running", [True, False], ids=["master", "alone"])
def test_a_test_mail(smailer, make_relay, running):
    relay = make_relay(users={"foo": "hunter22"})
    instance = smailer({FOO: account(relay, user="foo", password="hunter22")}, started=running)
    result = instance.cli("test", FOO, "admin@example.org")
    assert result.returncode == 0, result
    [mail] = relay.wait()
    assert mail.recipients == ["admin@example.org"] and mail.sender == FOO
    for words in ("220 ", "EHLO", "AUTH", "MAIL FROM", "RCPT TO", "DATA", "250 2.0.0 Ok: queued as"):
        assert words in result.stdout, words
    assert "hunter22" not in result.stdout and "AGZvbwBodW50ZXIyMg" not in result.stdout
    assert re.search(r"[A-Za-z].*\.$", result.stdout.strip().splitlines()[-1])
    assert running or not instance.left_behind()


def test_a_test_mail_that_fails(smailer, make_relay):
    relay = make_relay(lambda stage, mail, address:
                       "550 5.1.1 no such user" if stage == "rcpt" else None)
    instance = smailer({FOO: relay, BAR: "127.0.0.1:1"}, started=False)
    result = instance.cli("test", FOO, "admin@example.org")
    assert result.returncode == 69 and "550 5.1.1 no such user" in result.stdout + result.stderr
    result = instance.cli("test", BAR, "admin@example.org")
    assert result.returncode == 69 and re.search("(?i)refused", result.stdout + result.stderr)
    result = instance.cli("test", "nobody@example.net", "admin@example.org")
    assert result.returncode in (64, 69, 78) and "nobody@example.net" in result.stderr


# status


@pytest.mark.main_flow
def test_status(smailer, picky):
    instance = smailer({FOO: picky}, {"sowa1": ["alfa", "beta"]})
    three_states(instance)
    text = instance.cli_ok("status").stdout
    for role in ("pickup", "cleanup", "qmgr", "smtp", "control"):
        [pid] = instance.pids(role)[:1]
        assert re.search(rf"(?m)^\s*{role}\b.*\b{pid}\b", text), role
    for word in ("alfa", "beta", FOO):
        assert word in text, word


def test_status_as_json(smailer, make_relay, picky):
    down = make_relay()
    down.down()
    instance = smailer({FOO: picky, BAR: down}, {"sowa1": ["alfa", "beta"]})
    three_states(instance)
    name = instance.base.drop(sender=BAR)
    instance.wait_for_file(instance.base, "defer", name)
    status = instance.status()
    programs = {(each["program"], each["pid"]) for each in status["programs"]}
    for role in ("master", "pickup", "cleanup", "qmgr", "control"):
        assert {(role, pid) for pid in instance.pids(role)} <= programs, status
    assert all(each["age"] >= 0 for each in status["programs"])
    queues = {each["sid"]: each for each in status["queues"]}
    assert set(queues) == {"alfa", "beta"}
    assert [queues["alfa"][state] for state in ("waiting", "deferred", "sent", "dropped")] == [
        0, 2, 1, 1]
    accounts = {each["account"]: each for each in status["accounts"]}
    assert set(accounts) == {FOO, BAR}
    assert (accounts[FOO]["sent"], accounts[FOO]["deferred"]) == (1, 1)
    assert accounts[FOO]["down_until"] is None
    until = datetime.datetime.fromisoformat(accounts[BAR]["down_until"])
    assert until > datetime.datetime.now(datetime.timezone.utc)


def test_status_without_a_master(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    result = instance.cli("status")
    assert result.returncode != 0 and re.search("(?i)not running|no .*running|not active",
                                                result.stdout + result.stderr)


# Who may


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
@pytest.mark.parametrize("command", [["queue"], ["send"], ["status"], ["test", FOO, "a@example.org"]])
def test_a_stranger_may_not(smailer, relay, command):
    instance = smailer({FOO: relay})
    for path in (instance.conf, *instance.conf.iterdir()):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044)
                   if path.name != "accounts.cf" else 0o600)
    result = instance.cli(*command, identity=identities.stranger())
    assert result.returncode == 77, result
    assert relay.mails == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_control_users_may(smailer, relay):
    instance = smailer({FOO: relay}, control_users=[identities.STRANGER])
    for path in (instance.conf, instance.conf / "main.cf", instance.conf / "master.cf"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    result = instance.cli("queue", identity=identities.stranger())
    assert result.returncode == 0, result


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_the_spool_user_may(smailer, relay, identity):
    if not identity.is_root:
        pytest.skip("it is the same user")
    instance = smailer({FOO: relay})
    instance.conf.chmod(0o755)
    for name in ("main.cf", "master.cf"):
        (instance.conf / name).chmod(0o644)
    spool = identities.Identity("spool", identity.spool_uid, identity.spool_gid,
                                identity.spool_uid, identity.spool_gid)
    assert instance.cli("queue", identity=spool).returncode == 0
