"""The directory queue: what is dropped into it comes to its right end, and says why."""

import datetime
import os
import re
import subprocess
import time

import pytest

from harness import scripted
from harness.base import document, item
from harness.postfix import Postfix
from harness.process import stays, wait_for
from harness.smailer import account
from harness.tls import Authority

ID = r"\d\d\.\d\d\.\d{10}_[0-9A-F]{16}"
MINUTES_AGO = 120 * 10**9
FOO = "foo@example.com"


def old():
    """An mtime that says: nobody is still writing this."""
    return time.time_ns() - MINUTES_AGO


def sent(smailer, base, name):
    smailer.wait_for_file(base, "sent", name)


def dropped(smailer, base, name, reason):
    """NAME was dropped, and REASON stands in its record and in the log."""
    smailer.wait_for_file(base, "drop", name)
    assert re.search(reason, base.record("drop", name)), base.record("drop", name)
    assert smailer.wait_for_log(rf"{ID}: .*status=dropped .*(?:{reason})"), smailer.tail()


def deferred(smailer, base, name, reason):
    smailer.wait_for_file(base, "defer", name)
    assert re.search(reason, base.record("defer", name)), base.record("defer", name)
    assert smailer.wait_for_log(rf"{ID}: .*status=deferred .*(?:{reason})"), smailer.tail()


# What arrives, and where


@pytest.mark.main_flow
def test_three_bases_are_sent(smailer, relay):
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"], "sowa2": ["gamma"]})
    for base in instance.bases.values():
        name = base.drop(topic=base.sid)
        sent(instance, base, name)
        assert base.leftovers() == []
    assert sorted(mail.subject for mail in relay.wait(3)) == ["alfa", "beta", "gamma"]
    assert len(relay.mails) == 3


def test_mails_that_were_there_before_the_start_are_sent(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    names = [instance.base.drop() for _ in range(5)]
    instance.start()
    instance.wait_for_count(instance.base, "sent", 5)
    assert instance.base.files("sent") == names and len(relay.mails) == 5


def test_new_files_are_noticed_at_once(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1h")
    for number in range(5):
        start = time.monotonic()
        instance.base.drop(address=f"boo{number}@example.org")
        mail = relay.wait_for_recipient(f"boo{number}@example.org")
        assert mail.arrived - start < 1


def test_files_written_in_place_are_noticed(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1h")
    path = instance.base.path("", "plain.xml")
    path.write_bytes(document(item()))
    instance.identity.give(path)
    sent(instance, instance.base, "plain.xml")


def test_subdirectories_get_the_owner_and_mode_of_the_queue(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    instance.base.directory.chmod(0o2770)
    instance.start()
    sent(instance, instance.base, instance.base.drop())
    for state in ("sent", "defer", "drop"):
        assert instance.base.owner_and_mode(state) == instance.base.owner_and_mode(""), state


def test_the_log_has_the_grammar_of_postfix(smailer, relay):
    instance = smailer({FOO: relay})
    sent(instance, instance.base, instance.base.drop(time="17.10.2011 00:00:11"))
    [line] = instance.wait_for_log("status=sent", "smtp")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \S+ smailer/smtp\[\d+\]: "
        r"17\.10\.2011000011_[0-9A-F]{16}: to=<boo@hisorhermail\.com>, "
        rf"relay=127\.0\.0\.1\[127\.0\.0\.1\]:{relay.port}, delay=[\d.]+, "
        r"delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, "
        r"status=sent \(250 2\.0\.0 Ok: queued as 1\)", line), line


def test_nothing_secret_and_no_content_is_logged(smailer, make_relay):
    relay = make_relay(users={"foo": "hunter22"})
    instance = smailer({FOO: account(relay, user="foo", password="hunter22")})
    name = instance.base.drop(topic="secret topic", content="secret content")
    sent(instance, instance.base, name)
    assert relay.mails[0].login == "foo"
    text = "".join(instance.logs().values()) + instance.output()
    for word in ("hunter22", "secret topic", "secret content", "aGZvbwBodW50ZXIyMg"):
        assert word not in text


# The listing


def test_listing_has_the_format_of_the_reference(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay, "bar@example.com": relay}, {"sowa1": ["alfa", "beta"]})
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    alfa.drop(address="boo@hisorhermail.com")
    alfa.drop(address="goo@university.org")
    alfa.drop(sender="bar@example.com", time="18.10.2011 23:59:59")
    beta.drop()
    instance.wait_for_count(alfa, "defer", 3)
    instance.wait_for_count(beta, "defer", 1)
    lines = instance.cli_ok("--sid=alfa", "queue", FOO).stdout.splitlines()
    assert sorted(re.sub("[0-9A-F]{16}", "HEX", line) for line in lines) == [
        "17.10.2011000011_HEX: (foo@example.com => boo@hisorhermail.com)",
        "17.10.2011000011_HEX: (foo@example.com => goo@university.org)"]
    assert len({line.split(":")[0] for line in lines}) == 2
    lines = instance.cli_ok("queue", "--sid", "alfa").stdout.splitlines()
    assert len(lines) == 3 and all(re.match(rf"{ID}: \(", line) for line in lines)
    assert any(line.startswith("18.10.2011235959_") for line in lines)
    lines = instance.cli_ok("queue", "@").stdout.splitlines()
    assert sorted(line.split("/")[0] for line in lines) == ["alfa", "alfa", "alfa", "beta"]
    assert all(re.match(rf"(alfa|beta)/{ID}: \(", line) for line in lines)


def test_ids_stay_through_retries_and_restarts(smailer, make_relay):
    relay = make_relay(lambda stage, mail, address: "451 4.3.0 later" if stage == "rcpt" else None)
    instance = smailer({FOO: relay}, retry_interval="1s", probe_interval="1s")
    instance.base.drop()
    [first] = wait_for(lambda: instance.queue(), what="a listing")
    wait_for(lambda: relay.stages.count("rcpt") >= 2, 20, "a second try")
    instance.restart()
    wait_for(lambda: relay.stages.count("rcpt") >= 3, 20, "a third try")
    instance.wait_for_count(instance.base, "defer", 1)
    [last] = instance.queue()
    assert last["id"] == first["id"]
    assert re.fullmatch(ID, last["id"])


# Deferred, tried again, dropped in the end


@pytest.mark.main_flow
def test_deferred_while_the_relay_is_down_and_sent_when_it_is_back(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, retry_interval="2s", probe_interval="1s")
    base = instance.base
    name = base.drop()
    before = time.time()
    deferred(instance, base, name, "(?i:refused)")
    [record] = base.records("defer")
    next_try = base.path("defer", f".state/{record}").stat().st_mtime
    assert before - 1 <= next_try <= time.time() + 3
    relay.up()
    sent(instance, base, name)
    assert len(relay.mails) == 1
    wait_for(lambda: not base.records("defer"), 10, "the record to go")


def test_not_tried_before_its_time(smailer, make_relay):
    relay = make_relay(lambda stage, mail, address: "450 4.2.0 later" if stage == "rcpt" else None)
    instance = smailer({FOO: relay}, retry_interval="1h", scan_interval="1s")
    name = instance.base.drop()
    deferred(instance, instance.base, name, "450 4.2.0 later")
    stays(lambda: relay.stages.count("rcpt") == 1, 4, "one try")
    [entry] = instance.queue()
    assert (entry["state"], entry["attempts"]) == ("deferred", 1)
    assert "450 4.2.0 later" in entry["error"]


def test_dropped_after_the_last_attempt_with_the_last_words(smailer, make_relay):
    tries = []
    def answer(stage, mail, address):
        if stage == "rcpt":
            tries.append(time.monotonic())
            return f"451 4.3.0 word number {len(tries)}"
    relay = make_relay(answer)
    instance = smailer({FOO: relay}, retry_interval="1s", probe_interval="1s", max_attempts=3)
    name = instance.base.drop()
    dropped(instance, instance.base, name, "451 4.3.0 word number 3")
    assert len(tries) == 3
    assert all(later - earlier >= 0.9 for earlier, later in zip(tries, tries[1:]))
    assert instance.base.records("defer") == {}


def test_attempts_count_while_the_relay_is_down(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, retry_interval="1s", probe_interval="1s", max_attempts=3)
    name = instance.base.drop()
    dropped(instance, instance.base, name, "(?i:refused)")


def test_attempts_are_kept_over_a_restart(smailer, make_relay):
    relay = make_relay(lambda stage, mail, address: "451 4.3.0 no" if stage == "content" else None)
    instance = smailer({FOO: relay}, retry_interval="1s", max_attempts=2)
    name = instance.base.drop()
    deferred(instance, instance.base, name, "451 4.3.0 no")
    instance.restart()
    dropped(instance, instance.base, name, "451 4.3.0 no")
    assert relay.stages.count("content") == 2


@pytest.mark.one_identity
@pytest.mark.parametrize("stage, reply, state", [
    ("mail", "550 5.7.1 not permitted", "defer"), ("mail", "550 5.1.8 bad sender", "defer"),
    ("mail", "552 5.3.4 too big", "drop"), ("mail", "451 4.3.0 later", "defer"),
    ("rcpt", "550 5.1.1 no such mailbox", "drop"), ("rcpt", "552 5.2.2 mailbox full", "drop"),
    ("rcpt", "554 5.7.1 relaying denied", "defer"), ("rcpt", "450 4.2.0 greylisted", "defer"),
    ("rcpt", "530 5.7.0 login first", "defer"), ("rcpt", "550 no enhanced code", "drop"),
    ("content", "554 5.6.0 content refused", "drop"), ("content", "554 5.7.1 spam", "defer"),
    ("content", "452 4.3.1 disk full", "defer")])
def test_the_relays_words_decide(smailer, make_relay, stage, reply, state):
    relay = make_relay(lambda at, mail, address: reply if at == stage else None)
    instance = smailer({FOO: relay})
    (dropped if state == "drop" else deferred)(
        instance, instance.base, instance.base.drop(), re.escape(reply))
    code, enhanced = reply[:3], reply.split()[1]
    wanted = enhanced if enhanced[1:2] == "." else rf"{code[0]}\.\d+\.\d+"
    assert instance.wait_for_log(rf"dsn={wanted}, status={state.replace('defer', 'deferr')}")


def test_ten_thousand_mails_behind_a_dead_relay_cost_a_handful_of_connections(
        smailer, scripted_server):
    server = scripted_server({"greeting": scripted.close})
    instance = smailer({FOO: account(server)}, retry_interval="1h", log_level="info")
    instance.base.drop_many(10000)
    instance.wait_for_count(instance.base, "defer", 10000, 90)
    assert 1 <= server.connections <= 20
    assert instance.base.files("") == [] and instance.base.files("drop") == []


def test_other_accounts_do_not_notice_a_dead_relay(smailer, make_relay, relay):
    down = make_relay()
    down.down()
    instance = smailer({FOO: down, "bar@example.com": relay})
    instance.base.drop_many(500)
    start = time.monotonic()
    instance.base.drop(sender="bar@example.com", address="bar@example.org")
    assert relay.wait_for_recipient("bar@example.org").arrived - start < 2


def test_refused_login_does_not_hammer(smailer, make_relay):
    relay = make_relay(users={"foo": "right"}, mechanisms=["PLAIN"])
    instance = smailer({FOO: account(relay, user="foo", password="wrong")}, retry_interval="1h")
    names = [instance.base.drop() for _ in range(20)]
    instance.wait_for_count(instance.base, "defer", 20)
    deferred(instance, instance.base, names[0], "535")
    assert 1 <= len(relay.logins) <= 4 and not any(right for _, right in relay.logins)


# Hostile files (each with good mails behind it)


BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE list [<!ENTITY a "ha">""" + b"".join(
    b'<!ENTITY %c "%s">' % (letter, (b"&%c;" % (letter - 1)) * 10)
    for letter in range(ord("b"), ord("l"))) + b"]>" + document(
        item(content="LAUGH")).split(b"?>", 1)[1].replace(b"LAUGH", b"&k;")
EXTERNAL = b"""<?xml version="1.0"?>
<!DOCTYPE list [<!ENTITY e SYSTEM "file:///etc/passwd">]>""" + document(
    item(content="EXTERNAL")).split(b"?>", 1)[1].replace(b"EXTERNAL", b"&e;")
QUADRATIC = b'<?xml version="1.0"?><!DOCTYPE list [<!ENTITY a "' + b"x" * 100000 + b'">]>' + document(
    item(content="LAUGH")).split(b"?>", 1)[1].replace(b"LAUGH", b"&a;" * 100000)

HOSTILE = {
    "malformed": b"<list><item><fld_sender>foo@example.com</fld_item></list>",
    "not xml": b"Hello, world\n", "binary": bytes(range(256)) * 64, "empty": b"",
    "another root": b"<?xml version='1.0'?><html><body>hello</body></html>",
    "no items": document(), "cut": document(item())[:-30],
    "rubbish behind": document(item()) + b"<list>",
    "external entity": EXTERNAL, "billion laughs": BILLION_LAUGHS, "quadratic": QUADRATIC,
    "deep": b"<list>" + b"<item>" * 100000 + b"</item>" * 100000 + b"</list>",
    "attributes": b"<list " + b" ".join(b"a%d='1'" % n for n in range(100000)) + b"></list>",
    "a tag of 1 MB": b"<list " + b"a" * 2**20 + b"='1'></list>",
    "UTF-7": document(item(), encoding="UTF-7"),
    "unknown encoding": document(item(), declared="X-NONE"),
    "wrong UTF-8": document(item()).replace(b"zwrot", b"\xff\xfe"),
    "NUL": document(item()).replace(b"zwrot", b"\0"),
    "control character": document(item()).replace(b"zwrot", b"&#1;"),
    "no address": document(item(address=None)), "empty address": document(item(address="")),
}


@pytest.mark.one_identity
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_content_is_dropped_with_its_reason(smailer, relay, kind):
    instance = smailer({FOO: relay})
    start = time.monotonic()
    name = instance.base.put(HOSTILE[kind], "hostile.xml", mtime=old())
    behind = instance.base.drop(content="behind")
    sent(instance, instance.base, behind)
    instance.wait_for_file(instance.base, "drop", name)
    assert time.monotonic() - start < 10
    record = instance.base.record("drop", name)
    [line] = instance.wait_for_log(rf"{ID}: .*status=dropped")
    reason = re.search(r"status=dropped \((.+)\)", line).group(1)
    assert len(reason) > 5 and reason in record
    assert [mail.text.strip() for mail in relay.mails] == ["behind"]
    assert "root:" not in "".join(instance.logs().values()) + record


ADDRESSES = ["boo", "@example.org", "boo@", "boo@exa mple.org", "boo@example.org, goo@example.org",
             "Boo <boo@example.org>", "<boo@example.org>", "boo@example.org\r\nRCPT TO:<goo@x.org>",
             "boo@example.org> SIZE=1", "boo\u0085@example.org",
             "boo@" + "a" * 64 + ".org", "b" * 65 + "@example.org", "boo@-x.org", "boo@x..org",
             "a" * 60 + "@" + ".".join(["b" * 60] * 5), "boo@[127.0.0.1", ".boo@example.org"]


@pytest.mark.main_flow
def test_malformed_addresses_are_dropped(smailer, relay):
    instance = smailer({FOO: relay})
    names = [instance.base.drop(address=address) for address in ADDRESSES]
    behind = instance.base.drop(address=" boo@example.org\n")  # white space around it is fine
    sent(instance, instance.base, behind)
    assert relay.wait()[0].recipients == ["boo@example.org"]
    for name in names:
        instance.wait_for_file(instance.base, "drop", name)
        assert re.search("(?i)address", instance.base.record("drop", name))
    assert len(relay.mails) == 1


def test_international_domain_becomes_a_labels(smailer, relay):
    instance = smailer({FOO: relay})
    sent(instance, instance.base, instance.base.drop(address="boo@żółw.example"))
    assert relay.mails[0].recipients == ["boo@xn--w-uga1v8h.example"]


@pytest.mark.parametrize("setting, state", [("defer", "defer"), ("drop", "drop")])
def test_unknown_sender(smailer, relay, setting, state):
    instance = smailer({FOO: relay}, unknown_sender=setting)
    name = instance.base.drop(sender="nobody@example.net")
    behind = instance.base.drop()
    sent(instance, instance.base, behind)
    (dropped if state == "drop" else deferred)(
        instance, instance.base, name, r"nobody@example\.net")
    assert len(relay.mails) == 1


def test_sender_of_another_base_is_deferred_and_no_wider_account_is_used(smailer, relay):
    instance = smailer({FOO: account(relay, sids=["beta"]), "@example.com": relay,
                        "default": relay}, {"sowa1": ["alfa", "beta"]})
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    name = alfa.drop()
    sent(instance, beta, beta.drop())
    sent(instance, alfa, alfa.drop(sender="other@example.com"))
    deferred(instance, alfa, name, "alfa|base")
    assert len(relay.mails) == 2


def test_accounts_are_chosen_exact_then_domain_then_default(smailer, make_relay):
    exact, domain, default = make_relay(), make_relay(), make_relay()
    instance = smailer({"default": default, "@example.com": domain, FOO: exact})
    for sender in (FOO, "bar@example.com", "x@example.net"):
        sent(instance, instance.base, instance.base.drop(sender=sender))
    assert [relay.mails[0].sender for relay in (exact, domain, default)] == [
        FOO, "bar@example.com", "x@example.net"]


def test_line_ends_in_the_subject_make_no_header(smailer, relay):
    instance = smailer({FOO: relay})
    content = document(item(topic="OneCRLFBcc: evil@example.net"))
    name = instance.base.put(content.replace(b"CRLF", b"&#13;&#10;"))
    sent(instance, instance.base, name)
    message = relay.mails[0].message
    assert message["Bcc"] is None
    assert re.fullmatch(r"One +Bcc: evil@example\.net", message["Subject"])
    assert relay.mails[0].recipients == ["boo@hisorhermail.com"]


def test_links_and_special_files_are_never_followed_or_waited_for(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1s", started=False)
    base, target = instance.base, instance.root / "target.xml"
    target.write_bytes(document(item(content="linked")))
    base.path("", "symlink.xml").symlink_to(target)
    base.path("", "dangling.xml").symlink_to("/nowhere")
    os.mkfifo(base.path("", "fifo.xml"))
    base.path("", "directory.xml").mkdir()
    instance.identity.give(base.directory)
    instance.start()
    sent(instance, base, base.drop(content="behind"))
    stays(lambda: len(relay.mails) == 1, 3, "one mail")
    assert relay.mails[0].text.strip() == "behind"
    assert target.read_bytes() and base.path("", "directory.xml").is_dir()
    for name in ("symlink.xml", "dangling.xml", "fifo.xml"):
        assert base.where(name) == ["drop"]
        assert "not a regular file" in base.record("drop", name)
        assert instance.wait_for_log(re.escape(name)), f"{name} is not in the log"


def test_state_directory_that_is_a_link_is_not_followed(smailer, relay):
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"]}, started=False)
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    elsewhere = instance.root / "elsewhere"
    elsewhere.mkdir()
    instance.identity.give(elsewhere)
    alfa.path("sent").symlink_to(elsewhere)
    name = alfa.drop()
    instance.start()
    sent(instance, beta, beta.drop())
    stays(lambda: not os.listdir(elsewhere), 2, "nothing elsewhere")
    assert name in alfa.files("") and len(relay.mails) == 1
    assert instance.wait_for_log("alfa.*sent|sent.*alfa")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_sent_on_another_file_system_disables_that_base(smailer, relay):
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"]}, started=False)
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    alfa.path("sent").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", alfa.path("sent")],
                      capture_output=True).returncode != 0:
        pytest.skip("may not mount here")
    try:
        instance.identity.give(alfa.directory)
        name = alfa.drop()
        instance.start()
        sent(instance, beta, beta.drop())
        stays(lambda: alfa.where(name) == [""] and len(relay.mails) == 1, 2)
        assert instance.wait_for_log("(?i)alfa.*file system|file system.*alfa")
    finally:
        instance.stop()
        subprocess.run(["umount", alfa.path("sent")], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of somebody else")
def test_records_of_somebody_else_are_ignored(smailer, relay):
    """Who may write into .state must not decide what becomes of a mail."""
    instance = smailer({FOO: relay}, started=False)
    base = instance.base
    base.path("defer", ".state").mkdir(parents=True)
    instance.identity.give(base.directory)
    name = base.drop()
    os.rename(base.path("", name), base.path("defer", name))
    forged = base.path("defer", ".state/0123456789ABCDEF")
    forged.write_text(f"name {name}\nattempts 99\n")
    os.chown(forged, 65534, 65534)
    instance.start()
    [entry] = wait_for(lambda: instance.queue(), 10, "the listing")
    assert (entry["state"], entry["attempts"]) == ("deferred", 0)


NAMES = {"255 bytes": "n" * 251 + ".xml", "newline": "a\nb.xml", "not UTF-8": b"\xff\xfe.xml",
         "blanks": " a b ", "option": "-rf", "format": "%s%n%n", "escape": "\x1b[2J.xml",
         "quotes": "a'\"`$(id)`.xml", "Polish": "zażółć.xml", "backslash": "a\\012b"}


@pytest.mark.parametrize("kind", NAMES)
def test_unusual_names_are_moved_like_any_other(smailer, relay, kind):
    name = os.fsdecode(NAMES[kind])
    instance = smailer({FOO: relay})
    instance.base.drop(name=name)
    bad = os.fsdecode(os.fsencode("x" + name)[:255])
    instance.base.drop(name=bad, address="malformed")
    sent(instance, instance.base, name)
    instance.wait_for_file(instance.base, "drop", bad)
    assert len(instance.base.records("drop")) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", "".join(instance.logs().values()))
    for line in instance.cli_ok("queue", "--state", "all", "--json").stdout.splitlines():
        assert line.startswith("{")


def test_a_long_name_is_deferred_and_comes_back(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, retry_interval="1s", probe_interval="1s")
    name = "n" * 255
    instance.base.drop(name=name)
    instance.wait_for_file(instance.base, "defer", name)
    relay.up()
    sent(instance, instance.base, name)


def test_names_that_are_no_mails_stay(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1s")
    names = [".hidden.xml", "backup.xml~", "new.xml.tmp", "half.xml.part", "x.tmp", "~", ".tmp"]
    for name in names:
        instance.base.drop(name=name)
    sent(instance, instance.base, instance.base.drop())
    stays(lambda: len(relay.mails) == 1, 3, "one mail")
    for name in names:
        assert os.path.exists(instance.base.path("", name))


def test_pattern_leaves_others_out(smailer, relay):
    instance = smailer({FOO: relay}, {}, started=False)
    base = instance.add_base("alfa", "patterned")
    instance.identity.give(instance.root / "patterned")
    instance.sections.append(f'spool patterned {{\n    root = "{instance.root}/patterned"\n'
                             '    path = var/spool/mail\n    pattern = "*.xml"\n}\n')
    instance.configure()
    instance.start()
    other = base.drop(name="other.txt")
    sent(instance, base, base.drop(name="mine.xml"))
    stays(lambda: base.where(other) == [""], 1)


# Files in the writing, files that are replaced


def test_partial_file_waits_and_is_sent_when_completed(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1s")
    base, content = instance.base, document(item(content="whole"))
    path = base.path("", "partial.xml")
    with open(path, "wb", buffering=0) as file:
        instance.identity.give(path)
        file.write(content[:60])
        sent(instance, base, base.drop(content="behind"))
        stays(lambda: base.where("partial.xml") == [""], 3, "partial.xml waits")
        file.write(content[60:])
    sent(instance, base, "partial.xml")
    assert sorted(mail.text.strip() for mail in relay.mails) == ["behind", "whole"]


def test_partial_file_that_is_replaced_is_sent_once(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1s")
    base = instance.base
    base.put(document(item(content="whole"))[:80], "partial.xml")
    stays(lambda: base.where("partial.xml") == [""], 2)
    base.put(document(item(content="whole")), "partial.xml")
    sent(instance, base, "partial.xml")
    assert [mail.text.strip() for mail in relay.mails] == ["whole"]


@pytest.mark.parametrize("how", ["renamed", "rewritten"])
def test_file_replaced_while_in_hand_is_a_new_mail(smailer, make_relay, how):
    relay = make_relay(delay=1)
    instance = smailer({FOO: relay})
    base = instance.base
    base.drop(name="same.xml", content="first")
    wait_for(lambda: "content" in relay.stages, what="the first to be in hand")
    if how == "renamed":
        base.drop(name="same.xml", content="second")
    else:
        with open(base.path("", "same.xml"), "wb") as file:
            file.write(document(item(content="second")))
    def texts():
        return [mail.text.strip() for mail in relay.mails]
    wait_for(lambda: texts() == ["first", "second"], 20, lambda: f"both: {texts()}")
    instance.wait_for_count(base, "", 0)
    assert b"second" in base.path("sent", base.files("sent")[-1]).read_bytes()
    stays(lambda: len(relay.mails) == 2, 2)


def test_file_removed_while_in_hand_harms_nobody(smailer, make_relay):
    relay = make_relay(delay=0.5)
    instance = smailer({FOO: relay})
    name = instance.base.drop(content="removed")
    wait_for(lambda: "content" in relay.stages, what="it to be in hand")
    instance.base.path("", name).unlink()
    sent(instance, instance.base, instance.base.drop(content="behind"))
    assert [mail.text.strip() for mail in relay.mails] == ["removed", "behind"]


def test_taken_names_are_never_overwritten(smailer, relay):
    instance = smailer({FOO: relay})
    base = instance.base
    for number in range(4):
        base.drop(name="same.xml", content=f"text {number}")
        relay.wait(number + 1)
        instance.wait_for_count(base, "sent", number + 1)
    contents = [base.path("sent", name).read_text() for name in base.files("sent")]
    assert sorted(re.search(r"text \d", text).group() for text in contents) == [
        f"text {number}" for number in range(4)]
    for number in range(2):
        base.drop(name="bad.xml", address="malformed", topic=str(number))
        instance.wait_for_count(base, "drop", number + 1)
    assert len(base.records("drop")) == 2


def test_taken_names_in_defer(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, retry_interval="1s", probe_interval="1s")
    base = instance.base
    for number in range(3):
        base.drop(name="same.xml", content=f"text {number}")
        instance.wait_for_count(base, "defer", number + 1)
    relay.up()
    instance.wait_for_count(base, "sent", 3)
    assert sorted(mail.text.strip() for mail in relay.mails) == ["text 0", "text 1", "text 2"]


# Lists


@pytest.mark.main_flow
def test_a_list_becomes_one_file_each(smailer, relay):
    instance = smailer({FOO: relay})
    base, mtime = instance.base, old()
    items = [item(address=f"boo{n}@example.org", content=f"Zażółć {n}") for n in range(1, 6)]
    base.put(document(*items), "list.xml", mtime=mtime)
    names = [f"list.{n:04}.xml" for n in range(1, 6)]
    wait_for(lambda: base.files("sent") == names, 20, lambda: f"{base.states()} {instance.tail()}")
    assert sorted(mail.text.strip() for mail in relay.mails) == [
        f"Zażółć {n}" for n in range(1, 6)]
    for name in names:
        assert base.path("sent", name).stat().st_mtime_ns == mtime
        assert base.path("sent", name).stat().st_uid == instance.identity.spool_uid
    assert base.states() == {"": [], "sent": names, "defer": [], "drop": []}
    assert base.leftovers() == []


def test_a_bad_item_is_dropped_by_itself(smailer, relay):
    instance = smailer({FOO: relay})
    base = instance.base
    base.put(document(item(content="one"), item(address="malformed"), item(content="three")),
             "list.xml")
    instance.wait_for_count(base, "sent", 2)
    instance.wait_for_count(base, "drop", 1)
    assert base.files("sent") == ["list.0001.xml", "list.0003.xml"]
    dropped(instance, base, "list.0002.xml", "(?i:address)")
    assert base.leftovers() == []


def test_names_of_a_list_may_be_taken(smailer, relay):
    instance = smailer({FOO: relay})
    base = instance.base
    for number in range(2):
        base.put(document(item(content=f"a{number}"), item(content=f"b{number}")), "list.xml")
        relay.wait(2 * number + 2)
        instance.wait_for_count(base, "sent", 2 * number + 2)
    assert sorted(mail.text.strip() for mail in relay.mails) == ["a0", "a1", "b0", "b1"]


def test_ten_thousand_items_in_one_list(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, log_level="info")
    base = instance.base
    base.put(document(*[item(topic=str(n)) for n in range(10000)]), "list.xml")
    instance.wait_for_count(base, "defer", 10000, 60)
    assert base.files("") == [] and base.files("drop") == [] and base.leftovers() == []


# Bases that come and go


def test_a_late_base_is_found(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1s")
    late = instance.add_base("late")
    sent(instance, late, late.drop())
    assert late.owner_and_mode("sent") == late.owner_and_mode("")


def test_a_root_that_is_not_there_is_used_once_it_appears(smailer, relay):
    instance = smailer({FOO: relay}, scan_interval="1s", started=False)
    missing = instance.root / "missing"
    instance.sections.append(
        f'spool missing {{\n    root = "{missing}"\n    path = var/spool/mail\n}}\n')
    instance.configure()
    instance.start()
    assert instance.wait_for_log(f"(?i)warn.*{missing}|{missing}.*(not|no such)")
    sent(instance, instance.base, instance.base.drop())
    base = instance.add_base("delta", "missing")
    instance.identity.give(missing)
    sent(instance, base, base.drop())


def test_a_base_that_disappears_is_let_go(smailer, relay):
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"]}, scan_interval="1s")
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    sent(instance, alfa, alfa.drop())
    os.rename(instance.root / "sowa1/alfa", instance.root / "gone")
    sent(instance, beta, beta.drop())

    def is_let_go():
        listing = instance.cli("queue", "--json", "--state", "all")  # 75 while programs change
        return listing.returncode == 0 and '"alfa"' not in listing.stdout

    wait_for(is_let_go, 15, "alfa to be let go")
    os.rename(instance.root / "gone", instance.root / "sowa1/alfa")
    sent(instance, alfa, alfa.drop())


def test_what_the_original_left_in_defer_is_taken_over(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    base = instance.base
    base.path("defer").mkdir()
    instance.identity.give(base.directory)
    names = []
    for number in range(5):
        name = base.drop()
        os.rename(base.path("", name), base.path("defer", name))
        names.append(name)
    instance.start()
    entries = wait_for(lambda: (lambda found: len(found) == 5 and found)(instance.queue()),
                       15, "the five in the listing")
    assert {(entry["state"], entry["attempts"]) for entry in entries} == {("deferred", 0)}
    now = time.time()
    times = [datetime.datetime.fromisoformat(entry["next_attempt"]).timestamp()
             for entry in entries]
    assert all(when <= now + 3610 for when in times) and len(set(times)) > 1
    assert instance.cli("send").returncode == 0
    instance.wait_for_count(base, "sent", 5)
    assert base.files("sent") == names and len(relay.mails) == 5


def test_administrator_may_move_files_back(smailer, make_relay):
    replies = {"boo1@example.org": "450 4.2.0 later", "boo2@example.org": "550 5.1.1 no"}
    relay = make_relay(
        lambda stage, mail, address: replies.get(address) if stage == "rcpt" else None)
    instance = smailer({FOO: relay}, scan_interval="1s")
    base = instance.base
    later, never = base.drop(address="boo1@example.org"), base.drop(address="boo2@example.org")
    instance.wait_for_file(base, "defer", later)
    instance.wait_for_file(base, "drop", never)
    replies.clear()
    os.rename(base.path("defer", later), base.path("", later))
    os.rename(base.path("drop", never), base.path("", never))
    sent(instance, base, later)
    sent(instance, base, never)


def test_retention(smailer, relay):
    instance = smailer({FOO: relay}, {"sowa1": ["alfa"]}, keep_sent="2s", keep_dropped="2s",
                       scan_interval="1s")
    base = instance.base
    name, bad = base.drop(mtime=old()), base.drop(address="malformed", mtime=old())
    unknown = base.drop(sender="x@example.net", mtime=old())
    sent(instance, base, name)
    instance.wait_for_file(base, "drop", bad)
    moved = time.time()
    assert base.path("sent", name).exists()
    wait_for(lambda: base.where(name) == [] and base.where(bad) == [], 15, "both to be removed")
    assert time.time() - moved > 1
    assert base.where(unknown) == ["defer"]
    assert len(instance.wait_for_log(rf"{ID}: .*removed")) >= 1
    wait_for(lambda: len(instance.log_lines(rf"{ID}: .*removed")) == 2, 5, "two lines: removed")
    wait_for(lambda: base.records("drop") == {}, 5, "the record to be removed")


# The message


@pytest.mark.main_flow
def test_the_message(smailer, relay):
    instance = smailer({FOO: account(relay, name="Biblioteka Miejska w Łodzi")})
    text = "Prosimy o niezwłoczny zwrot książek: „Ślub”, „Żuraw” i 3 < 4 & 5.\n.\n.kropka\n"
    name = instance.base.drop(topic="Upomnienie: zażółć gęślą jaźń", content=text)
    sent(instance, instance.base, name)
    [mail] = relay.mails
    message = mail.message
    assert (mail.sender, mail.recipients) == (FOO, ["boo@hisorhermail.com"])
    assert message["Subject"] == "Upomnienie: zażółć gęślą jaźń"
    [sender] = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Biblioteka Miejska w Łodzi", FOO)
    assert [to.addr_spec for to in message["To"].addresses] == ["boo@hisorhermail.com"]
    assert abs(message["Date"].datetime.timestamp() - time.time()) < 60
    assert re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", message["Message-ID"])
    assert message["Auto-Submitted"] == "auto-generated" and message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "text/plain"
    assert message.get_content_charset() == "utf-8"
    assert mail.text.rstrip("\n") == text.rstrip("\n")
    check_wire(mail.content)


def check_wire(content):
    """Seven bits, CRLF line ends and nothing else like them, lines below 998 octets."""
    assert all(octet < 128 for octet in content)
    assert b"\0" not in content
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998


CONTENTS = {"plain": ("Hello.\n", "7bit"), "empty": ("", None),
            "a long line": ("x" * 5000 + "\n", None), "Polish": ("ż" * 3000 + "\n", None),
            "dots": (".\n..\n.\r\n", "7bit"), "Chinese": ("書籍をお返しください。\n" * 50, "base64"),
            "a word of Polish": ("All of it is English but for the word żółw.\n", "quoted-printable"),
            "From ": ("From here on\nFrom there\n", None), "blanks": ("a  \nb\t\n", None),
            "emoji": ("\U0001f4da\n", None), "no end": ("no line end", None)}


def test_every_content_arrives_as_it_was(smailer, relay):
    instance = smailer({FOO: relay})
    for kind, (content, encoding) in CONTENTS.items():
        count = len(relay.mails)
        name = instance.base.drop(content=content, topic=kind)
        sent(instance, instance.base, name)
        mail = relay.wait(count + 1)[-1]
        check_wire(mail.content)
        assert mail.text.rstrip("\n") == content.replace("\r\n", "\n").rstrip("\n"), kind
        if encoding:
            assert mail.message["Content-Transfer-Encoding"] == encoding, kind


@pytest.mark.parametrize("encoding", ["windows-1250", "ISO-8859-2", "UTF-16", "UTF-8-SIG"])
def test_encodings(smailer, relay, encoding):
    instance = smailer({FOO: relay})
    declared = "UTF-8" if encoding == "UTF-8-SIG" else encoding
    name = instance.base.drop(encoding=encoding, declared=declared, topic="Zażółć",
                              content="gęślą jaźń")
    sent(instance, instance.base, name)
    assert (relay.mails[0].subject, relay.mails[0].text.strip()) == ("Zażółć", "gęślą jaźń")


def test_long_subjects_are_folded(smailer, relay):
    instance = smailer({FOO: relay})
    for number, topic in enumerate(["ż" * 800, "word " * 500 + "end", "x" * 3000, "", "=?utf-8?q?x?="]):
        sent(instance, instance.base, instance.base.drop(topic=topic))
        mail = relay.wait(number + 1)[-1]
        check_wire(mail.content)
        assert (mail.subject or "").strip() == topic.strip() or topic.startswith("=?")
    assert relay.mails[-1].subject == "=?utf-8?q?x?="


def test_message_id_is_the_same_at_every_try(smailer, make_relay):
    seen = []
    def answer(stage, mail, address):
        if stage == "content":
            seen.append(mail.message["Message-ID"])
            return "451 4.3.0 again" if len(seen) == 1 else None
    instance = smailer({FOO: make_relay(answer)}, retry_interval="1s", probe_interval="1s")
    sent(instance, instance.base, instance.base.drop())
    assert len(seen) == 2 and seen[0] and seen[0] == seen[1]


@pytest.mark.one_identity
@pytest.mark.parametrize("when", [None, "", "31.02.2011 00:00:00", "yesterday", "2011-10-17"])
def test_a_missing_or_impossible_time_does_not_stop_a_mail(smailer, relay, when):
    instance = smailer({FOO: relay})
    mtime = int(time.mktime((2021, 3, 4, 12, 0, 0, 0, 0, 0))) * 10**9
    name = instance.base.drop(time=when, mtime=mtime)
    sent(instance, instance.base, name)
    assert instance.wait_for_log(r"0[34]\.03\.2021\d{6}_[0-9A-F]{16}: .*status=sent")
    assert instance.wait_for_log(r"0[34]\.03\.2021\d{6}_[0-9A-F]{16}: .*(fld_time|time)")


def test_a_message_that_is_too_large_is_dropped(smailer, relay):
    instance = smailer({FOO: relay}, max_message_size="100K")
    name = instance.base.drop(content="x" * 200000, mtime=old())
    sent(instance, instance.base, instance.base.drop(content="x" * 50000 + "\n"))
    instance.wait_for_file(instance.base, "drop", name)
    assert re.search("(?i)large|big|size|max_message_size", instance.base.record("drop", name))


# Logins and encryption


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_login(smailer, make_relay, mechanism):
    relay = make_relay(users={"foo": "sekret ż"} if mechanism == "PLAIN" else {"foo": "sekret"},
                       mechanisms=[mechanism])
    instance = smailer({FOO: account(relay, user="foo", password=relay.users["foo"])})
    sent(instance, instance.base, instance.base.drop())
    assert relay.mails[0].login == "foo"


@pytest.mark.main_flow
@pytest.mark.parametrize("tls", ["starttls", "smtps"])
def test_encrypted(smailer, make_relay, authority, tls):
    relay = make_relay(tls=tls, certificate=authority.certificate(), users={"foo": "sekret"})
    instance = smailer({FOO: account(relay, ca_file=str(authority.file), user="foo",
                                     password_file="secrets/foo")}, started=False)
    instance.write_conf("secrets/foo", "sekret\n")
    os.chown(instance.conf / "secrets", instance.identity.uid, instance.identity.gid)
    instance.start()
    sent(instance, instance.base, instance.base.drop())
    assert relay.mails[0].encrypted and relay.mails[0].login == "foo"


@pytest.mark.one_identity
@pytest.mark.parametrize("tls", ["starttls", "smtps"])
@pytest.mark.parametrize("wrong", [{"names": ["DNS:elsewhere.test"]}, {"days": -1}, "authority"])
def test_wrong_certificates_are_refused(smailer, make_relay, authority, directory, tls, wrong):
    signer = Authority(directory / "other") if wrong == "authority" else authority
    certificate = signer.certificate(**(wrong if isinstance(wrong, dict) else {}))
    relay = make_relay(tls=tls, certificate=certificate, users={"foo": "sekret"})
    instance = smailer({FOO: account(relay, ca_file=str(authority.file), user="foo",
                                     password="sekret")})
    deferred(instance, instance.base, instance.base.drop(), "(?i:certificate)")
    assert relay.logins == [] and relay.mails == []


def test_no_login_where_starttls_is_not_offered(smailer, make_relay):
    relay = make_relay(users={"foo": "sekret"})
    instance = smailer({FOO: account(relay, user="foo", password="sekret", tls="starttls",
                                     plaintext_login=False)})
    deferred(instance, instance.base, instance.base.drop(), "(?i:tls|encrypt)")
    assert relay.logins == [] and relay.mails == []


def test_envelope_sender(smailer, relay):
    instance = smailer({FOO: account(relay, envelope_from="bounces@example.com")})
    sent(instance, instance.base, instance.base.drop())
    assert relay.mails[0].sender == "bounces@example.com"
    assert relay.mails[0].message["From"].addresses[0].addr_spec == FOO


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix needs root")
def test_through_postfix(smailer, unpacked):
    with Postfix(unpacked("postfix")) as postfix:
        instance = smailer({FOO: postfix})
        text = "Zażółć gęślą jaźń.\n.\n..\n"
        sent(instance, instance.base, instance.base.drop(topic="Łódź", content=text))
        instance.base.drop_many(50)
        messages = postfix.wait(51)
        [message] = [each for each in messages if each["Subject"] == "Łódź"]
        assert message.get_content().replace("\r\n", "\n").rstrip() == text.rstrip()
        assert message["Return-Path"] == f"<{FOO}>"
        assert re.search(r"250 2\.0\.0 Ok: queued as", instance.log("smtp"))
        instance.wait_for_count(instance.base, "sent", 51)


# Relays that break the protocol


BREAKS = {"closes": scripted.close, "resets": scripted.reset, "421": scripted.shutting_down,
          "garbage": scripted.garbage, "NULs": scripted.nuls, "64 KB": scripted.endless,
          "many lines": scripted.both(scripted.many_lines, scripted.close)}


@pytest.mark.one_identity
@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data", "content"])
@pytest.mark.parametrize("how", BREAKS)
def test_broken_relays_defer(smailer, scripted_server, stage, how):
    if how in ("64 KB", "many lines") and stage in ("greeting", "ehlo"):
        pytest.skip("libcurl's part, and allowed to be long")
    table = {stage: BREAKS[how]}
    if stage == "ehlo":
        table["helo"] = BREAKS[how]
    server = scripted_server(table)
    instance = smailer({FOO: account(server)})
    name = instance.base.drop()
    wait_for(lambda: instance.base.where(name) in (["defer"], ["sent"]), 20,
             lambda: f"an end; {instance.base.states()} {instance.tail()}")
    if how != "64 KB":
        assert instance.base.where(name) == ["defer"]
        assert server.mails == []
