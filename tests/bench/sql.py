"""The queue in PostgreSQL: one host and three, with few and with many rows that were sent before."""

import time

import measure
import systems
from harness import identity, postgresql
from harness.smailer import Smailer, account

CONNECTIONS = 20
SENT = 1_000_000


class Hosts:
    """COUNT smailers on one table, each with its part of the connections."""

    def __init__(self, table, port, count):
        self.table = table
        self.members = [self._make(port, CONNECTIONS // count) for _ in range(count)]

    def _make(self, port, connections):
        smailer = Smailer(
            identity.root(), {systems.SENDER: account(f"127.0.0.1:{port}", connections=connections)},
            {}, {"smtp": {"instances": connections}}, log_level="info", commit_interval="100ms")
        smailer.sections.append(self.table.section())
        smailer.configure()
        return smailer

    def init(self):
        self.members[0].cli_ok("--sid", "biblioteka", "init")

    def start(self):
        for each in self.members:
            each.start(wait=False)

    def cpu(self):
        """{program: seconds}, of all hosts."""
        total = {}
        for each in self.members:
            for name, (seconds, _) in measure.cpu(measure.tree(each.process.pid)).items():
                total[name] = total.get(name, 0) + seconds
        return total

    def end(self):
        for each in self.members:
            each.stop()
        for each in self.members:
            each.end()


def _server():
    return postgresql.PostgreSQL(durable=True, settings={
        "shared_buffers": "512MB", "max_wal_size": "8GB", "log_min_duration_statement": -1,
        "autovacuum_naptime": 60}).start()


def _fill(table, count, status):
    content = systems.text().replace("'", "''")
    table.database.sql(f"""
        INSERT INTO {table.name} (fld_time, fld_sender, fld_address, fld_topic, fld_content, fld_status)
        SELECT now(), '{systems.SENDER}', '{systems.RECIPIENT}', 'Mail ' || n, '{content}', {status}
        FROM generate_series(1, {count}) n""")


def _waiting(table):
    return int(table.database.value(
        f"SELECT count(*) FROM {table.name} WHERE fld_status IS NULL OR fld_status = ''"))


def _server_cpu(server):
    return sum(seconds for seconds, _ in measure.cpu(measure.tree(server.process.pid)).values())


def _deliver(bench, server, table, mails, hosts):
    """One run over MAILS waiting rows. Returns its rate."""
    _fill(table, mails, "NULL")
    server.query("CHECKPOINT")
    with bench.sink() as sink:
        system = Hosts(table, sink.port, hosts)
        try:
            system.init()
            table.database.sql(f"ANALYZE {table.name}")
            before, began = _server_cpu(server), time.monotonic()
            system.start()
            while _waiting(table):
                time.sleep(0.1)
            seconds = time.monotonic() - began
            ours, theirs = system.cpu(), _server_cpu(server) - before
        finally:
            system.end()
    per_mail = 1000 / mails
    parts = ", ".join(f"{name} {value * per_mail:.3f}" for name, value in sorted(ours.items()))
    print(f"  {hosts} host(s): {mails / seconds:.0f} mails/s; ms a mail: {parts}; the database "
          f"{theirs * per_mail:.3f}", flush=True)
    return mails / seconds


def _directory(bench):
    run = bench.deliver(bench.smailer, CONNECTIONS, bench.arguments.mails, 0)
    print(f"  a directory: {run['rate']:.0f} mails/s", flush=True)
    return run["rate"]


def run(bench):
    mails = bench.arguments.rows
    print(f"\nPostgreSQL on the same processors: {mails} waiting rows", flush=True)
    server = _server()
    try:
        table = postgresql.Database(server).table()
        figures = {"directory": [], "few": [], "many": [], "three": []}
        for _ in range(bench.arguments.runs):
            figures["directory"].append(_directory(bench))
            figures["few"].append(_deliver(bench, server, table, mails, 1))
            table.database.sql(f"TRUNCATE {table.name}, {table.name}_smailer")
        _fill(table, SENT, "'S'")
        table.database.sql(f"VACUUM ANALYZE {table.name}")
        print(f"  among {SENT} rows that were sent:", flush=True)
        for _ in range(bench.arguments.runs):
            figures["directory"].append(_directory(bench))
            figures["many"].append(_deliver(bench, server, table, mails, 1))
            figures["three"].append(_deliver(bench, server, table, mails, 3))
    finally:
        server.end()
    rates = {name: measure.median(values) for name, values in figures.items()}
    bench.judge("rate to that of a directory", rates["many"] / rates["directory"], 0.7, "of it")
    bench.judge("rate with many sent to that with none", rates["many"] / rates["few"], 0.9, "of it")
    bench.judge("rate of three hosts to that of one", rates["three"] / rates["many"], 1, "of it")
