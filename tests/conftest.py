import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness import identity as identities
from harness import postgresql, process, tls
from harness.commands import Sendmail
from harness.relay import Relay
from harness.scripted import Scripted
from harness.smailer import BUILD, PROJECT, Smailer, program

process.become_subreaper()


def pytest_generate_tests(metafunc):
    """A test that asks for an identity runs as each there is: as root and as an ordinary user."""
    if "identity" in metafunc.fixturenames:
        both = identities.available()
        if metafunc.definition.get_closest_marker("as_root"):
            both = [each for each in both if each.is_root]
        elif metafunc.definition.get_closest_marker("one_identity"):
            both = both[-1:]
        metafunc.parametrize("identity", both, ids=lambda each: each.name)


@pytest.fixture
def smailer(identity):
    """Makes a Smailer (see there for the arguments); all are ended with the test."""
    if not program("smailer-master").exists():
        pytest.fail(f"{program('smailer-master')} is not built")
    made = []

    def make(*arguments, started=True, **keywords):
        made.append(Smailer(identity, *arguments, **keywords))
        return made[-1].start() if started else made[-1]

    yield make
    errors = []
    for each in reversed(made):
        try:
            each.end()
        except Exception as error:  # all of them must end, whatever the first says
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def relay():
    """A relay that accepts everything."""
    with Relay() as server:
        yield server


@pytest.fixture
def make_relay():
    made = []

    def make(*arguments, **keywords):
        made.append(Relay(*arguments, **keywords))
        return made[-1].up()

    yield make
    for each in made:
        each.end()


@pytest.fixture
def scripted_server():
    made = []

    def make(*arguments, **keywords):
        made.append(Scripted(*arguments, **keywords))
        return made[-1].up()

    yield make
    for each in made:
        each.end()


@pytest.fixture
def sendmail(smailer):
    made = []

    def make(relay, started=False, settings=None, **main):
        accounts = relay if isinstance(relay, dict) else {"default": relay}
        instance = smailer(accounts, {}, started=False, **main)
        made.append(Sendmail(instance, **(settings or {})))
        if started:
            instance.start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


# The queue in PostgreSQL


@pytest.fixture(scope="module")
def cluster():
    """One for the tests that leave the server as it is."""
    if postgresql.programs() is None:
        pytest.fail("PostgreSQL is not installed")
    server = postgresql.PostgreSQL().start()
    yield server
    server.end()


@pytest.fixture
def make_cluster():
    made = []

    def make(**arguments):
        made.append(postgresql.PostgreSQL(**arguments))
        return made[-1].start()

    yield make
    for each in made:
        each.end()


NUMBERS = itertools.count(1)


@pytest.fixture
def database(request):
    """Its server is the test's own where that says so."""
    if request.node.get_closest_marker("own_cluster"):
        yield postgresql.Database(request.getfixturevalue("make_cluster")())
        return
    made = request.getfixturevalue("cluster").database(f"mails{next(NUMBERS)}")
    yield made
    made.drop()


@pytest.fixture
def table(database):
    return database.table()


@pytest.fixture
def start_on(smailer):
    """Starts a smailer on a table, after `init`."""
    def begin(table, accounts, init=True, started=True, section=None, **settings):
        section = {"lease": "5s", **(section or {})}
        instance = smailer(accounts, {}, started=False, scan_interval="1h", **settings)
        instance.sections.append(table.section(**section))
        instance.configure()
        if init:
            instance.cli_ok("--sid", "biblioteka", "init")
        return instance.start() if started else instance
    return begin


# Files and servers


@pytest.fixture
def directory():
    """A temporary directory that every user can enter, which tmp_path is not."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="smailer-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def authority(directory):
    return tls.Authority(directory / "ca")


@pytest.fixture(scope="session")
def unpacked():
    """unpacked("postfix"): the root of that server's files, which are never installed."""
    def unpack(name):
        if os.environ.get("DEPS") == "no" and not (BUILD / "build/servers" / name).is_dir():
            pytest.skip(f"{name} is not unpacked, and DEPS=no")
        result = subprocess.run(
            [PROJECT / "tests/unpack-server", name, BUILD / "build/servers"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return pathlib.Path(result.stdout.strip().splitlines()[-1])
    return unpack
