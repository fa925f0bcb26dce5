"""README's way to more than one host, followed literally on machines that are copies of this one."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from harness import postgresql
from harness.process import descendants, wait_for
from harness.smailer import BUILD, PROJECT, SANITIZED

ACCOUNT = """
account foo@example.com {{
    sids  = {{ biblioteka }}
    relay = {relay}
    tls   = none
}}
"""

MACHINE = """
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir upper work root &&
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root &&
for each in proc dev sys; do mount --rbind /$each root/$each; done && mount -t tmpfs tmpfs root/run &&
hostname "$2" && echo "$3 db.example.com" >>root/etc/hosts && echo ready && exec cat
"""


class Machine:
    """This one's files, which it may change as it likes, and a name of its own."""

    def __init__(self, name, address):
        self.directory = tempfile.mkdtemp(prefix="smailer-test-")
        self.address = address
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", MACHINE, "sh",
             self.directory, name, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def run(self, commands, check=True):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       "PGHOST": self.address, "PGUSER": "owner", "LC_ALL": "C.UTF-8"}
        result = subprocess.run(
            ["nsenter", "-t", str(self.process.pid), "--mount", "--uts", "chroot",
             f"{self.directory}/root", "sh", "-c", f"cd {PROJECT} && {{ {commands}\n}}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment, timeout=120)
        assert not check or result.returncode == 0, f"{commands}\n{result.stdout}"
        return result.stdout

    def append(self, name, text):
        self.run(f"cat >>/etc/smailer/{name} <<'END_OF_FILE'\n{text}\nEND_OF_FILE")

    def end(self):
        self.run("/etc/init.d/smailer stop", check=False)
        self.process.stdin.close()
        self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)


def steps(heading):
    """{number: the indented blocks of that step}"""
    text = re.search(rf"^## {heading}.*?\n(.*?)^## ", (PROJECT / "README.md").read_text(), re.M | re.S)
    found = {}
    for number, step in re.findall(r"^(\d)\. (.*?)(?=^\d\. |^\S|\Z)", text.group(1), re.M | re.S):
        blocks = re.findall(r"(?:^       .*\n|(?<=\n)\n(?=       ))+", step, re.M)
        found[int(number)] = [re.sub(r"^       ", "", block, flags=re.M) for block in blocks]
    return found


@pytest.fixture
def server():
    address = f"127.{os.getpid() >> 16 & 127 | 64}.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
    made = postgresql.PostgreSQL(settings={"listen_addresses": address}, access="""
host all owner   127.0.0.0/8 trust
host all smailer 127.0.0.0/8 scram-sha-256
""")
    made.port, made.address = 5432, address
    made.start()
    made.query("CREATE DATABASE sowa")
    yield made
    made.end()


@pytest.fixture
def machines(server):
    made = []
    for name in ("first", "second"):
        made.append(Machine(name, server.address))
    yield made
    for each in made:
        each.end()
    for each in descendants(os.getpid()):  # none of them outlives its machine
        if each.role:
            os.kill(each.pid, signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting is root's")
@pytest.mark.skipif(SANITIZED or BUILD != PROJECT, reason="what is installed is the checkout's build")
def test_more_than_one_host(machines, relay):
    first = machines[0]
    step = steps("More than one host")
    assert [len(step[number]) for number in range(1, 6)] == [1, 2, 1, 1, 1]
    for machine in machines:
        machine.run("make install && make users")
    first.run(step[1][0])
    for machine in machines:
        machine.append("main.cf", step[2][0])
        machine.append("accounts.cf", ACCOUNT.format(relay=relay.address))
        machine.run(step[2][1])
    first.run(step[3][0])
    for machine in machines:
        machine.run(step[4][0])
    *insert, listing, hosts = re.split(r"\n(?=smailer |psql )", step[5][0].strip())
    first.run("\n".join(insert))
    assert relay.wait(1)[0].subject == "Hello"
    wait_for(lambda: '"state":"sent"' in first.run(listing).replace(" ", ""), 10)
    wait_for(lambda: {"first", "second"} <= set(first.run(hosts).split()), 10)
