"""smailer itself: its programs on a temporary root."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from . import config
from .base import Base
from .identity import ROLE_USERS, SPOOL_USER
from .process import PATIENCE, alive, descendants, kill_all, reap, wait_for

PROJECT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SMAILER_BUILD", PROJECT)).resolve()
SANITIZED = os.environ.get("SMAILER_SANITIZE", "") != ""
ROLES = ("pickup", "cleanup", "qmgr", "smtp", "control")  # those of every tree
ALL_ROLES = (*ROLES, "sql", "token")  # smailer-sql for each table, smailer-token for tokens
FAULT = re.compile(r"ERROR: AddressSanitizer|LeakSanitizer: detected|runtime error:|SIGSYS"
                   r"|died of a fault|signal (?:4|6|7|8|11|31)\b|stack smashing detected|malloc\(\): |free\(\): ")


def program(name):
    return BUILD / ("bin" if name in ("smailer-master", "smailer", "sendmail", "mailq")
                    else "libexec") / name


def account(relay, **settings):
    """The settings of an account on RELAY (a server, or host:port)."""
    address = relay if isinstance(relay, str) else relay.address
    return {"sids": ["*"], "relay": address, "tls": getattr(relay, "tls", "none"),
            **({"plaintext_login": True} if "user" in settings
               and getattr(relay, "tls", "none") == "none" else {}), **settings}


class Smailer:
    """SPOOLS: {section: [sid, ...]}; ACCOUNTS: {address: settings or a relay}; PROGRAMS: {role:
    settings of its section in master.cf}; everything else is a key of main.cf."""

    def __init__(self, identity, accounts=None, spools=None, programs=None, **main):
        self.identity = identity
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="smailer-test-"))
        self.root.chmod(0o755)
        self.conf = self.root / "conf"
        self.log_directory = self.root / "log"
        self.spools = spools if spools is not None else {"sowa1": ["alfa"]}
        self.accounts = {address: given if isinstance(given, dict) else account(given)
                         for address, given in (accounts or {}).items()}
        self.programs = programs or {}
        self.main = {
            "run_directory": str(self.root / "run"), "state_directory": str(self.root / "state"),
            "log_directory": str(self.log_directory), "log_level": "debug",
            "commit_interval": "20ms", **main}
        if SANITIZED:
            self.main["sandbox"] = "off"
        if identity.is_root:
            self.main.setdefault("spool_user", SPOOL_USER)
        self.sections = []  # more text for main.cf
        self.wrapper = []  # a command that starts the master
        self.bases = {}
        self.process = None
        self.allowed_faults = False
        self._before = {each.pid for each in descendants(os.getpid())}
        for section, sids in self.spools.items():
            for sid in sids:
                self.add_base(sid, section)
            (self.root / section).mkdir(exist_ok=True)
        for name in ("conf", "run", "state", "log"):
            (self.root / name).mkdir()
        self._own()
        self.configure()

    def _own(self):
        if os.geteuid() != 0:
            return
        for section in self.spools:
            self.identity.give(self.root / section)
        for name in ("conf", "run", "state", "log"):
            os.chown(self.root / name, self.identity.uid, self.identity.gid)

    # Configuration

    def main_text(self):
        spools = "".join(
            config.section("spool", name, {"root": str(self.root / name), "path": "var/spool/mail"})
            for name in self.spools)
        return config.keys(self.main) + spools + "".join(self.sections)

    def master_text(self):
        roles = {role: {} for role in ALL_ROLES}
        if self.identity.is_root:
            roles.update({role: {"user": user} for role, user in ROLE_USERS.items()})
        for role, settings in self.programs.items():
            roles[role] = {**roles.get(role, {}), **settings}
        return "".join(config.section(role, None, settings)
                       for role, settings in roles.items() if settings)

    def accounts_text(self):
        return "".join(config.section("account", address, settings)
                       for address, settings in self.accounts.items())

    def configure(self):
        """Writes the files; a running smailer sees them at a reload."""
        self.write_conf("main.cf", self.main_text())
        self.write_conf("master.cf", self.master_text())
        self.write_conf("accounts.cf", self.accounts_text())

    def write_conf(self, name, text, mode=0o600):
        path = self.conf / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, self.identity.uid, self.identity.gid)
        return path

    def base_directory(self, sid, section="sowa1"):
        return self.root / section / sid / "var/spool/mail"

    def add_base(self, sid, section="sowa1"):
        base = Base(self.identity, sid, self.base_directory(sid, section)).create()
        self.identity.give(self.root / section / sid)
        self.bases[sid] = base
        return base

    @property
    def base(self):
        """The first base, for the tests that need no more."""
        return next(iter(self.bases.values()))

    # Life

    def environment(self, **more):
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "Europe/Warsaw",
                "HOME": str(self.root), "ASAN_OPTIONS": "abort_on_error=1:handle_abort=0:handle_segv=0",
                "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", **more}

    def popen(self, *command, **arguments):
        arguments = {"stdin": subprocess.DEVNULL, "cwd": self.root, "env": self.environment(),
                     "start_new_session": True, **arguments}
        return self.identity.popen([str(part) for part in command], **arguments)

    def run(self, *command, limit=60, identity=None, environment=None, input=None):
        """Runs a program as IDENTITY (smailer's own) and returns the CompletedProcess, in text."""
        who = identity or self.identity
        process = who.popen(
            [str(part) for part in command], cwd=self.root, env=environment or self.environment(),
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            output, errors = process.communicate(
                input.encode() if isinstance(input, str) else input, timeout=limit * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            raise AssertionError(f"{command} took more than {limit * PATIENCE:g} s: "
                                 f"{output!r} {errors!r}") from None
        return subprocess.CompletedProcess(
            command, process.returncode, output.decode(errors="surrogateescape"),
            errors.decode(errors="surrogateescape"))

    def cli(self, *arguments, **keywords):
        """smailer with this configuration."""
        return self.run(program("smailer"), "-c", self.conf, *arguments, **keywords)

    def master(self, *arguments, **keywords):
        """smailer-master with this configuration, to its end."""
        return self.run(program("smailer-master"), "-c", self.conf, *arguments, **keywords)

    def start(self, *arguments, wait=True):
        assert self.process is None or self.process.poll() is not None
        # Where the tests themselves are killed, it ends as well.
        with open(self.root / "output", "ab") as output:
            self.process = self.popen(*self.wrapper, "setpriv", "--pdeathsig", "TERM", program("smailer-master"),
                                      "-c", self.conf, *arguments, stdout=output, stderr=output)
        if wait:
            self.wait_until_ready()
        return self

    def ready(self):
        code = self.process.poll()
        assert code is None, f"smailer-master ended with {code}: {self.output()}"
        return self.cli("status", "--json").returncode == 0

    def wait_until_ready(self, limit=15):
        wait_for(self.ready, limit, lambda: f"smailer to be ready: {self.output()}", 0.05)

    def output(self):
        """What the programs wrote to standard output and error, and the master's log."""
        path = self.root / "output"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text + self.log("master")

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, limit=20):
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"smailer-master does not end: {self.output()}") from None

    def restart(self, *arguments):
        self.stop()
        return self.start(*arguments)

    def reload(self, limit=30):
        """SIGHUP, and waits until master says what became of it. Returns those lines."""
        before = len(self.log("master"))
        self.send_signal(signal.SIGHUP)
        def said():
            return re.search(r"(?i)reload(ed|.*(done|complete|fail|refus|nothing|unchanged|mistake))",
                             self.log("master")[before:])
        wait_for(said, limit, lambda: f"a word on the reload: {self.log('master')[before:]}")
        return self.log("master")[before:]

    def processes(self):
        """The programs below master."""
        return [each for each in descendants(self.process.pid) if each.role]

    def pids(self, role):
        if role == "master":
            return [self.process.pid]
        return [each.pid for each in self.processes() if each.role == role]

    def kill(self, role, number=signal.SIGKILL):
        """Kills the first process of a role (for smtp: the parent). Returns its pid."""
        pids = wait_for(lambda: self.pids(role), 10, f"a process of {role}")
        os.kill(pids[0], number)
        return pids[0]

    def status(self):
        return json.loads(self.cli_ok("status", "--json").stdout)

    def cli_ok(self, *arguments, **keywords):
        result = self.cli(*arguments, **keywords)
        assert result.returncode == 0, f"{arguments}: {result}"
        return result

    def queue(self, *arguments):
        """The objects of `smailer queue --json`."""
        return [json.loads(line)
                for line in self.cli_ok("queue", "--json", *arguments).stdout.splitlines()]

    # Logs

    def log(self, role):
        path = self.log_directory / f"{role}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self):
        """{role: text} of all logs."""
        return {path.stem: path.read_text(errors="replace")
                for path in sorted(self.log_directory.glob("*.log"))}

    def log_lines(self, pattern, role=None):
        text = self.log(role) if role else "\n".join(self.logs().values())
        return [line for line in text.splitlines() if re.search(pattern, line)]

    def wait_for_log(self, pattern, role=None, limit=15):
        return wait_for(lambda: self.log_lines(pattern, role), limit,
                        lambda: f"/{pattern}/ in the log: {self.tail()}")

    def tail(self, lines=15):
        return "\n".join(f"--- {role}\n" + "\n".join(text.splitlines()[-lines:])
                         for role, text in self.logs().items())

    # Waiting for mails

    def wait_for_file(self, base, state, name, limit=20):
        wait_for(lambda: base.where(name) == [state], limit,
                 lambda: f"{name} in '{state}'; it is in {base.where(name)}\n{self.tail()}")

    def wait_for_count(self, base, state, count, limit=20):
        wait_for(lambda: len(base.files(state)) == count, limit,
                 lambda: f"{count} files in '{state}': "
                 f"{ {each: len(names) for each, names in base.states().items()} }\n{self.tail()}")

    # The end

    def left_behind(self):
        return [each for each in descendants(os.getpid())
                if each.pid not in self._before and each.role]

    def end(self):
        """Stops everything, and fails when something stayed behind or a program was at fault."""
        try:
            self.stop()
            wait_for(lambda: not self.left_behind(), 5, lambda: f"nothing left: {self.left_behind()}")
            self._check_faults()
        finally:
            if self.process is not None and alive(self.process.pid):
                self.process.kill()
                self.process.wait()
            for each in self.left_behind():
                reap(each.pid)
            kill_all(self.left_behind())
            if os.environ.get("SMAILER_KEEP"):
                print(f"kept: {self.root}")
            else:
                shutil.rmtree(self.root, ignore_errors=True)

    def _check_faults(self):
        if self.allowed_faults:
            return
        output = self.root / "output"
        texts = {"output": output.read_text(errors="replace") if output.exists() else "",
                 **self.logs()}
        for name, text in texts.items():
            found = FAULT.search(text)
            assert not found, f"{name}: {text[max(0, found.start() - 500):found.end() + 3000]}"
