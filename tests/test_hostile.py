"""Hostile queues: a grammar of inputs, each with its expected end, in one queue beside good mails that
are delivered meanwhile. SMAILER_HOSTILE=N is the number of files (100 by default), SMAILER_SEED the
one to be repeated; `make hostile` tries many."""

import os
import random
import re
import socket
import threading
import time

import pytest

from harness.base import document, item
from harness.mqueue import Mqueue
from harness.process import wait_for
from harness.smailer import account

FOO, ADDRESS = "foo@example.com", "boo@example.org"
COUNT = int(os.environ.get("SMAILER_HOSTILE", "100"))
SEED = int(os.environ.get("SMAILER_SEED", "1"))
LIST = 10000 if os.environ.get("SMAILER_FULL") == "yes" else 1000
MINUTES_AGO = 120 * 10**9
GOOD_EVERY = 10
NODE = (200 if COUNT > 100 else 20) << 20  # octets of one XML node
SPARE = 64 << 20  # what a program has in memory beside its largest file
NOTICED = 30  # seconds until a good mail among them is there, on a machine that is busy

pytestmark = pytest.mark.one_identity


# Fields: each a value that spoils a mail with the reason for it, or one that must not


def blanks(rng):
    return "".join(rng.choice(" \t\n") for _ in range(rng.randrange(5)))


def good_address(rng):
    local = rng.choice(["a", "a.b+c", "!#$%&'*+-/=?^_`{|}~", '"a b"', '"a\\"<b>@c"', "x" * 64])
    domain = rng.choice(["example.org", "a-b.example", "[192.0.2.1]", "[IPv6:2001:db8::1]",
                         "bücher.example", "b" * 63 + ".example"])
    return blanks(rng) + f"{local}@{domain}" + blanks(rng)


def bad_address(rng):
    good = ADDRESS
    return rng.choice([
        "", " ", "boo", "@example.org", "boo@", f"Boo <{good}>", f"<{good}>", f"{good},{good}",
        f"{good}; {good}", f"{good}\r\nRCPT TO:<x@example.net>", f"{good}\nDATA", f"{good} SIZE=1",
        f"{good}> NOTIFY=SUCCESS", f"(a){good}", f"boo@@example.org", "boo@-a.example",
        "boo@a-.example", "boo@a..example", ".boo@a.example", "boo.@a.example", "bo..o@a.example",
        "x" * 65 + "@a.example", "boo@" + "a" * 64 + ".example", "boo@[192.0.2]", "boo@[x",
        "boo\u0085@a.example", '"boo@a.example', "boo@a.example:25",
        "boo@exam_ple.org", "boo@" + ".".join(["a" * 60] * 5), "a" * 2000 + "@a.example",
        "=?UTF-8?Q?boo?=@a.example\x7f", "boo@a.example|sh", "|sh", "/etc/passwd", ":include:/x"])


def any_text(rng):
    return rng.choice([
        "", "plain", "One\r\nBcc: x@example.net", "\n.\nQUIT\n", "\r.\r", ".", "..\n.\n", "x" * 5000,
        "ą" * 3000, "=?UTF-8?B?eA==?=", "\u2028\u2029\u0085", "]]>", "<b>&amp;</b>", "\ufeffx", "🐢" * 99,
        "a\n" * 2000, "\t \n" * 50, "%s%n", "\x9b31m", "=\n=", "-- \n", "From x\n", "\ue000\ufffd",
        "line\r" * 100, "x" * 998 + "\n" + "y" * 999])


def any_time(rng):
    return rng.choice(["17.10.2011 00:00:11", None, "", "31.02.2011 00:00:00", "yesterday", "0",
                       "99.99.9999 99:99:99", "17.10.2011", "01.01.1970 00:00:00", "ą" * 100])


# Files: (octets, the state they end in, what the reason says)


def mail(rng):
    return document(item(address=good_address(rng), topic=any_text(rng), content=any_text(rng),
                         time=any_time(rng))), "sent", ""


def bad_mail(rng):
    field = rng.choice(["sender", "address"])
    return document(item(**{field: bad_address(rng)}, topic=any_text(rng))), "drop", f"fld_{field}"


def missing_field(rng):
    field = rng.choice(["sender", "address"])
    return document(item(**{field: None})), "drop", f"fld_{field}"


def stranger(rng):
    return document(item(sender=f"x{rng.randrange(9)}@example.net")), "defer", "account"


def encoded(rng):
    encoding = rng.choice(["windows-1250", "ISO-8859-2", "UTF-16", "UTF-8-SIG", "ISO-8859-1"])
    text = "Zażółć" if encoding != "ISO-8859-1" else "Zaó"
    return document(item(topic=text, address=ADDRESS), encoding=encoding,
                    declared="UTF-8" if encoding == "UTF-8-SIG" else None), "sent", ""


def wrong_encoding(rng):
    return document(item(), declared=rng.choice(["UTF-7", "EBCDIC-CP-US", "x-none", "UTF-32", "GB18030"])), \
        "drop", "encoding"


def bomb(rng):
    kind = rng.randrange(3)
    if kind == 0:
        entities = "".join(f'<!ENTITY {chr(b)} "{("&" + chr(b - 1) + ";") * 10}">'
                           for b in range(ord("b"), ord("k")))
        head = f'<!DOCTYPE list [<!ENTITY a "ha">{entities}]>'
    elif kind == 1:
        head = '<!DOCTYPE list [<!ENTITY j SYSTEM "file:///etc/passwd">]>'
    else:
        head = '<!DOCTYPE list SYSTEM "http://127.0.0.1/x.dtd">'
    body = document(item(content="HERE")).split(b"?>", 1)[1].replace(b"HERE", b"&j;")
    return b'<?xml version="1.0"?>' + head.encode() + body, "drop", "DTD"


def deep(rng):
    levels = rng.choice([20, 1000, 100000])
    return b"<list>" + b"<item>" * levels + b"</item>" * levels + b"</list>", "drop", "deep"


def long_tag(rng):
    kind = rng.randrange(3)
    tag = (b" ".join(b"a%d='1'" % n for n in range(rng.choice([500, 100000]))) if kind == 0
           else b"a" * rng.choice([3000, 2**20]) + b"='1'" if kind == 1 else b"a='" + b"x" * 2**20 + b"'")
    return b"<list " + tag + b"></list>", "drop", "tag|long"


def not_well_formed(rng):
    whole = document(item(topic=any_text(rng)))
    cut = rng.randrange(1, len(whole) - 8)
    kind = rng.randrange(6)
    return [whole[:cut], whole + b"<list>", whole.replace(b"zwrot", b"\xff\xfe"),
            whole.replace(b"zwrot", b"\0"), whole.replace(b"zwrot", b"&#1;"),
            bytes(rng.randrange(256) for _ in range(200))][kind], "drop", ""


def no_mail(rng):
    return rng.choice([b"", b" \n", b"Hello\n", document(), b"<html><body/></html>", b"\xef\xbb\xbf",
                       b"<list xmlns='urn:x'><item/></list>", b"\0" * 1000]), "drop", ""


def large(rng):
    size = rng.choice([5 * 2**20, 7 * 2**20])
    return document(item(content="x" * size)), "drop", "too large|max_message_size|octets"


KINDS = [mail, mail, bad_mail, bad_mail, missing_field, stranger, encoded, wrong_encoding, bomb, deep, long_tag,
         not_well_formed, no_mail, large]


def name(rng, number):
    """A name that no other file has, of any octets."""
    kinds = [b"mail-%d.xml", b"mail %d", b"a\nb%d.xml", b"\xff\xfe%d", "zażółć%d.xml".encode(),
             b"\x1b[2J%d", b"-rf%d", b"$(id)%d`'\"", b"%%s%%n%d", b"n" * 240 + b"%09d", b"a\\012%d"]
    return os.fsdecode(rng.choice(kinds) % number)


# What is no file at all: dropped as it is, never followed


def link(path):
    os.symlink("/etc/passwd", path)


def fifo(path):
    os.mkfifo(path)


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)


def device(path):
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


OTHERS = [link, fifo, bound_socket] + ([device] if os.geteuid() == 0 else [])


def put_all(instance, rng):
    """{name: (state, reason)} of what was put into the queue, good mails among it, and when each of
    those was."""
    base, expected, good = instance.base, {}, {}
    base.path("", "directory.xml").mkdir()
    for number in range(COUNT):
        content, state, reason = rng.choice(KINDS)(rng)
        each = base.put(content, name(rng, number), mtime=time.time_ns() - MINUTES_AGO)
        expected[each] = state, reason
        if number % GOOD_EVERY == 0:
            good[f"good{number}@example.org"] = time.monotonic()
            base.drop(name=f"good-{number}.xml", address=f"good{number}@example.org")
    for number, make in enumerate(OTHERS):
        path = base.path("", f"other-{number}.xml")
        make(str(path))
        os.lchown(path, instance.identity.spool_uid, instance.identity.spool_gid)
        expected[path.name] = "drop", "not a regular file"
    return expected, good


def check_end(base, each, state, reason):
    assert base.where(each) == [state], f"{each!r}: {base.where(each)}, not {state}: {reason}"
    if state == "sent":
        return
    records = [text for text in base.records(state).values()
               if f"\nname: {escape(each)}\n" in text]
    assert len(records) == 1, f"{each!r} has {len(records)} records"
    said = re.search(r"^reason: (.*)$", records[0], re.M).group(1)
    assert len(said) > 5 and re.search(reason, said), f"{each!r}: {said!r} is not {reason}"


def escape(each):
    """A name as records have it (lib/text.h)."""
    def shown(character):
        octets = os.fsencode(character)
        if character == "\\":
            return "\\\\"
        plain = octets.decode("utf-8", "replace") == character and character.isprintable()
        return character if plain else "".join(f"\\{octet:03o}" for octet in octets)
    return "".join(shown(character) for character in each)


def test_a_hostile_queue(smailer, make_relay):
    rng = random.Random(SEED)
    relay = make_relay()
    instance = smailer({FOO: relay}, max_message_size="4M", retry_interval="1h", scan_interval="2s",
                       log_level="info")
    base = instance.base
    expected, good = put_all(instance, rng)
    for address, since in good.items():
        arrived = relay.wait_for_recipient(address, 60).arrived
        assert arrived - since < NOTICED, f"{address} after {arrived - since:.1f} s (seed {SEED})"
    wait_for(lambda: base.files("") == [], 120,
             lambda: f"an end for {base.files('')[:5]} (seed {SEED}) {instance.tail()}", 0.2)
    for each, (state, reason) in expected.items():
        check_end(base, each, state, reason)
    assert len(base.files("sent")) == len(good) + sum(
        state == "sent" for state, _ in expected.values())
    assert base.path("", "directory.xml").is_dir()
    logs = "".join(instance.logs().values())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", logs) and "root:" not in logs
    check_relayed(relay, len(good), expected)
    print(f"seed {SEED}: {len(expected)} hostile files, {len(good)} good mails, each at its end")


def check_relayed(relay, good, expected):
    """Nobody but who is in an envelope got anything, and no header came from a text."""
    assert len(relay.mails) == good + sum(state == "sent" for state, _ in expected.values())
    for each in relay.mails:
        assert len(each.recipients) == 1 and "example.net" not in each.recipients[0]
        assert each.message["Bcc"] is None
        assert all(len(line) <= 998 for line in each.content.split(b"\r\n"))


def test_files_that_change_while_they_are_read(smailer, relay):
    """One that grows, one that shrinks, one that is replaced again and again, and hard links."""
    instance = smailer({FOO: relay}, scan_interval="1s", retry_interval="1h")
    base, whole = instance.base, document(item(content="whole"))
    growing = base.path("", "growing.xml")
    with open(growing, "wb", buffering=0) as file:
        instance.identity.give(growing)
        for octet in range(0, len(whole), 40):
            file.write(whole[octet:octet + 40])
            base.put(whole, "replaced.xml")
            good = base.drop(address=f"good{octet}@example.org")
            instance.wait_for_file(base, "sent", good)
    linked = base.path("", ".hidden")
    linked.write_bytes(document(item(content="linked")))
    instance.identity.give(linked)
    for number in range(3):
        os.link(linked, base.path("", f"linked-{number}.xml"))
    instance.wait_for_file(base, "sent", "growing.xml")
    wait_for(lambda: base.files("") == [], 20, lambda: f"an end for {base.files('')}")
    texts = [mail.text.strip() for mail in relay.mails]
    assert texts.count("linked") == 3 and set(texts) == {"whole", "linked", "Prosimy o zwrot."}
    assert linked.read_bytes() == document(item(content="linked"))


# A file whose one node is that large: its end, and what its reason says. {} is the node.
HUGE = {
    "text": ("<list><item><fld_content>{}</fld_content></item></list>", "drop", "fld_"),
    "topic": ("<list><item><fld_topic>{}</fld_topic></item></list>", "drop", "fld_"),
    "address": (document(item(address="{}")).decode(), "drop", "fld_address"),
    "comment": ("<list><!--{}--></list>", "drop", "not well-formed"),
    "instruction": ("<list><?x {}?></list>", "drop", "a tag of more than"),
    "cdata": ("<list><item><fld_content><![CDATA[{}]]></fld_content></item></list>", "drop",
              "not well-formed"),
    "attribute": ("<list a='{}'></list>", "drop", "a tag of more than"),
    "name": ("<list><{}/></list>", "drop", "a tag of more than"),
    "ignored": (document(item()).decode().replace("<list>", "<list><other>{}</other>"), "sent", ""),
}


def peak(pid):
    """The most memory that a process has had, in octets."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) << 10


def test_huge_nodes(smailer, relay):
    """What one node has costs a few times its file's size in memory, in cleanup alone, and no other
    mail waits for it for long."""
    largest = NODE + (1 << 20)
    instance = smailer({FOO: relay}, max_message_size=str(largest), log_level="info",
                       programs={"cleanup": {"instances": 2}})
    base, node = instance.base, b"x" * NODE
    with open(base.path("", ".larger"), "wb") as file:  # sparse: nobody reads it
        file.truncate(largest + 1)
    instance.identity.give(base.path("", ".larger"))
    os.rename(base.path("", ".larger"), base.path("", "larger.xml"))
    for name, (text, _, _) in HUGE.items():
        base.put(text.encode().replace(b"{}", node), f"{name}.xml", time.time_ns() - MINUTES_AGO)
        good = base.drop(address=f"{name}@example.org")
        instance.wait_for_file(base, "sent", good, 60)
    wait_for(lambda: base.files("") == [], 120, lambda: f"an end for {base.files('')}", 0.1)
    for name, (_, state, reason) in HUGE.items():
        check_end(base, f"{name}.xml", state, reason)
    check_end(base, "larger.xml", "drop", "max_message_size")
    for each in instance.processes():
        allowed = SPARE + (6 * largest if each.role == "cleanup" else 0)
        assert peak(each.pid) < allowed, f"{each.role}: {peak(each.pid) >> 20} MB"


def test_one_file_in_two_bases(smailer, relay):
    """A hard link is a mail of its base's own: each is sent once, and the file is not touched."""
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"]}, started=False)
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    name = alfa.drop(content="linked")
    before = alfa.path("", name).read_bytes()
    os.link(alfa.path("", name), beta.path("", "other.xml"))
    instance.start()
    instance.wait_for_file(alfa, "sent", name)
    instance.wait_for_file(beta, "sent", "other.xml")
    here, there = alfa.path("sent", name).stat(), beta.path("sent", "other.xml").stat()
    assert (here.st_ino, here.st_nlink) == (there.st_ino, 2)
    assert beta.path("sent", "other.xml").read_bytes() == before
    assert [mail.text.strip() for mail in relay.mails] == ["linked", "linked"]
    assert len({mail.message["Message-ID"] for mail in relay.mails}) == 2


class Wavering(threading.Thread):
    """Lets files grow and shrink, again and again; at the end they are as they were. They stay open,
    so that whoever looks for closed files sees none before the end."""

    def __init__(self, *paths):
        super().__init__(daemon=True)
        self.files = [open(path, "r+b", buffering=0) for path in paths]
        self.contents = [file.read() for file in self.files]
        self.over, self.turns = threading.Event(), 0

    def run(self):
        while not self.over.is_set():
            for file, content in zip(self.files, self.contents):
                os.ftruncate(file.fileno(), len(content) // (1 + self.turns % 5))
                os.pwrite(file.fileno(), content * 2, 0)
            self.turns += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        for file, content in zip(self.files, self.contents):
            os.ftruncate(file.fileno(), len(content))
            os.pwrite(file.fileno(), content, 0)
            file.close()


def test_files_that_grow_and_shrink(smailer, relay):
    """What is read of them may end anywhere; each stays one mail in one place, and others go on."""
    instance = smailer({FOO: relay}, started=False, scan_interval="1s", log_level="info")
    base = instance.base
    names = [base.put(document(item(content="whole " * 2000)), f"wavering-{number}.xml",
                      time.time_ns() - MINUTES_AGO) for number in range(5)]
    with Wavering(*(base.path("", name) for name in names)) as wavering:
        instance.start()
        for number in range(10):
            good = base.drop(address=f"good{number}@example.org")
            instance.wait_for_file(base, "sent", good, NOTICED)
        wait_for(lambda: wavering.turns > 100, 30, "files that change")
    assert all(len(base.where(name)) == 1 for name in names)
    for mail in relay.for_recipient("boo@hisorhermail.com"):
        assert set(mail.text.split()) == {"whole"}


def test_a_long_list(smailer, relay):
    instance = smailer({FOO: account(relay, connections=4)}, log_level="info")
    base = instance.base
    items = [item(address=bad_address(random.Random(number)) if number % 100 == 0
                  else f"n{number}@example.org") for number in range(LIST)]
    base.put(document(*items), "list.xml")
    since = time.monotonic()
    base.drop(address="behind@example.org", name="behind.xml")
    assert relay.wait_for_recipient("behind@example.org", 30).arrived - since < NOTICED
    bad = LIST // 100
    instance.wait_for_count(base, "sent", LIST - bad + 1, 120)
    instance.wait_for_count(base, "drop", bad)
    assert len({mail.recipients[0] for mail in relay.mails}) == LIST - bad + 1 == len(relay.mails)


# The same for sendmail's queue


NOBODIES = ["boo", "@example.org", "boo@", "boo@a..example", "|sh", "/etc/passwd",
            ":include:/x", "x" * 65 + "@a.example", "boo@a.example SIZE=1", '"|sh"', "\\|sh", "boo@[x", ""]


def job_lines(rng):
    """A control file's text, and whether its good recipient gets a mail."""
    kind = rng.randrange(9)
    head, good = "V8\nT{now}\nK0\nN0\nP30000\nFbs\n", f"RPFD:{ADDRESS}\n"
    header = rng.choice(["H??Subject: x\n", "H??Subject: a\rBcc: x@example.net\n", "H??no colon\n",
                         "H?P?Return-Path: <\x81g>\n", "H?${{x}}?X-Y: z\n", "H??: empty\n",
                         "H??X-Long: " + "y" * 3000 + "\n", "H??X-Fold: a\n\tb\n c\n"])
    sender = f"S{FOO}\n"
    return [
        (head + sender + good + header + ".\n", True),
        (head + sender + "RPFD:|sh\nRPFD:/etc/passwd\nRPFD::include:/x\n" + good + header + ".\n", True),
        (head + sender + f"RPFD:{rng.choice(NOBODIES)}\n.\n", False),
        (head + sender + good + header, False), (head + good + header + ".\n", False),
        (head + sender + good + "From x\n.\n", False), (head + sender + good + "~what\n.\n", False),
        (head.replace("V8", "V99") + sender + good + ".\n", False),
        (head + sender + good + ".\nRPFD:x@example.net\n", False)][kind]


def test_jobs_that_change_while_they_are_read(smailer, relay, identity):
    """A control file that grows and shrinks is sent when it is whole; data files that do are sent as
    they are found; and no other job waits for them."""
    instance = smailer({FOO: relay}, {}, started=False, scan_interval="1s")
    queue = Mqueue(identity, instance.root / "mqueue")
    instance.sections.append(queue.section())
    instance.configure()
    ids = [queue.put(f"wavering{number}@example.org", body="x\n" * 5000) for number in range(10)]
    text = (f"V8\nT{int(time.time())}\nK0\nN0\nP30000\nFbs\nS{FOO}\nRPFD:pieces@example.org\n"
            "H??Subject: x\n.\n")
    queue.write("df6AM60KDN000001", "x\n")
    queue.write("qf6AM60KDN000001", "")
    with Wavering(*(queue.directory / f"df{id}" for id in ids)) as wavering:
        instance.start()
        with open(queue.directory / "qf6AM60KDN000001", "r+b", buffering=0) as growing:
            for number, size in enumerate((10, 40, 60, 20, len(text) - 2)):
                growing.truncate(0)
                os.pwrite(growing.fileno(), text[:size].encode(), 0)
                queue.put(f"good{number}@example.org")
                relay.wait_for_recipient(f"good{number}@example.org", NOTICED)
            assert not relay.for_recipient("pieces@example.org")
            os.pwrite(growing.fileno(), text.encode(), 0)
        for address in ["pieces", *(f"wavering{number}" for number in range(10))]:
            mail = relay.wait_for_recipient(f"{address}@example.org", 30)
            assert set(mail.text.split()) <= {"x"}
        wait_for(lambda: wavering.turns > 100, 30, "files that change")
    wait_for(lambda: not [name for name in queue.names() if name.startswith("qf")], 30,
             lambda: f"all jobs to be done: {queue.names()}")


def test_a_hostile_mqueue(smailer, relay, identity):
    rng = random.Random(SEED)
    instance = smailer({FOO: relay, "default": account(relay)}, {}, started=False, retry_interval="1h")
    queue = Mqueue(identity, instance.root / "mqueue")
    instance.sections.append(queue.section())
    instance.configure()
    instance.start()
    wanted, good = 0, {}
    for number in range(COUNT // 3):
        text, delivered = job_lines(rng)
        wanted += delivered
        queue.write(f"df6AM60KDN{number:06}", rng.choice(["x\n", ".\n..\n", "a\rb\n", "ą" * 2000, "", "x" * 3000]))
        queue.write(f"qf6AM60KDN{number:06}", text.replace("{now}", str(int(time.time()))).encode("latin-1", "replace"))
        if number % GOOD_EVERY == 0:
            good[f"good{number}@example.org"] = time.monotonic()
            queue.put(f"good{number}@example.org")
    for address, since in good.items():
        assert relay.wait_for_recipient(address, 60).arrived - since < NOTICED, address
    wait_for(lambda: len(relay.mails) >= wanted + len(good), 60,
             lambda: f"{wanted + len(good)} mails, not {len(relay.mails)} (seed {SEED}) {instance.tail()}")
    for each in relay.mails:
        assert "example.net" not in "".join(each.recipients)
        assert b"\nBcc: x" not in each.content and b"\rBcc" not in each.content.replace(b"\r\n", b"")
    # A recipient that cannot be is told of to the sender, in a notice of its own.
    strangers = [mail for mail in relay.mails if mail.recipients not in ([ADDRESS], [FOO])
                 and not mail.recipients[0].startswith("good")]
    assert strangers == []


# And for rows


def test_hostile_rows(smailer, relay, database):
    table = database.table()
    instance = smailer({FOO: relay}, {}, started=False)
    instance.sections.append(table.section())
    instance.configure()
    assert instance.cli("--sid=biblioteka", "init").returncode == 0
    instance.start()
    check_rows(instance, relay, table, random.Random(SEED))


def check_rows(instance, relay, table, rng):
    keys = {}
    for _ in range(max(COUNT // 10, 10)):
        keys[table.insert(address=good_address(rng), topic=any_text(rng), content=any_text(rng))] = "S"
        field = rng.choice(["sender", "address"])
        keys[table.insert(**{field: rng.choice([None, bad_address(rng)])}, topic=any_text(rng))] = "D"
        keys[table.insert(sender="x@example.net")] = "d"
        keys[table.insert(topic=None, content=None, time=None, address=ADDRESS)] = "S"
    good = table.insert(address="good@example.org")
    since = time.monotonic()
    assert relay.wait_for_recipient("good@example.org", 60).arrived - since < NOTICED
    for key, status in {**keys, good: "S"}.items():
        table.wait_for_status(key, status, 40, instance)
    assert all("example.net" not in mail.recipients[0] for mail in relay.mails)
    assert all(mail.message["Bcc"] is None for mail in relay.mails)
