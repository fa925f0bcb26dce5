"""conf/smailer.init: LSB's exit codes, against a daemon that only pretends."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Named smailer-master, so that the kernel calls the process so too.
DAEMON = """#!/bin/sh
here=$(dirname "$0")
case " $* " in
*" --print-run-directory "*) echo "$here/../run"; exit ;;
*" -n "*) [ ! -e "$here/../conf/broken" ] || { echo "main.cf:7: a mistake" >&2; exit 78; }; exit ;;
*" --serve "*) ;;
*)
    echo "$*, QPI=${QPI:-}" >"$here/../started"
    [ ! -e "$here/../status" ] || exit "$(cat "$here/../status")"
    "$0" --serve </dev/null >/dev/null 2>&1 &
    echo $! >"$here/../run/smailer.pid"
    exit
    ;;
esac
[ ! -e "$here/../stubborn" ] || trap '' TERM
[ -e "$here/../stubborn" ] || trap 'rm -f "$here/../run/smailer.pid"; exit 0' TERM
trap 'echo HUP >>"$here/../heard"' HUP
trap 'echo USR1 >>"$here/../heard"' USR1
echo ready >"$here/../ready"
while :; do sleep 0.1; done
"""


class Checkout:
    def __init__(self, root):
        self.root = root
        for name in ("bin", "conf", "run"):
            (root / name).mkdir()
        daemon = root / "bin/smailer-master"
        daemon.write_text(DAEMON)
        daemon.chmod(0o755)
        shutil.copy(ROOT / "conf/smailer.init", root / "conf/smailer.init")
        for name in ("main.cf", "master.cf", "accounts.cf"):
            (root / "conf" / name).touch()

    def init(self, *arguments, **environment):
        inherited = {name: value for name, value in os.environ.items()
                     if name not in ("DAEMON", "CONFDIR", "PIDFILE", "QPI")}
        return subprocess.run([self.root / "conf/smailer.init", *arguments], text=True, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              env={**inherited, **environment})

    def code(self, *arguments, **environment):
        return self.init(*arguments, **environment).returncode

    @property
    def pid_file(self):
        return self.root / "run/smailer.pid"

    def pid(self):
        return int(self.pid_file.read_text())

    def start(self):
        assert self.code("start") == 0
        self.wait_for("ready", "ready")

    def wait_for(self, name, words, limit=60):
        path = self.root / name
        end = time.monotonic() + limit
        while not (path.exists() and path.read_text().split() == words.split()):
            assert time.monotonic() < end, f"{name} never said {words}"
            time.sleep(0.01)


@pytest.fixture
def checkout(tmp_path):
    it = Checkout(tmp_path)
    yield it
    if it.pid_file.exists() and it.pid_file.read_text().strip().isdigit():
        comm = pathlib.Path(f"/proc/{it.pid()}/comm")
        if comm.exists() and comm.read_text() == "smailer-master\n":
            os.kill(it.pid(), 9)


def test_life(checkout):
    assert checkout.code("status") == 3
    checkout.start()
    assert (checkout.root / "started").read_text() == (
        f"-d -c {checkout.root}/conf --pid-file {checkout.root}/bin/../run/smailer.pid, QPI=\n")
    assert checkout.code("status") == 0
    pid = checkout.pid()
    assert checkout.code("start") == 0
    assert checkout.pid() == pid
    assert checkout.code("reload") == 0
    checkout.wait_for("heard", "HUP")
    assert checkout.code("rotate") == 0
    checkout.wait_for("heard", "HUP USR1")
    assert checkout.code("force-reload") == 0
    checkout.wait_for("heard", "HUP USR1 HUP")
    assert checkout.code("restart") == 0
    assert checkout.pid() != pid
    assert checkout.code("try-restart") == 0
    assert checkout.code("stop") == 0
    assert not checkout.pid_file.exists()
    assert checkout.code("status") == 3


def test_killed_when_it_does_not_end(checkout):
    (checkout.root / "stubborn").touch()
    checkout.start()
    result = checkout.init("stop", STOP_LIMIT="1")
    assert result.returncode == 0
    assert "does not end" in result.stderr
    assert checkout.code("status") == 1


def test_not_running(checkout):
    assert checkout.code("stop") == 0
    assert checkout.code("reload") == 7
    assert checkout.code("force-reload") == 7
    assert checkout.code("try-restart") == 7
    assert checkout.code("rotate") == 7
    assert checkout.code("restart") == 0
    assert checkout.code("status") == 0
    assert checkout.code("stop") == 0


def test_usage(checkout):
    for arguments in ([], ["begin"], ["start", "now"]):
        result = checkout.init(*arguments)
        assert result.returncode == 2
        assert "start|stop|restart" in result.stderr


@pytest.mark.parametrize("left", ["999999999\n", "", "1\n", "rubbish\n"])
def test_died(checkout, left):
    """The number of no process, none, or one that another program has by now."""
    checkout.pid_file.write_text(left)
    assert checkout.code("status") == 1
    assert checkout.code("reload") == 7
    assert checkout.code("stop") == 0
    assert checkout.code("start") == 0
    assert checkout.code("status") == 0
    assert checkout.code("stop") == 0


def test_not_installed(checkout):
    assert checkout.code("start", DAEMON="/nonexistent/smailer-master") == 5


def test_not_configured(checkout):
    assert checkout.code("start", CONFDIR="/nonexistent") == 6


def test_mistake_disturbs_nothing(checkout):
    checkout.start()
    pid = checkout.pid()
    (checkout.root / "conf/broken").touch()
    for action in ("reload", "restart", "try-restart"):
        result = checkout.init(action)
        assert result.returncode == 6
        assert "main.cf:7: a mistake" in result.stderr
    assert checkout.pid() == pid
    assert checkout.code("status") == 0
    assert checkout.code("stop") == 0
    assert checkout.code("start") == 6


@pytest.mark.parametrize("status, code", [(1, 1), (64, 2), (75, 1), (77, 4), (78, 6)])
def test_daemon_refuses(checkout, status, code):
    (checkout.root / "status").write_text(str(status))
    assert checkout.code("start") == code


def test_settings_reach_the_daemon(checkout):
    environment = {"QPI": "15m", "DAEMON_OPTIONS": "--log-file /dev/null",
                   "PIDFILE": str(checkout.pid_file)}
    assert checkout.code("start", **environment) == 0
    started = (checkout.root / "started").read_text()
    assert started == (f"-d -c {checkout.root}/conf --pid-file {checkout.pid_file} "
                       "--log-file /dev/null, QPI=15m\n")


def test_called_through_a_link(checkout):
    link = checkout.root / "S20smailer"
    link.symlink_to("conf/smailer.init")
    assert subprocess.run([link, "status"], timeout=60).returncode == 3


def test_shell(checkout):
    """What a plain POSIX shell makes of it."""
    for script in ("smailer.init", "make-users"):
        subprocess.run(["dash", "-n", ROOT / "conf" / script], check=True, timeout=60)


def test_make_users_prints(tmp_path):
    (tmp_path / "main.cf").write_text('spool_user = "*" # many\n')
    (tmp_path / "master.cf").write_text(
        '# smtp { user = wrong }\nsmtp { user = mailout\n instances = 3 }\n'
        'cleanup {\n    instances = 2\n    user = "reader" # nobody else\n}\n')
    (tmp_path / "accounts.cf").write_text('#account a { token_command = { /no } }\n'
                                          'account b {\n    token_command = { /yes }\n}\n')
    result = subprocess.run([ROOT / "conf/make-users", "-c", tmp_path, "--print"], text=True,
                            timeout=60, capture_output=True)
    assert result.returncode == 0
    assert result.stderr == ""
    assert [line.split()[-1] for line in result.stdout.splitlines()] == [
        "reader", "mailout", "smailer-control", "smailer-token", "smailer-pickup", "smailer-qmgr"]
    assert all(line.startswith("useradd --system ") for line in result.stdout.splitlines())


def test_make_users_makes_the_spools_owner(tmp_path):
    (tmp_path / "main.cf").write_text("spool_user = no-such-user\n")
    result = subprocess.run([ROOT / "conf/make-users", "-c", tmp_path, "--print"], text=True,
                            timeout=60, capture_output=True)
    assert result.returncode == 0
    assert "no-such-user" in result.stderr
    assert result.stdout.splitlines()[-1].endswith(" no-such-user")
