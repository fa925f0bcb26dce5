"""Whatever program dies, at whatever time: nothing is lost, nothing comes to a wrong place."""

import collections
import contextlib
import os
import pathlib
import random
import re
import signal

import pytest

from harness import scripted
from harness.base import document, item
from harness.process import alive, wait_for
from harness.smailer import ROLES, account

FOO = "foo@example.com"
MAILS = 600
KILLS = 8
INSTANCES = 4
ROOM = 2  # mails in a worker's hand without pipelining: both may be accepted and not yet moved


def load(instance):
    """MAILS mails in two bases, some as lists, each with a subject of its own, and bad ones."""
    subjects, bad = set(), []
    for number in range(MAILS // 12):
        for base in instance.bases.values():
            subject = f"{base.sid}-{number}"
            one = [f"{subject}-one-{n}" for n in range(3)]
            many = [f"{subject}-many-{n}" for n in range(3)]
            for topic in one:
                base.drop(topic=topic)
            base.put(document(*[item(topic=topic) for topic in many]),
                     f"list-{number}.xml")
            subjects.update(one + many)
            if number % 10 == 0:
                bad.append((base, base.drop(address="malformed")))
    return subjects, bad


def check_all_sent(instance, relay, subjects, bad, kills):
    """Every mail was sent, is in sent/ and nowhere else; only what was in hand went twice."""
    count = len(subjects)
    wait_for(lambda: sum(len(base.files("sent")) for base in instance.bases.values()) >= count, 90,
             lambda: f"{count} in sent: " + str([{state: len(names) for state, names in
                                                 base.states().items()}
                                                for base in instance.bases.values()])
             + instance.tail())
    for base in instance.bases.values():
        states = base.states()
        assert states[""] == [] and states["defer"] == []
        assert states["drop"] == sorted(name for where, name in bad if where is base)
        assert len(states["sent"]) == count // len(instance.bases)
        wait_for(lambda: base.leftovers() == [], 10, lambda: f"no leftovers: {base.leftovers()}")
        assert base.records("defer") == {}
    arrived = collections.Counter(mail.subject for mail in relay.mails)
    assert set(arrived) == subjects
    again = sum(arrived.values()) - count
    assert again <= kills * INSTANCES * ROOM, f"{again} mails were sent twice, after {kills} kills"


def start(smailer, relay, **settings):
    return smailer({FOO: account(relay, connections=INSTANCES)}, {"sowa1": ["alfa", "beta"]},
                   programs={"smtp": {"instances": INSTANCES}, "cleanup": {"instances": 2}},
                   **{"retry_interval": "1s", "probe_interval": "1s", "scan_interval": "2s",
                      "log_level": "info", **settings})


def victim(instance, role):
    """A process to kill: of smtp the parent; "worker" is one of those it forked."""
    if role != "worker":
        return (instance.pids(role) or [None])[0]
    workers = instance.pids("smtp")[1:]
    return random.choice(workers) if workers else None


@pytest.mark.parametrize("role", [*ROLES, "worker"])
def test_a_killed_program_loses_nothing(smailer, make_relay, role):
    relay = make_relay(delay=0.01)
    instance = start(smailer, relay)
    subjects, bad = load(instance)
    for number in range(KILLS):
        # Spread over the load, never at the same point twice.
        goal = min(len(subjects) * number // KILLS + random.randrange(20), len(subjects) - 5)
        wait_for(lambda: len({mail.subject for mail in relay.mails}) >= goal, 60,
                 lambda: f"{goal} mails ({len(relay.mails)}) {instance.tail()}")
        pid = wait_for(lambda: victim(instance, role), 20, f"a process of {role}")
        if role == "control":  # what dies before its first job is started less and less often
            instance.cli("status")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), 5, f"{role} to be dead")
    check_all_sent(instance, relay, subjects, bad, KILLS)
    wait_for(lambda: all(instance.pids(each) for each in ROLES), 20, "all programs")
    if role != "worker":
        assert instance.wait_for_log(rf"(?i){role}.*(kill|signal|died|ended)", "master")


@pytest.mark.main_flow
def test_a_killed_master_takes_all_along_and_a_new_one_goes_on(smailer, make_relay):
    relay = make_relay(delay=0.01)
    instance = start(smailer, relay)
    subjects, bad = load(instance)
    for number in range(3):
        goal = len(subjects) * number // 3 + 10
        wait_for(lambda: len({mail.subject for mail in relay.mails}) >= goal, 60, f"{goal} mails")
        below = instance.processes()
        instance.process.kill()
        instance.process.wait()
        wait_for(lambda: not any(alive(each.pid) for each in below), 15,
                 lambda: f"the programs to end: {[each for each in below if alive(each.pid)]}")
        instance.start()
    check_all_sent(instance, relay, subjects, bad, 3)


def test_all_programs_at_once(smailer, make_relay):
    relay = make_relay(delay=0.01)
    instance = start(smailer, relay)
    subjects, bad = load(instance)
    for number in range(3):
        goal = len(subjects) * number // 3 + 10
        wait_for(lambda: len({mail.subject for mail in relay.mails}) >= goal, 60, f"{goal} mails")
        wait_for(lambda: all(instance.pids(role) for role in ROLES), 30, "all programs")
        for each in instance.processes():
            try:
                os.kill(each.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    check_all_sent(instance, relay, subjects, bad, 3)


@pytest.mark.parametrize("role", ["pickup", "cleanup", "qmgr"])
def test_a_list_is_split_whole_or_not_at_all(smailer, relay, role):
    instance = start(smailer, relay)
    base = instance.bases["alfa"]
    for round_number in range(5):
        before = len(base.files("sent"))
        subjects = [f"{round_number}-{number}" for number in range(200)]
        base.put(document(*[item(topic=topic) for topic in subjects]), f"list{round_number}.xml")
        wait_for(lambda: base.files("") != [f"list{round_number}.xml"]
                 or random.random() < 0.01, 10, "something to happen", 0.001)
        instance.kill(role)
        instance.wait_for_count(base, "sent", before + 200, 60)
        arrived = collections.Counter(mail.subject for mail in relay.mails)
        assert set(subjects) <= set(arrived)
        assert base.files("") == base.files("defer") == base.files("drop") == []
        wait_for(lambda: base.leftovers() == [], 10, lambda: f"no leftovers: {base.leftovers()}")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def start_with_one_cleanup(smailer, relay):
    instance = smailer({FOO: account(relay)}, programs={"cleanup": {"instances": 1}},
                       log_level="info", max_message_size="64M", retry_interval="1h")
    instance.allowed_faults = True
    return instance, instance.bases["alfa"], instance.pids("cleanup")[0]


def test_a_cleanup_that_dies_between_two_mails_blames_none(smailer, make_relay):
    instance, base, cleanup = start_with_one_cleanup(smailer, make_relay())
    os.kill(cleanup, signal.SIGSTOP)
    names = [base.drop() for _ in range(10)]
    wait_for(lambda: instance.status()["queues"][0]["in_hand"] > 0, 10, "mails at the cleanup")
    os.kill(cleanup, signal.SIGSEGV)
    os.kill(cleanup, signal.SIGCONT)
    instance.wait_for_count(base, "sent", len(names), 30)
    assert "strike" not in instance.log("qmgr")


def test_the_mail_that_a_cleanup_was_at_is_blamed(smailer, make_relay):
    """Its verdicts on those before leave together, so what is missing does not tell. The last one takes
    half a second of processor time, those before it a few milliseconds."""
    instance, base, cleanup = start_with_one_cleanup(smailer, make_relay())
    os.kill(cleanup, signal.SIGSTOP)
    long = "Prosimy o niezwłoczny zwrot książek &amp; jeszcze coś.\n" * 900_000
    names = [base.drop(mtime=1_700_000_000_000_000_000 + number,
                       content=long if number == 9 else "short") for number in range(10)]
    wait_for(lambda: instance.status()["queues"][0]["in_hand"] > 0, 10, "mails at the cleanup")
    before = cpu_seconds(cleanup)
    os.kill(cleanup, signal.SIGCONT)
    wait_for(lambda: cpu_seconds(cleanup) > before + 0.15, 20, "the long mail's turn", 0.002)
    os.kill(cleanup, signal.SIGSEGV)
    instance.wait_for_file(base, "drop", names[9], 60)  # it is too long for the relay, too
    instance.wait_for_count(base, "sent", len(names) - 1, 30)
    struck = re.findall(r"_(\w+): stays, 1 strike", instance.log("qmgr"))
    assert len(struck) == 1 and "2 strikes" not in instance.log("qmgr")
    assert instance.wait_for_log(rf"{struck[0]}: moved to drop/{names[9]}", "qmgr")


@pytest.mark.one_identity
def test_a_stopped_worker_is_replaced(smailer, make_relay):
    """Its own time limits do not always hold: the parent ends what does not answer."""
    relay = make_relay(delay=0.2)
    instance = start(smailer, relay, retry_interval="1s")
    instance.allowed_faults = True
    names = [instance.bases["alfa"].drop() for _ in range(40)]
    wait_for(lambda: len(relay.mails) >= 4, 15, "some mails")
    [stopped] = instance.pids("smtp")[1:2]
    os.kill(stopped, signal.SIGSTOP)
    try:
        wait_for(lambda: len(instance.bases["alfa"].files("sent")) >= len(names) - 1, 60,
                 "all but the one in its hand")
    finally:
        with contextlib.suppress(ProcessLookupError):  # the parent has done it
            with contextlib.suppress(ProcessLookupError):  # smtp's parent has ended it
                os.kill(stopped, signal.SIGKILL)
    instance.wait_for_count(instance.bases["alfa"], "sent", len(names), 60)


def test_a_mail_whose_workers_die_of_faults_is_deferred_at_the_third(smailer, make_relay):
    """Strikes are kept beside the mail, over a restart too; others are not held up."""
    relay = make_relay(delay=lambda mail: 3600 if mail.subject == "poison" else 0)
    instance = start(smailer, relay, retry_interval="1h")
    instance.allowed_faults = True
    base = instance.bases["alfa"]
    name = base.drop(topic="poison")
    def tries():
        return relay.stages.count("content") - len(relay.mails)
    goal = 1
    for strike in range(1, 4):
        wait_for(lambda: tries() >= goal, 30, f"try {strike}; {instance.tail()}")
        behind = base.drop(topic="behind")
        if strike == 1:  # later it is tried alone
            instance.wait_for_file(base, "sent", behind)
        for pid in reversed(instance.pids("smtp")[1:]):  # the one that has it last
            os.kill(pid, signal.SIGSEGV)
        goal += 1
        if strike == 2:
            wait_for(lambda: any("2" in text for text in base.records("").values()), 10,
                     lambda: f"the strikes in the record: {base.records('')}")
            instance.stop()  # it may have been tried once more meanwhile
            goal = tries() + 1
            instance.start()
    instance.wait_for_file(base, "defer", name, 30)
    assert re.search("(?i)died|signal|SIGSEGV|fault|strike", base.record("defer", name))
    instance.wait_for_count(base, "sent", 3, 30)


@pytest.mark.one_identity
def test_a_worker_that_dies_while_it_connects_says_nothing_of_its_relay(smailer, scripted_server):
    server = scripted_server({"greeting": [scripted.hang, scripted.reply("220 ready")]})
    instance = smailer({FOO: account(server, connections=1)}, retry_interval="1h")
    instance.allowed_faults = True
    name = instance.base.drop()
    wait_for(lambda: "greeting" in server.stages, 15, "a connection")
    os.kill(instance.pids("smtp")[1], signal.SIGSEGV)
    instance.wait_for_file(instance.base, "sent", name)
    assert not instance.log_lines("status=deferred|next try in")


def test_a_reply_that_never_came_is_unknown_and_tried_again(smailer, scripted_server):
    server = scripted_server({"content": [scripted.close, scripted.reply("250 Ok")]})
    instance = smailer({FOO: account(server)}, retry_interval="1s", probe_interval="1s")
    base = instance.base
    name = base.drop()
    instance.wait_for_file(base, "sent", name)
    assert instance.wait_for_log(r"(?i)unknown.*status=deferred|status=deferred .*unknown")


def test_sigterm_finishes_the_transactions_under_way(smailer, make_relay):
    relay = make_relay(delay=2)
    instance = smailer({FOO: relay})
    name = instance.base.drop()
    wait_for(lambda: "content" in relay.stages, 15, "a transaction under way")
    assert instance.stop() == 0
    assert instance.base.where(name) == ["sent"] and len(relay.mails) == 1
    instance.start()
    assert instance.base.where(name) == ["sent"] and len(relay.mails) == 1


def hold_the_last(instance):
    """Stops the last program that master starts, before it can be ready. Returns its pid."""
    master = instance.process.pid
    children = pathlib.Path(f"/proc/{master}/task/{master}/children")
    wanted = len(ROLES) + 2  # cleanup has two instances, and one for listings
    pids = wait_for(lambda: len(found := children.read_text().split()) >= wanted and found, 15,
                    "all programs to be started", 0)
    os.kill(int(pids[-1]), signal.SIGSTOP)
    return int(pids[-1])


def test_sigterm_finishes_them_also_before_all_programs_are_ready(smailer, make_relay):
    relay = make_relay(delay=2)
    instance = smailer({FOO: relay}, started=False)
    name = instance.base.drop()
    instance.start(wait=False)
    last = hold_the_last(instance)
    wait_for(lambda: "content" in relay.stages, 15, lambda: f"a transaction: {instance.tail()}")
    assert not instance.log_lines("generation 1 serves", "master")
    instance.send_signal(signal.SIGTERM)
    instance.wait_for_log("ending", "master")
    os.kill(last, signal.SIGCONT)
    assert instance.process.wait(20) == 0
    assert instance.base.where(name) == ["sent"] and len(relay.mails) == 1


def test_sigterm_waits_for_ten_seconds_at_the_most(smailer, make_relay):
    relay = make_relay(delay=3600)
    instance = smailer({FOO: relay})
    name = instance.base.drop()
    wait_for(lambda: "content" in relay.stages, 15, "a transaction under way")
    instance.stop(limit=14)
    assert instance.base.where(name) in ([""], ["defer"])
