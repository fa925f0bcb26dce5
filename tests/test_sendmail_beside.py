"""Jobs of every kind, each listed, sent and left as real sendmail lists, sends and leaves it."""

import re
import time

import pytest

from harness import scripted
from harness.mqueue import Mqueue
from harness.process import wait_for
from harness.sendmail import Sendmail
from harness.smailer import account, program

CREATED = int(time.time()) - 100
ANN, BOB = "Sann@example.org", "RPFD:bob@{id}.example"
HEADERS = ("H??From: ann@example.org", "H??To: bob@{id}.example", "H??Subject: test")
MIME = ("H??MIME-Version: 1.0", "H??Content-Type: text/plain; charset=utf-8",
        "H??Content-Transfer-Encoding: 8bit")


def old(*lines):
    """A job of format 0."""
    return [f"T{CREATED}", "P{priority}", *lines, ".", ""]


def new(*lines, flags="bs", extra=()):
    """A job of format 8; EXTRA are headers behind the usual ones."""
    return ["V8", f"T{CREATED}", "K0", "N0", "P{priority}", f"F{flags}", *lines, *HEADERS, *extra,
            ".", ""]


def to(*recipients):
    return new(ANN, *(f"R{each}@{{id}}.example" for each in recipients))


def headers(*lines, flags="bs"):
    return new(ANN, BOB, extra=lines, flags=flags)


PLAIN = new(ANN, BOB)

# What there is of each: the control file's lines, and the data file where it is not "body\n".
CASES = {
    "format 0": old(ANN, "Rbob@{id}.example", "HFrom: ann@example.org", "HSubject: x"),
    "format 0, brackets": old("S<ann@example.org>", "R<bob@{id}.example>", "HSubject: x"),
    "format 0, headers first": old("HSubject: x", "Hto: bob", ANN, "Rbob@{id}.example"),
    "format 0, conditions": old(
        ANN, "Rbob@{id}.example", "H?P?return-path: <ann@example.org>", "H?D?date: now",
        "H?x?full-name: x", "H?M?message-id: <1@x>", "H?F?from: ann@example.org"),
    "format 0, old letters": old("DdfX", "MDeferred: Connection refused", ANN, "Eerr@example.org",
                                 "Rbob@{id}.example", "HSubject: x"),
    "format 0, blanks": old("Sann@example.org   ", "Rbob@{id}.example  ", "HSubject: x"),
    "format 0, controllers": old(ANN, "Croot:", "Rbob@{id}.example", "C", "Rcarl@{id}.example"),
    "format 1": ["V1", *old(ANN, BOB, "HSubject: x")],
    "format 4": ["V4", *old(ANN, "Cann:bob", "rRFC822; b@x", BOB, "HSubject: x")],
    "format 6": ["V6", *old(ANN, "C0:0:bob", "RPFDA:bob@{id}.example", "HSubject: x")],
    "sender behind the recipient": new(BOB, ANN),
    "two senders": new("Sone@example.org", ANN, BOB),
    "sender with a name": new("SAnn <ann@example.org>", BOB),
    "quoted sender": new('S"ann lee"@example.org', BOB),
    "null sender with a blank": new("S< >", BOB),
    "folded sender": new("Sann", " @example.org", BOB),
    "response": new(ANN, BOB, flags="r"),
    "every flag of a recipient": to(
        ":a", "P:b", "N:c", "S:d", "F:e", "D:f", "NS:g", "NF:h", "ND:i", "NSF:j", "NSD:k", "NFD:l",
        "NSFD:m", "A:n", "B:o", "PA:p", "PNA:q", "X:r", "PZ9:s", "PN:t"),
    "same recipient twice": to("PN:bob", "PNSFD:bob"),
    "same recipient in brackets": new(ANN, BOB, "RPFD:<bob@{id}.example>"),
    "ORCPT": new(ANN, "Qrfc822;bob+2Bx@x.example", "rRFC822; bob@{id}.example",
                 "RPNFD:bob@{id}.example", "RPNFD:carl@{id}.example"),
    "comments": new(ANN, "RPFD:bob@{id}.example (Bob B)", "RPFD:carl(x)@{id}.example"),
    "quoted": new(ANN, 'RPFD:"bob b"@{id}.example', 'RPFD:<"a@b"@{id}.example>',
                  'RPFD:"quo\\"te"@{id}.example', 'RPFD:"bob"@{id}.example'),
    "old routes": to("PFD:bob%in.example", "PFD:host!bob"),
    "literals": new(ANN, "RPFD:{id}@[IPv6:2001:db8::1]", "RPFD:{id}@[192.0.2.1]"),
    "odd letters": to("PFD:b+tag=x/y'z#", "PFD:$bob", "PFD:a{{b}}~`", "PFD:.b..ob."),
    "Resent": headers("H?D?Resent-Date: x", "H??Resent-To: bob@{id}.example",
                      "H?F?Resent-From: ann@example.org", "H??Date: y"),
    "Bcc": headers("H??Bcc: secret@example.org"),
    "Bcc that stays": headers("H??Bcc: secret@example.org", "H??BCC:", flags="s"),
    "for local delivery": headers(
        "H??Full-Name: Ann", "H??Return-Path: <x@y>", "H??Content-Length: 3",
        "H?D?Content-Length: 4", "H?M?Return-path: <q>", "H??Status: RO"),
    "names in any case": headers("H??SUBJECT:x", "H??sUbJeCt   : y"),
    "macros set": new("$_[192.0.2.1]", "${{if_addr}}1.2.3.4", "$rESMTP", ANN, BOB, extra=[
        "H?${{if_addr}}?X-1: a", "H?${{nope}}?X-2: b", "H?$r?X-3: c", "H?$z?X-4: d"]),
    "what looks like macros": headers(
        "H??X-1: $w $g ${{x}}", "H??X-2: \u0101gst", "H??X-3: <\udc81g>", "H??X-4: \udcff\udc81g"),
    "conditions": headers("H?DF?X-1: a", "H?PD?X-2: a", "H?px?X-3: a", "H?d?X-4: a", "H?m?X-5: a",
                          "H? ?X-6: a"),
    "bad headers": headers("H?D X-1: a", "H", "H??", "H??: a", "H??X y: z", "H??X-Last:"),
    "folds": headers("H??X-1: a\n\tb\n c", "H??X-2:\n a", "H??X-3: a\n \n b", "H??X-4: blanks  "),
    "long header": headers("H??X-1: " + "a" * 1500),
    "octets in a header": headers("H??X-1: zażółć \udcb1\udce6 \x01\x7f\x1b[b"),
    "8BITMIME": (new("B8BITMIME", ANN, BOB, flags="bs8", extra=MIME), "zażółć\n"),
    "dots": (PLAIN, ".\n..\n...\n.x\n\n.\n"),
    "no newline at the end": (PLAIN, "body"),
    "no body": (PLAIN, ""),
    "long lines": (PLAIN, "".join("y" * length + "\n" for length in (*range(987, 993), 1500))),
    "From and control octets": (PLAIN, "From here\n>From there\na\x08\x0c\x7f\n"),
    "odd numbers": ["V8", f"T +{CREATED}", "K", "Nabc", "P{priority}xyz", "Ix", ANN, BOB, *HEADERS,
                    ".", ""],
    "RET": new(ANN, BOB, "Zid+3D", flags="bd"),
    "AUTH": new(ANN, "Aann+40x", BOB),
    "From line": new("From ann", ANN, BOB),
    "bad AUTH": new(ANN, "Aa b", BOB),
    "no body type": new("B", ANN, BOB),
    "letter that does not exist": new(ANN, "Xyz", BOB),
    "format behind other lines": [f"T{CREATED}", "V8", "P{priority}", ANN, BOB, *HEADERS, ".", ""],
    "continues nothing": [" x", *PLAIN],
    "words behind the dot": [*PLAIN[:-2], ".words", ""],
    "line behind the dot": [*PLAIN, ""],
    "no dot": [*PLAIN[:-2], ""],
    "quarantined": new("qheld", ANN, BOB),
    "deferred": new(ANN, "MDeferred: old", "RPFD:late@{id}.example", BOB, "Qrfc822;late@x",
                    "RPNFD:late2@{id}.example",
                    extra=["H?D?Date: x", "H??X: a\n\tb", "H??Bcc: x@y"]),
}

ID = re.compile(r"6AM50KDN01\d{4}")


def fill(mqueue):
    for number, case in enumerate(CASES.values()):
        id = f"6AM50KDN01{number:04}"
        lines, body = case if isinstance(case, tuple) else (case, "body\n")
        text = "\n".join(lines).format(id=id, priority=number)
        mqueue.write(f"df{id}", body)
        mqueue.write(f"qf{id}", text.encode(errors="surrogateescape"))


def name_of(id):
    return list(CASES)[int(id[-4:])]


def listed(output):
    """{case: its lines in a listing}"""
    parts = re.split(f"(?m)^({ID.pattern})", output.partition("\t\tTotal")[0])
    return {name_of(id): text for id, text in zip(parts[1::2], parts[2::2])}


async def answer(session):
    """To RCPT: those who are late are refused for now."""
    is_late = b"<late" in session.server.lines[-1]
    session.say("451 4.3.0 busy" if is_late else "250 2.1.5 Ok")


def command(line):
    """MAIL or RCPT without what differs by nature: how large it is, the order of parameters."""
    words, address, parameters = re.fullmatch("(.*?:)<(.*)>(.*)", line).groups()
    return [words.upper(), address, sorted(each for each in parameters.split()
                                           if not each.startswith("SIZE="))]


def sent(relay):
    """{case: its mails, each with MAIL, the RCPTs in order, and the lines of its content}"""
    mails, commands, content = {}, [], None
    for octets in relay.lines:
        line = octets.decode(errors="surrogateescape").removesuffix("\r\n")
        if content is None and line.startswith("MAIL "):
            commands = [command(line)]
        elif content is None and line.startswith("RCPT "):
            commands.append(command(line))
        elif content is None and line == "DATA":
            content = []
        elif line == "." and content is not None:
            ids = ID.findall(f"{commands} {content}")
            mails.setdefault(name_of(ids[0]) if ids else None, []).append(
                (commands[0], sorted(commands[1:]), content))
            content = None
        elif content is not None:
            content.append(line)
    return mails


def left(mqueue):
    """{case: the files left of it, and what the control file says of the envelope}"""
    found = {}
    for name in mqueue.names():
        lines = mqueue.text(name).split("\n") if name[0] == "q" else []
        found.setdefault(name_of(name), []).append(
            (name[:2], [line for line in lines if line[:1] in "NPMSRQHZAB"]))
    return found


class Pair:
    """smailer's sendmail and the real one, each with a queue and a relay of its own."""

    def __init__(self, smailer, scripted_server, package):
        self.relays = [scripted_server({"rcpt": answer}, pipelining=False,
                                       extensions=["8BITMIME", "SIZE", "DSN"]) for _ in range(2)]
        self.instance = smailer(
            {"default": account(self.relays[0], connections=1, pass_auth=True)}, {}, started=False)
        self.queues = [Mqueue(self.instance.identity, self.instance.root / name)
                       for name in ("ours", "theirs")]
        self.instance.sections.append(self.queues[0].section(hostname="mail.example.org"))
        self.instance.configure()
        self.real = Sendmail(package, self.instance.root / "sendmail", self.queues[1],
                             self.relays[1].port)
        for mqueue in self.queues:
            fill(mqueue)

    def ours(self, *words):
        return self.instance.run(program("sendmail"), "-C", self.instance.conf, *words,
                                 environment=self.instance.environment(TZ="UTC")).stdout

    def sent(self):
        return map(sent, self.relays)


@pytest.fixture
def pair(smailer, scripted_server, unpacked):
    return Pair(smailer, scripted_server, unpacked("sendmail-bin"))


@pytest.mark.one_identity
def test_as_real_sendmail_does_it(pair):
    for words in (["-bp"], ["-bp", "-v"]):
        assert listed(pair.ours(*words)) == listed(pair.real.run(*words))
    pair.ours("-q", "-v")
    pair.real.run("-q", "-v")
    our_mails, their_mails = pair.sent()
    our_files, their_files = map(left, pair.queues)
    for case in CASES:
        assert our_mails.get(case) == their_mails.get(case), case
        assert our_files.get(case) == their_files.get(case), case
    assert set(our_mails) <= set(CASES)


@pytest.mark.one_identity
def test_each_finishes_what_the_other_deferred(pair):
    """All is refused for now, so each rewrites its queue, and gets that of the other."""
    for relay in pair.relays:
        relay.table["rcpt"] = scripted.reply("451 4.3.0 busy")
    pair.ours("-q", "-v")
    pair.real.run("-q", "-v")
    ours, theirs = (mqueue.directory for mqueue in pair.queues)
    assert listed(pair.ours("-bp")) == listed(pair.real.run("-bp", f"-oQ{ours}"))
    for relay in pair.relays:
        relay.table.clear()
        relay.lines.clear()
    pair.ours("-q", "-v", f"-oQ{theirs}")
    pair.real.run("-q", "-v", f"-oQ{ours}")
    our_mails, their_mails = pair.sent()
    assert len(our_mails) > 45
    for case in CASES:
        assert our_mails.get(case) == their_mails.get(case), case
    assert pair.queues[0].names() == pair.queues[1].names()


@pytest.mark.one_identity
def test_a_body_in_another_directory_stays_there(smailer, relay):
    """Whatever line d names is not read: the job waits for who knows that directory."""
    instance = smailer({"default": relay}, {}, started=False)
    mqueue = Mqueue(instance.identity, instance.root / "mqueue")
    other = Mqueue(instance.identity, instance.root / "other")
    instance.sections.append(mqueue.section(hostname="mail.example.org"))
    instance.configure()
    id = mqueue.put("bob@far.example.net", lines=[f"d{other.directory}"], body="a secret\n")
    other.write(f"df{id}", "a secret\n")
    mqueue.put("carl@far.example.net", lines=["d."])
    instance.start()
    assert relay.wait_for_recipient("carl@far.example.net")
    assert instance.wait_for_log(
        rf"qf{id}: .*its df is in another directory: {re.escape(str(other.directory))}")
    wait_for(lambda: mqueue.names() == [f"df{id}", f"qf{id}"], 20,
             lambda: f"only {id}: {mqueue.names()}")
    assert other.names() == [f"df{id}"]
    assert [mail.recipients for mail in relay.mails] == [["carl@far.example.net"]]
