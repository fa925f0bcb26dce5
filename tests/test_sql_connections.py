"""The ways to the database: over TCP, with TLS, by a service's name, among several servers."""

import os
import pwd
import tempfile

import pytest

from harness import postgresql, tls
from harness.identity import ROLE_USERS
from harness.process import wait_for
from harness.smailer import account

FOO = "foo@example.com"
PASSWORD = "geheim:x\\y"

ACCESS = """
hostssl   all encrypted 127.0.0.1/32 scram-sha-256
hostssl   all certified 127.0.0.1/32 cert
hostnossl all plain     127.0.0.1/32 scram-sha-256
"""


@pytest.fixture(scope="module")
def authority():
    with tempfile.TemporaryDirectory(prefix="smailer-test-") as directory:
        os.chmod(directory, 0o755)
        yield tls.Authority(directory)


@pytest.fixture(scope="module")
def cluster(authority):
    """One that is reached over the network, too."""
    server = postgresql.PostgreSQL(access=ACCESS)
    certificate = authority.certificate("database")
    key, chain = server.root / "server.key", server.root / "server.pem"
    for source, target in ((certificate.key, key), (certificate.chain, chain)):
        target.write_bytes(source.read_bytes())
        target.chmod(0o600)
        server.give(target)
    server.settings.update({"listen_addresses": "127.0.0.1", "ssl": "on", "ssl_cert_file": chain,
                            "ssl_key_file": key, "ssl_ca_file": authority.file})
    server.start()
    for role in ("plain", "encrypted", "certified"):
        server.query(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    yield server
    server.end()


def user_of_sql(identity):
    """Whom smailer-sql runs as."""
    return pwd.getpwnam(ROLE_USERS["sql"]).pw_uid if identity.is_root else identity.uid


@pytest.fixture
def secret(directory, identity):
    """Makes a file that only smailer-sql may read."""
    def make(name, octets):
        path = directory / name
        path.write_bytes(octets if isinstance(octets, bytes) else octets.encode())
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, user_of_sql(identity), -1)
        return path
    return make


@pytest.fixture
def reach(table, start_on, relay, database):
    """Starts a smailer that reaches its database by CONNINFO, as ROLE."""
    def begin(role, conninfo):
        instance = start_on(table, {FOO: relay}, started=False)
        database.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        instance.sections = [table.section(conninfo=conninfo)]
        instance.configure()
        return instance.start()
    return begin


def escape(text):
    return text.replace("\\", "\\\\").replace(":", "\\:")


def passfile_line(database, role):
    return f"127.0.0.1:{database.server.port}:{database.name}:{role}:{escape(PASSWORD)}\n"


def is_sent(table, instance, relay):
    key = table.insert()
    table.wait_for_status(key, "S", smailer=instance)
    return len(relay.mails) == 1


def test_a_password_file_over_tcp(table, reach, relay, database, secret):
    passfile = secret("pgpass", passfile_line(database, "plain"))
    instance = reach("plain", database.conninfo(
        "plain", host="127.0.0.1", sslmode="disable", passfile=passfile))
    assert is_sent(table, instance, relay)


def test_a_verified_server_with_tls(table, reach, relay, database, secret, authority):
    passfile = secret("pgpass", passfile_line(database, "encrypted"))
    instance = reach("encrypted", database.conninfo(
        "encrypted", host="127.0.0.1", passfile=passfile, sslmode="verify-full",
        sslrootcert=authority.file))
    assert is_sent(table, instance, relay)
    assert database.value("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                          " WHERE usename = 'encrypted'") == "t"


def test_a_server_that_is_not_the_right_one_gets_nothing(reach, database, secret, directory):
    other = tls.Authority(directory / "other", "Other CA")
    passfile = secret("pgpass", passfile_line(database, "encrypted"))
    instance = reach("encrypted", database.conninfo(
        "encrypted", host="127.0.0.1", passfile=passfile, sslmode="verify-full",
        sslrootcert=other.file))
    wait_for(lambda: "certificate verify failed" in (instance.status()["queues"][0]["problem"] or ""), 10)
    assert PASSWORD not in "".join(instance.logs().values())


def test_a_certificate_in_place_of_a_password(table, reach, relay, database, secret, authority):
    certificate = authority.certificate("client", usage="clientAuth", subject="certified")
    key = secret("client.key", certificate.key.read_bytes())
    chain = secret("client.pem", certificate.chain.read_bytes())
    instance = reach("certified", database.conninfo(
        "certified", host="127.0.0.1", sslmode="verify-ca", sslrootcert=authority.file, sslcert=chain,
        sslkey=key))
    assert is_sent(table, instance, relay)


def test_a_password_that_is_wrong_is_told(reach, database, secret):
    passfile = secret("pgpass", passfile_line(database, "plain").replace("geheim", "other"))
    instance = reach("plain", database.conninfo(
        "plain", host="127.0.0.1", sslmode="disable", passfile=passfile))
    wait_for(lambda: "password authentication failed" in
             (instance.status()["queues"][0]["problem"] or ""), 10)


def test_a_service_and_a_password_of_the_user(table, reach, relay, database, directory, start_on,
                                              identity):
    """Both lie in the home directory, which is put in another's place for these programs only."""
    if not identity.is_root:
        pytest.skip("mounting is root's")
    user = pwd.getpwnam("backup")
    home = directory / "home"
    home.mkdir()
    (home / ".pg_service.conf").write_text(
        f"[mails]\nhost=127.0.0.1\nport={database.server.port}\ndbname={database.name}\nuser=plain\n")
    (home / ".pgpass").write_text(passfile_line(database, "plain"))
    (home / ".pgpass").chmod(0o600)
    for each in (home, *home.iterdir()):
        os.chown(each, user.pw_uid, user.pw_gid)
    instance = start_on(table, {FOO: relay}, started=False, programs={"sql": {"user": "backup"}})
    database.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
    instance.sections = [table.section(conninfo="service=mails")]
    instance.wrapper = ["unshare", "--mount", "sh", "-c",
                        f'mount --bind "$0" {user.pw_dir} && exec "$@"', home]
    instance.configure()
    instance.start()
    assert is_sent(table, instance, relay)


@pytest.mark.one_identity
@pytest.mark.own_cluster
def test_the_server_that_takes_writes_is_found_after_a_failover(make_cluster, start_on, make_relay):
    """The standby is synchronous, so nothing that was committed is lost with the first server."""
    first = make_cluster(settings={"wal_level": "replica"})
    standby = make_cluster(copy_of=first)
    database = postgresql.Database(first)
    table = database.table()
    first.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    first.query("SELECT pg_reload_conf()")
    table.fill(600)
    relay = make_relay(delay=0.01)
    instance = start_on(table, {FOO: account(relay, connections=4)}, started=False)
    instance.sections = [table.section(lease="30s", conninfo=database.conninfo(
        host=f"{standby.root},{first.root}", port=f"{standby.port},{first.port}",
        target_session_attrs="read-write"))]
    instance.configure()
    instance.start()
    wait_for(lambda: len(relay.mails) > 200, 30)
    first.stop("immediate")
    standby.promote()
    moved = postgresql.Table(postgresql.Database(standby), table.name)
    moved.wait_for_counts({"S": 600}, 60, instance)
    assert len({mail.recipients[0] for mail in relay.mails}) == len(relay.mails) == 600


def test_several_sections_with_a_database_each(cluster, smailer, relay, request):
    """Each section its process, its table and its columns; one that is away is that one's matter."""
    names = ("alfa", "beta")
    databases = [cluster.database(f"{name}{os.getpid()}{id(request) % 10000}") for name in names]
    try:
        tables = [databases[0].table(), databases[1].table("listy")]
        databases[1].sql("ALTER TABLE listy RENAME fld_topic TO temat")
        instance = smailer({FOO: relay}, {}, started=False, scan_interval="1h")
        instance.sections = [
            tables[0].section("alfa"), tables[1].section("beta", topic="temat"),
            tables[0].section("gamma", conninfo=databases[0].conninfo(dbname="not_there"))]
        instance.configure()
        for name in names:
            instance.cli_ok("--sid", name, "init")
        instance.start()
        first = tables[0].insert(address="alfa@example.org")
        second = databases[1].value(
            "INSERT INTO listy (fld_sender, fld_address, temat) VALUES"
            " ('foo@example.com', 'beta@example.org', 'Beta') RETURNING fld_id")
        tables[0].wait_for_status(first, "S", smailer=instance)
        tables[1].wait_for_status(second, "S", smailer=instance)
        assert relay.for_recipient("beta@example.org")[0].subject == "Beta"
        problems = {queue["queue"]: queue["problem"] for queue in instance.status()["queues"]}
        assert not problems["alfa"] and not problems["beta"]
        assert "does not exist" in problems["gamma"]
        assert len(instance.pids("sql")) == 3
        assert {entry["sid"] for entry in instance.queue("--sid", "beta", "--state", "all")} == {"beta"}
    finally:
        instance.stop()
        for each in databases:
            each.drop()
