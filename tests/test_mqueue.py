"""Sendmail's queue: its jobs are sent, rewritten and finished as sendmail does it."""

import asyncio
import fcntl
import os
import re
import threading
import time

import pytest

from harness.mqueue import Case, Mqueue, cases
from harness.process import wait_for
from harness.scripted import reply
from harness.sendmail import Sendmail
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


def sender_of(mail):
    """Without the brackets that aiosmtpd leaves of a null sender."""
    return (mail.sender or "").strip("<>")


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
    assert sender_of(notice) == ""
    parts = list(notice.message.walk())
    assert notice.message.get_content_type() == "multipart/report"
    status = next(part for part in parts if part.get_content_type() == "message/delivery-status")
    fields = status.get_payload()[1]
    assert fields["Final-Recipient"] == "rfc822; bad@x.example"
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert "550 5.1.1 no such user" in fields["Diagnostic-Code"]
    assert "late@x.example" not in str(notice.content)


# The queues of tests/data/mqueue

LEFT = {"b01", "b02", "b04", "b05", "b15", "b28"}
LOST = {"b07", "b08", "b11", "b12", "b13", "b16", "b30"}
HELD = {"b41", "r19"}
OTHER = {"b06": [], "v06": ["dfAA09999"], "b23": ["tf6AM50KDN010423"], "b24": ["df6AM50KDN010424", "tf6AM50KDN010424"],
         "b26": ["df6AM50KDN010426"]}
# Somebody in these wants to know of success, and the relay here does not tell (it has no DSN).
RECEIPTS = {"r12", "r13", "v09"}
# sendmail's configuration put a domain behind bare names in these, or joined folded lines.
REWRITTEN = {"r11", "r18", "v00", "v01", "v02", "v03", "v07", "x02"}


def files_after(case, key):
    if key in LEFT:
        return case.files + (["qf6AM50KDN010428"] if key == "b28" else [])
    if key in LOST | HELD:
        letter = "Q" if key in LOST else "h"
        return [re.sub("^[qh]", letter, name) for name in case.files]
    return OTHER.get(key, [])


def addresses(case):
    """To whom it goes, each once."""
    found = {each["address"] for each in case.expect["recipients"]}
    return {address if "@" in address else "local@example.org" for address in found}


@pytest.mark.one_identity
@pytest.mark.parametrize("name", cases())
def test_case(mqueue, relay, name):
    case, key = Case(name), name[:3]
    instance = mqueue({"default": relay}, {"local_to": "local@example.org"}, started=False)
    # The sample is of 1987: it gets its try all the same.
    instance.mqueue.put_case(case, fresh=key not in ("v00", "b35"))
    before = {each: instance.mqueue.directory.joinpath(each).lstat().st_size
              for each in instance.mqueue.names()}
    instance.start()
    done = instance.mqueue.put("end@example.org", priority=10**9, id="zz99999")
    relay.wait_for_recipient("end@example.org")
    wait_for_names(instance, files_after(case, key))
    sent = [mail for mail in relay.mails if mail.recipients != ["end@example.org"]]
    if key in LEFT | LOST | HELD or key in ("b06", "b24", "b26"):
        assert sent == []
        if key in LEFT:
            assert before == {each: instance.mqueue.directory.joinpath(each).lstat().st_size
                              for each in instance.mqueue.names()}
            assert instance.wait_for_log(r"stays as it is")
        elif key in LOST:
            assert instance.wait_for_log(r"Losing qf")
        return
    if key == "x02":
        assert {mail.subject for mail in sent} == {"p10", "p20", "p30", "p40", "p50"}
        return
    assert len(sent) == 1 + (key in RECEIPTS)
    for receipt in sent[1:]:
        assert {fields["Action"] for fields in status_of(receipt)} == {"relayed"}
        assert receipt.recipients == [case.expect["sender"]]
    assert set(sent[0].recipients) == addresses(case)
    expected = case.expect["sender"] or ""
    assert sender_of(sent[0]) == (expected + "@host.example.org"
                                      if expected and "@" not in expected else expected)
    if key not in REWRITTEN and case.sent is not None:
        assert sent[0].content == case.sent


@pytest.mark.one_identity
def test_a_large_body(mqueue, relay):
    lines = [f"{number:08} " + "." * (number % 70) for number in range(25000)]
    body = "\n".join(lines) + "\n"
    assert len(body) > 1 << 20
    instance = mqueue({"default": relay})
    instance.mqueue.put("bob@far.example.net", body=body)
    [mail] = relay.wait(1)
    assert mail.content == b"Subject: test\r\n\r\n" + body.replace("\n", "\r\n").encode()
    wait_for_names(instance, [])


@pytest.mark.one_identity
def test_jobs_go_by_their_priority(mqueue, relay):
    instance = mqueue({"default": account(relay, connections=1)}, started=False)
    instance.mqueue.put_case(Case("x02-order"))
    instance.start()
    assert [mail.subject for mail in relay.wait(5)] == ["p10", "p20", "p30", "p40", "p50"]


@pytest.mark.one_identity
def test_more_recipients_than_go_into_one_try(mqueue, relay):
    instance = mqueue({"default": relay}, log_level="info")
    count = 5000
    instance.mqueue.put([f"PFD:recipient{number}@x.example" for number in range(count)])
    wait_for_names(instance, [], 60)
    received = [each for mail in relay.mails for each in mail.recipients]
    assert len(relay.mails) > 1 and len(received) == count and len(set(received)) == count


# Senders are told


def refuse(reply):
    """The relay refuses all but notices."""
    return lambda stage, mail, address: (
        reply if stage == "rcpt" and sender_of(mail) != "" else None)


def status_of(mail):
    part = next(part for part in mail.message.walk()
                if part.get_content_type() == "message/delivery-status")
    return part.get_payload()[1:]


def test_an_old_job_is_given_up_and_returned(mqueue, make_relay):
    relay = make_relay(refuse("451 4.3.0 busy"))
    instance = mqueue({"default": relay})
    instance.mqueue.put(["PFD:one@x.example", "PN:never@x.example"], created=time.time() - 6 * 86400,
                        body="the body\n")
    notice = relay.wait_for_recipient(ADDRESS)
    wait_for_names(instance, [])
    assert [(each["Final-Recipient"], each["Action"], each["Status"]) for each in status_of(notice)
            ] == [("rfc822; one@x.example", "failed", "4.4.7")]
    assert b"\r\nthe body\r\n" in notice.content


def test_a_warning_comes_once(mqueue, make_relay):
    relay = make_relay(refuse("451 4.3.0 busy"))
    instance = mqueue({"default": relay}, {"interval": "1s"})
    id = instance.mqueue.put("one@x.example", created=time.time() - 5 * 3600)
    notice = relay.wait_for_recipient(ADDRESS)
    assert status_of(notice)[0]["Action"] == "delayed"
    assert "text/rfc822-headers" in [part.get_content_type() for part in notice.message.walk()]
    wait_for(lambda: instance.mqueue.lines(id, "N") == ["3"], 20, "three tries")
    assert instance.mqueue.lines(id, "F") == ["bsw"]
    assert len(relay.for_recipient(ADDRESS)) == 1


@pytest.mark.parametrize("job", [
    {"sender": "<>"}, {"flags": "r"}, {"recipients": ["PN:one@x.example"]}], ids=str)
def test_nobody_is_told(mqueue, make_relay, job):
    relay = make_relay(lambda stage, mail, address: "550 5.1.1 no" if stage == "rcpt" else None)
    instance = mqueue({"default": relay})
    instance.mqueue.put(**{"recipients": "one@x.example", **job})
    wait_for_names(instance, [])
    assert not instance.log_lines("sender notification")
    assert relay.mails == []


def test_what_cannot_be_delivered_here_says_so(mqueue, relay):
    instance = mqueue({"default": relay}, {"aliases": "aliases"}, started=False)
    instance.write_conf("aliases", "root: boss@x.example, other\nother: second@x.example\n", 0o644)
    instance.start()
    id = instance.mqueue.put(["PFD:|/bin/prog", "PFD:/var/mail/x", "PFD:root", "PFD:nobody"],
                             sender="geo")
    notice = relay.wait_for_recipient("boss@x.example")
    assert sorted(notice.recipients) == ["boss@x.example", "second@x.example"]
    assert notice.sender == "geo@host.example.org"
    wait_for(lambda: instance.mqueue.lines(id, "R") == ["PFD:nobody"], 20,
             lambda: f"one recipient: {instance.mqueue.text('qf' + id)}")
    assert "neither an alias" in instance.mqueue.lines(id, "M")[0]
    # The notice is for geo, who is local, and for whom there is no alias either.
    notices = [name for name in instance.mqueue.names() if name.startswith("qf") and id not in name]
    assert len(notices) == 1
    text = instance.mqueue.text("df" + notices[0][2:])
    assert "it is a program" in text and "it is a file" in text


def test_a_notice_goes_through_the_account_of_the_mail(mqueue, make_relay):
    relay = make_relay(refuse("550 5.1.1 no"))
    instance = mqueue({ADDRESS: account(relay, envelope_from="bounces@example.com")})
    instance.mqueue.put("one@x.example")
    notice = relay.wait_for_recipient(ADDRESS)
    assert sender_of(notice) == ""
    wait_for_names(instance, [])


# Others at work in the same directory


def test_a_locked_job_is_left_alone(mqueue, relay):
    instance = mqueue({"default": relay}, started=False)
    id = instance.mqueue.put("one@x.example")
    with open(instance.mqueue.directory / f"qf{id}") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        instance.start()
        other = instance.mqueue.put("two@x.example")
        relay.wait_for_recipient("two@x.example")
        assert instance.wait_for_log(r"locked")
        assert relay.for_recipient("one@x.example") == []
    relay.wait_for_recipient("one@x.example")
    wait_for_names(instance, [])


def test_a_transcript_tells_what_is_said(mqueue, scripted_server):
    """While a job is in delivery, and of that job only, though the next is said in the same breath;
    the login belongs to none."""
    released = threading.Event()

    async def wait_then_accept(session):
        while not released.is_set():
            await asyncio.sleep(0.02)
        session.say("250 2.0.0 Ok")

    relay = scripted_server({"content": wait_then_accept,
                             "rcpt": [reply("550 5.1.1 no\x1bbody"), reply("250 2.1.5 Ok")],
                             "auth": reply("334 "), "other": reply("235 2.7.0 Ok")},
                            extensions=["8BITMIME", "AUTH PLAIN"])
    instance = mqueue({"default": account(relay, connections=1, user="foo", password="tea4two",
                                          plaintext_login=True)}, started=False)
    first, second = "6AM50KDN000001", "6AM50KDN000002"
    instance.mqueue.put(["bad@x.example", "one@x.example"], id=first, priority=10)
    instance.mqueue.put("two@x.example", id=second, priority=20)
    instance.start()
    try:
        wait_for(lambda: f"xf{first}" in instance.mqueue.names() and
                 instance.mqueue.text(f"xf{first}").endswith(">>> .\n"), 20,
                 lambda: f"{instance.mqueue.names()}\n{instance.tail()}")
        begin, talking, mail, *lines = instance.mqueue.text(f"xf{first}").splitlines()
        assert begin.startswith("delivery by smailer began at ")
        assert talking == f"... while talking to {relay.host}:"
        assert mail.startswith(">>> MAIL FROM:<foo@example.com>")
        assert lines == [">>> RCPT TO:<bad@x.example>", ">>> RCPT TO:<one@x.example>", ">>> DATA",
                         "<<< 250 2.1.0 Ok", "<<< 550 5.1.1 no\\033body",
                         "550 5.1.1 bad@x.example... User unknown", "<<< 250 2.1.5 Ok",
                         "<<< 354 go on", ">>> (23 octets of content)", ">>> ."]
        others = wait_for(lambda: f"xf{second}" in instance.mqueue.names() and
                          instance.mqueue.text(f"xf{second}"), 20, "the other transcript")
        assert "one@x.example" not in others and "<<< " not in others
    finally:
        released.set()
    wait_for_names(instance, [])


def test_parameters_of_dsn_reach_a_relay_that_offers_it(mqueue, scripted_server):
    relay = scripted_server(extensions=["8BITMIME", "DSN", "SIZE 33554432"])
    instance = mqueue({"default": relay})
    instance.mqueue.put_case(Case("r13-dsn-smtp-orcpt"))
    wait_for_names(instance, [])
    commands = [line.decode().strip() for line in relay.lines]
    mail = next(line for line in commands if line.startswith("MAIL"))
    assert " RET=FULL" in mail and " ENVID=QQ314159" in mail
    assert [line for line in commands if line.startswith("RCPT")] == [
        "RCPT TO:<bob@far.example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+40orig.example.com",
        "RCPT TO:<never@far.example.net> NOTIFY=NEVER",
        "RCPT TO:<plain@far.example.net>"]


BY_RETURN, BY_NOTIFY, BY_TRACE = "\x02", "\x01", "\x10"


@pytest.mark.one_identity
def test_auth_and_deliver_by_reach_a_relay_that_offers_them(mqueue, scripted_server):
    relay = scripted_server(extensions=["AUTH PLAIN", "DELIVERBY 60"])
    instance = mqueue({"default": account(relay, pass_auth=True)})
    instance.mqueue.put("one@x.example", lines=["Aann+2Bx", f"!{chr(0x12)} 3600"])
    instance.mqueue.put("two@x.example", lines=[f"!{BY_NOTIFY} 7200"], body="\n")
    wait_for_names(instance, [])
    commands = sorted(line.decode().strip() for line in relay.lines if line.startswith(b"MAIL"))
    assert re.fullmatch(r"MAIL FROM:<foo@example.com> AUTH=ann\+2Bx BY=3[56]\d\d;RT", commands[0])
    assert re.fullmatch(r"MAIL FROM:<foo@example.com> BY=7[12]\d\d;N", commands[1])


@pytest.mark.one_identity
@pytest.mark.parametrize("seconds, extensions", [(3600, []), (5, ["DELIVERBY"]), (30, ["DELIVERBY 60"])])
def test_what_would_be_late_comes_back(mqueue, scripted_server, seconds, extensions):
    relay = scripted_server(extensions=extensions)
    instance = mqueue({"default": relay})
    instance.mqueue.put("one@x.example", lines=[f"!{BY_RETURN} {seconds}"],
                        created=time.time() - 10)
    wait_for_names(instance, [])
    [notice] = relay.mails
    [fields] = status_of(notice)
    assert (fields["Action"], fields["Status"]) == ("failed", "5.4.7")


@pytest.mark.one_identity
def test_who_wants_to_know_of_a_delay_is_told_once(mqueue, make_relay):
    """Deliver-by with N: the time has passed, the sender hears of it, and the mail is tried further."""
    relay = make_relay(lambda stage, mail, address: "451 4.3.0 busy"
                       if stage == "rcpt" and address == "late@x.example" else None)
    instance = mqueue({"default": relay}, {"interval": "1s"})
    id = instance.mqueue.put("late@x.example", lines=[f"!{BY_NOTIFY} 60"], created=time.time() - 70)
    early = instance.mqueue.put("late@x.example", lines=[f"!{BY_NOTIFY} 3600"],
                                created=time.time() - 70)
    [fields] = status_of(relay.wait(1)[0])
    assert (fields["Action"], fields["Status"][0]) == ("delayed", "4")
    wait_for(lambda: int(instance.mqueue.lines(id, "N")[0]) >= 2, 20, "another try")
    assert "w" in instance.mqueue.lines(id, "F")[0] and len(relay.mails) == 1
    assert instance.mqueue.lines(early, "F") == ["bs"]


@pytest.mark.one_identity
@pytest.mark.parametrize("recipient, lines, extensions, told", [
    ("PNS:one@x.example", [], [], True), ("PNS:one@x.example", [], ["DSN"], False),
    ("PFD:one@x.example", [], [], False), ("PFD:one@x.example", [f"!{BY_TRACE} 60"], [], True),
    ("PFD:one@x.example", [f"!{BY_TRACE} 60"], ["DELIVERBY"], False)])
def test_a_receipt_where_the_relay_gives_none(mqueue, scripted_server, recipient, lines, extensions,
                                              told):
    relay = scripted_server(extensions=extensions)
    instance = mqueue({"default": relay})
    instance.mqueue.put([recipient], lines=lines)
    wait_for_names(instance, [])
    assert len(relay.mails) == 1 + told
    if not told:
        return
    notice = relay.mails[1]
    assert notice.recipients == [ADDRESS] and sender_of(notice) == ""
    [fields] = status_of(notice)
    assert (fields["Final-Recipient"], fields["Action"], fields["Status"]) == (
        "rfc822; one@x.example", "relayed", "2.0.0")
    assert notice.subject.startswith("Return receipt")
    assert b"\r\nbody\r\n" not in notice.content


@pytest.mark.one_identity
def test_recipients_as_senders_wrote_them(mqueue, scripted_server):
    """sendmail -t stores what stood in To, names, comments and groups included."""
    relay = scripted_server(extensions=["8BITMIME"])
    instance = mqueue({"default": relay})
    instance.mqueue.put(["PFD:Ann Lee <one@x.example>", "PFD:group: two@x.example",
                         "PFD:three@x.example;", "PFD:(who) four@x.example",
                         "PFD:<@r.example:five@x_y.example>", r"PFD:\six@x.example"],
                        sender="Ann <ann@example.org>", lines=["B8BITMIME"])
    wait_for_names(instance, [])
    [mail] = relay.mails
    assert mail.sender == "ann@example.org"
    assert mail.recipients == ["one@x.example", "two@x.example", "three@x.example",
                               "four@x.example", "five@x_y.example", "six@x.example"]
    assert b"MAIL FROM:<ann@example.org> BODY=8BITMIME\r\n" in relay.lines


def test_a_relay_without_8bitmime_gets_seven_bits(mqueue, scripted_server):
    relay = scripted_server(extensions=["SIZE 33554432"])
    instance = mqueue({"default": relay})
    instance.mqueue.put_case(Case("r04-8bitmime-utf8"))
    wait_for_names(instance, [])
    body = relay.mails[0].content.partition(b"\r\n\r\n")[2]
    assert body.isascii()
    original = (Case("r04-8bitmime-utf8").directory / "df6AM55moK015774").read_text()
    assert relay.mails[0].text == original


# SIGKILL


@pytest.mark.parametrize("role", ["pickup", "cleanup", "qmgr", "smtp"])
def test_no_job_is_lost_when_a_program_is_killed(mqueue, make_relay, role):
    relay = make_relay(delay=0.01)
    instance = mqueue({"default": account(relay, connections=4)})
    instance.allowed_faults = True
    count = 60
    for number in range(count):
        instance.mqueue.put(f"r{number}@x.example")
        if number % 20 == 10:
            instance.kill(role)
    wait_for(lambda: not [name for name in instance.mqueue.names() if name[0] in "qht"], 60,
             lambda: f"an empty queue: {instance.mqueue.names()}\n{instance.tail()}")
    received = [mail.recipients[0] for mail in relay.mails]
    assert set(received) == {f"r{number}@x.example" for number in range(count)}
    assert len(received) <= count + 3 * 4 * 4


# Real sendmail


@pytest.fixture
def real_sendmail(unpacked):
    def make(instance, relay):
        return Sendmail(unpacked("sendmail-bin"), instance.root / "sendmail", instance.mqueue, relay.port)

    return make


def test_sendmail_sends_what_smailer_wrote(mqueue, make_relay, real_sendmail):
    relay = make_relay(refuse("451 4.3.0 busy"))
    instance = mqueue({"default": relay}, {"interval": "1h"})
    v0 = Case("v05-all-letters-no-O")
    instance.mqueue.put_case(v0)
    id = instance.mqueue.put(["PFD:a@x.example", "PNSD:<b@x.example>"], lines=["Zid", "Aann@x"])
    failed = instance.mqueue.put("PFD:old@x.example", created=time.time() - 6 * 86400)
    wait_for(lambda: instance.mqueue.lines(id, "N") == ["1"] and
             instance.mqueue.lines("AA00778", "V") == ["8"], 20,
             lambda: f"two jobs that were rewritten: {instance.mqueue.text('qf' + id)} {instance.mqueue.text('qfAA00778')}")
    # The notice about the old one is sent; both others are left.
    relay.wait_for_recipient(ADDRESS)
    wait_for_names(instance, ["dfAA00778", "qfAA00778", f"df{id}", f"qf{id}"])
    instance.stop()
    relay.answer = lambda stage, mail, address: None
    sendmail = real_sendmail(instance, relay)
    listing = sendmail.run("-bp")
    assert "Total requests: 2" in listing and "451 4.3.0 busy" in listing, listing
    output = sendmail.run("-q", "-v")
    assert instance.mqueue.names() == [], output
    assert sorted(relay.wait_for_recipient("b@x.example").recipients) == [
        "a@x.example", "b@x.example"]
    body = v0.directory.joinpath("dfAA00778").read_bytes().strip()
    amy = relay.wait_for_recipient("amy@zeus.example.org")  # sendmail encodes it
    assert amy.message.get_payload(decode=True).strip() == body


def test_smailer_sends_what_sendmail_wrote(mqueue, make_relay, real_sendmail):
    relay = make_relay(refuse("451 4.3.0 busy"))
    instance = mqueue({"default": relay}, started=False)
    sendmail = real_sendmail(instance, relay)
    sendmail.run("-i", "-f", "ann@example.org", "one@x.example", "two@x.example",
                 input="Subject: za\u017c\u00f3\u0142\u0107\n\n.\ntext\n")
    sendmail.run("-q", "-v")
    [name] = [name for name in instance.mqueue.names() if name.startswith("qf")]
    assert instance.mqueue.lines(name[2:], "N") == ["1"]
    relay.answer = lambda stage, mail, address: None
    instance.start()
    assert instance.mqueue.lines(name[2:], "N") == ["1"]  # its time has not come
    instance.cli_ok("send")
    mail = relay.wait_for_recipient("one@x.example")
    assert sorted(mail.recipients) == ["one@x.example", "two@x.example"]
    assert mail.content.endswith("Subject: zażółć\r\n\r\n.\r\ntext\r\n".encode())
    wait_for_names(instance, [])


@pytest.mark.one_identity
def test_both_in_one_directory(mqueue, make_relay, real_sendmail):
    relay = make_relay(delay=0.005)
    count, least = 1000, 200
    instance = mqueue({"default": account(relay, connections=2)}, {"interval": "1s"},
                      started=False, log_level="info")
    sendmail = real_sendmail(instance, relay)
    for number in range(count):
        instance.mqueue.put(f"r{number}@x.example", headers=[f"Subject: {number}"],
                            priority=30000 + number * 7919 % count)
    runners = [sendmail.popen("-q") for _ in range(2)]
    instance.start()

    def finished():
        for at, runner in enumerate(runners):
            if runner.poll() is not None and len(relay.mails) < count:
                runners[at] = sendmail.popen("-qf")
        return not [name for name in instance.mqueue.names() if name[0] == "q"]

    wait_for(finished, 120, lambda: f"no job: {len(instance.mqueue.names())} files are left")
    for runner in runners:
        runner.communicate(timeout=60)
    received = sorted(mail.recipients[0] for mail in relay.mails)
    assert received == sorted(f"r{number}@x.example" for number in range(count))
    by_smailer = len(instance.log_lines("status=sent"))
    assert least <= by_smailer <= count - least
    assert not [name for name in instance.mqueue.names() if name[0] in "tx"]


# The commands of smailer


@pytest.mark.one_identity
def test_what_deaths_left_in_rewriting(mqueue, relay):
    """Removed where nothing is lost with it; a body without an envelope is the administrator's."""
    instance = mqueue({"default": relay}, started=False)
    for name in ("dfAA00001", "tfAA00002", "xfAA00003", "dfAA00004", "QfAA00004"):
        instance.mqueue.write(name, "x\n")
        os.utime(instance.mqueue.directory / name, (0, time.time() - 3700))
    instance.start()
    wait_for_names(instance, ["QfAA00004", "dfAA00001", "dfAA00004", "tfAA00002"])
    problem = wait_for(lambda: instance.status()["queues"][0]["problem"], 20, "a problem to be shown")
    assert re.match(r"(dfAA00001 tfAA00002|tfAA00002 dfAA00001): 2 files without a control", problem)
    assert instance.log_lines("dfAA00001", "qmgr")
    done = instance.mqueue.put("bob@far.example.net")
    relay.wait(1)
    wait_for(lambda: f"qf{done}" not in instance.mqueue.names(), 20, "the job to be finished")
    assert instance.status()["queues"][0]["problem"] == problem


def test_listing_sending_and_status(mqueue, make_relay):
    relay = make_relay(refuse("451 4.3.0 busy"))
    instance = mqueue({"default": relay})
    deferred = instance.mqueue.put(["PFD:one@x.example", "PFD:two@x.example"], sender="ann@x.example")
    wait_for(lambda: instance.mqueue.lines(deferred, "N") == ["1"], 20, "a deferred job")
    instance.mqueue.put_case(Case("r19-quarantined"))
    [entry] = instance.queue("--sid", "sendmail", "--state", "waiting,deferred")
    assert (entry["sid"], entry["state"], entry["file"]) == ("sendmail", "deferred", f"qf{deferred}")
    assert entry["recipients"] == ["one@x.example", "two@x.example"]
    assert (entry["sender"], entry["subject"], entry["attempts"]) == ("ann@x.example", "test", 1)
    assert entry["error"] == "Deferred: 451 4.3.0 busy"
    [held] = instance.queue("--sid", "sendmail", "--state", "held")
    assert (held["state"], held["error"]) == ("held", "held by admin, looks odd")
    [queue] = instance.status()["queues"]
    assert (queue["waiting"], queue["deferred"]) == (0, 1)
    relay.answer = lambda stage, mail, address: None
    instance.cli_ok("--sid", "sendmail", "send")
    assert instance.queue("--sid", "sendmail", "--state", "waiting,deferred") == []
    assert relay.wait_for_recipient("two@x.example").sender == "ann@x.example"


def test_sending_without_a_daemon(mqueue, relay):
    instance = mqueue({"default": relay}, started=False)
    instance.mqueue.put("one@x.example")
    instance.mqueue.put("two@x.example", attempts=3, last=time.time() - 60)
    instance.cli_ok("--sid", "sendmail", "send")
    assert len(relay.mails) == 2
    assert instance.mqueue.names() == []


def test_testing_holds_what_was_sent(mqueue, relay):
    instance = mqueue({"default": relay}, testing="tester@x.example")
    id = instance.mqueue.put(["PFD:one@x.example", "PFD:two@x.example"])
    mail = relay.wait(1)[0]
    assert mail.recipients == ["tester@x.example"]
    assert mail.message.get_all("X-Smailer-Recipient") == ["<one@x.example>", "<two@x.example>"]
    wait_for_names(instance, [f"df{id}", f"hf{id}"])
    assert "\nqsent in testing\n" in instance.mqueue.text(f"hf{id}")


# Senders of other queues


@pytest.mark.parametrize("notify, told", [("sender", ADDRESS), ("boss@x.example", "boss@x.example"),
                                          ("none", None)])
def test_an_account_says_who_is_told_of_a_dropped_mail(smailer, make_relay, notify, told):
    relay = make_relay(refuse("550 5.1.1 no such user"))
    instance = smailer({ADDRESS: account(relay, sids=["alfa"], notify=notify)})
    name = instance.base.drop(content="Prosimy o zwrot.")
    instance.wait_for_file(instance.base, "drop", name)
    if told is None:
        assert not instance.log_lines("sender notification")
        return
    notice = relay.wait_for_recipient(told)
    assert sender_of(notice) == ""
    [fields] = status_of(notice)
    assert (fields["Final-Recipient"], fields["Status"]) == ("rfc822; boo@hisorhermail.com", "5.1.1")
    notices = instance.root / "state/notices"
    wait_for(lambda: list(notices.iterdir()) == [], 20, "the notice to be removed")


def test_one_is_told_when_the_last_try_failed(smailer, make_relay):
    relay = make_relay(refuse("451 4.3.0 busy"))
    instance = smailer({ADDRESS: account(relay, notify="sender")}, retry_interval="1s",
                       max_attempts=2)
    instance.base.drop()
    notice = relay.wait_for_recipient(ADDRESS)
    assert status_of(notice)[0]["Status"] == "5.4.7"


def test_a_body_that_cannot_be_read_now_is_no_reason_to_return_a_mail(mqueue, relay):
    instance = mqueue({"default": relay}, started=False)
    id = instance.mqueue.put("bob@far.example.net", sender="ann@example.org")
    (instance.mqueue.directory / f"df{id}").chmod(0)
    instance.start()
    instance.wait_for_log(rf"open .*df{id}: Permission denied", "pickup")
    assert instance.mqueue.names() == [f"df{id}", f"qf{id}"]
    (instance.mqueue.directory / f"df{id}").chmod(0o600)
    instance.restart()
    assert relay.wait(1)[0].recipients == ["bob@far.example.net"]
    wait_for_names(instance, [])
