import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness import identity as identities
from harness import process, tls
from harness.relay import Relay
from harness.scripted import Scripted
from harness.smailer import BUILD, PROJECT, Smailer, program

process.become_subreaper()


def pytest_generate_tests(metafunc):
    """A test that asks for an identity runs as each there is: as root and as an ordinary user."""
    if "identity" in metafunc.fixturenames:
        both = identities.available()
        if metafunc.definition.get_closest_marker("one_identity"):
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
