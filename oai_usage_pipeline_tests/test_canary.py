"""Canaries go in wherever a secret can come from, and nothing that the pipeline writes holds one.

Events with keys, peppers, the hub's key and tokens, commands that work and commands that fail, Dagster's
own processes with runs that fail: it is all done once, and then every byte that came of it is searched.
"""

import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.source import Deliver, Source
from oai_usage_pipeline.cli import COMMANDS, main
from oai_usage_pipeline.definitions import build_definitions
from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.orchestration.instance import dagster_home, dagster_instance
from oai_usage_pipeline.orchestration.passes import PassFailed, run_until_idle
from oai_usage_pipeline.orchestration.resources import Pipeline
from oai_usage_pipeline.settings import PREFIX
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.canaries.events import EVENTS, KEY, LOGGED_AS_ID
from oai_usage_pipeline_tests.canaries.search import contents, leaks
from oai_usage_pipeline_tests.orchestration.dagster_processes import DagsterProcesses
from oai_usage_pipeline_tests.orchestration.dagster_server import free_port
from oai_usage_pipeline_tests.orchestration.test_dagster_dev import LAUNCH, LOADED, end_of, nodes
from oai_usage_pipeline_tests.running_broker import send

PEPPER = "canary-pepper-never-written"
PEPPER_OF_BEFORE = "canary-pepper-of-the-version-before"
HUB_KEY = "Y2FuYXJ5LWtleS1vZi1sb25nLXVzZQ/+canary=="
WRONG_HUB_KEY = "d3JvbmctY2FuYXJ5LWtleS1vZi10aGUtaHVi/+x="
SIGNATURE = "c2lnbmVkLWNhbmFyeS10b2tlbi1vZi10aGUtaHVi/="
STORE_SIGNATURE = "c2lnbmVkLWNhbmFyeS1vZi10aGUtc3RvcmU="
STORE_KEY = "Y2FuYXJ5LXN0b3JlLWtleS1jYW5hcnktc3RvcmUta2V5"
TYPED_KEY = "7ed1ca9a47700123456789abcdef4567"
RECEIVER_KEY = "canary-of-a-receiver-of-alerts"
PASTED_KEY = "cGFzdGVkLWludG8tdGhlLXdyb25nLXBsYWNl/+A="

SECRETS = {
    "a caller's key": (KEY, LOGGED_AS_ID),
    "the pepper": (PEPPER,),
    "the pepper of before": (PEPPER_OF_BEFORE,),
    "the hub's key": (HUB_KEY,),
    "a key that the hub refuses": (WRONG_HUB_KEY,),
    "a token that the hub refuses": (SIGNATURE,),
    "a signature for the store": (STORE_SIGNATURE,),
    "the store's key": (STORE_KEY,),
    "a key typed for its fingerprint": (TYPED_KEY,),
    "a receiver's address": (RECEIVER_KEY,),
    "a connection string in the wrong setting": (PASTED_KEY,),
}

MONTH = "2026-11"
COMMANDS_THAT_WORK = [
    ["status"],
    ["status", "--json"],
    ["verify"],
    ["verify", "--json"],
    ["gaps"],
    ["gaps", "--json"],
    ["repair"],
    ["replay"],
    ["payloads"],
    ["month", "show", MONTH],
    ["month", "show", MONTH, "--by-team"],
    ["prices", "list"],
    ["subscriptions", "check"],
    ["subscriptions", "land"],
    ["fingerprint"],
    ["backfill", "--stale"],
    ["maintain", "--dry-run"],
    ["maintain"],
    ["alerts"],
]
COMMANDS_THAT_FAIL = [
    ["run", "--until-idle"],
    ["status"],
    ["verify"],
    ["month", "show", MONTH],
    ["reconcile"],
    ["backfill", "--stale"],
    ["maintain"],
    ["alerts", "--test"],
]
LONGER_LIVED = {"broker", "traffic", "demo", "dev"}
"""Commands that make up their own events, and have no secret of anybody's."""

CRASH = """
import ctypes, resource, sys
from oai_usage_pipeline.orchestration.resources import Pipeline
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def crash(key, fingerprint, settings):
    mark = fingerprint.of(key)
    ctypes.string_at(0)
pipeline = Pipeline()
crash(sys.stdin.read(), pipeline.fingerprint(), pipeline.settings())
"""


@dataclass
class Scene:
    """A guarded hub, a lake and Dagster's home in a folder, with the environment led to them."""

    folder: Path
    stack: EmbeddedStack
    broker: BrokerProcess
    environment: pytest.MonkeyPatch
    said: dict[str, bytes] = field(default_factory=dict)

    def call(self, *arguments: str, stdin: bytes = b"", state: str = "as it should be") -> int:
        """A command in this process; what it shows, and how a crash of it would look, is kept."""
        done = CliRunner().invoke(main, arguments, input=stdin)
        trace = "".join(traceback.format_exception(done.exception)) if done.exception else ""
        name = f"`{' '.join(arguments).replace(TYPED_KEY, '...')}`, {state}"
        self.said[name] = done.output_bytes + repr(done.exception).encode() + trace.encode()
        return done.exit_code

    @contextmanager
    def having(self, **settings: str) -> Iterator[None]:
        """Other settings meanwhile."""
        with pytest.MonkeyPatch.context() as changed:
            for name, value in settings.items():
                changed.setenv(PREFIX + name, value)
            yield

    @contextmanager
    def broken_lake(self) -> Iterator[None]:
        """A file lies where bronze was."""
        place, aside = self.stack.lake / OPENAI_EVENTS.name, self.folder / "aside"
        place.rename(aside)
        place.write_text("no table")
        try:
            yield
        finally:
            place.unlink()
            aside.rename(place)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    stack = EmbeddedStack(folder / "stack", partitions=2)
    guarded = ["--sas-key", f"listen={HUB_KEY}"]
    with (
        pytest.MonkeyPatch.context() as environment,
        BrokerProcess(stack.folder / "hub", [HUB], 2, guarded) as broker,
    ):
        (folder / "tmp").mkdir()
        pepper = {"": PEPPER, "_VERSION": "3", "_PREVIOUS": PEPPER_OF_BEFORE}
        settings = {f"{PREFIX}KEY_PEPPER{name}": value for name, value in pepper.items()}
        # Nobody listens there: what fails says most.
        settings |= {
            f"{PREFIX}ALERT_URLS": f"json://ada:{RECEIVER_KEY}@127.0.0.1:{free_port()}/{RECEIVER_KEY}",
            f"{PREFIX}ALERT_MINUTES": "0",
        }
        for name, value in (stack._environment(broker) | settings | {"TMPDIR": str(folder / "tmp")}).items():
            environment.setenv(name, value)
        stack.reference.mkdir(parents=True)
        owner = f"{KeyFingerprint(PEPPER_OF_BEFORE.encode(), 2).of(KEY)},canaries\n"
        (stack.reference / "subscriptions.csv").write_text("subscription,team\n" + owner)
        yield Scene(folder, stack, broker, environment)


def written(folder: Path) -> dict[str, bytes]:
    """Every byte that came of all this, by file or command; what compression would hide is there in clear."""
    with logging_to(folder / "log.txt"), scene(folder) as lived:
        work(lived)
        fail(lived)
        crash(lived)
        run_dagster(lived)
        for table in lived.stack.lake.iterdir():
            DeltaTable(str(table)).create_checkpoint()
    # The hub holds what was sent to it, keys and all.
    return contents(folder, lived.stack.folder / "hub") | lived.said


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Every log line of every library in this process."""
    logged, root = logging.FileHandler(file), logging.getLogger()
    before = root.level
    root.addHandler(logged)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(logged)
        root.setLevel(before)
        logged.close()


def work(lived: Scene) -> None:
    send(lived.broker, list(EVENTS.values()), hub=HUB, partition_id="0")
    assert lived.call("run", "--until-idle") == 0, lived.said
    for arguments in (each for each in COMMANDS_THAT_WORK if each[0] in COMMANDS):
        # 2: a group of commands, which shows them.
        assert lived.call(*arguments, stdin=TYPED_KEY.encode()) in (0, 2), (arguments, lived.said)
    assert lived.call("month", "close", MONTH, "--by", "somebody") != 0
    assert lived.call("fingerprint", TYPED_KEY) == 2
    assert lived.call("fingerprint", stdin=TYPED_KEY.encode() + b"\xff", state="not in UTF-8") != 0


def fail(lived: Scene) -> None:
    right = lived.broker.connection_string
    token = f"SharedAccessSignature sr=sb%3a%2f%2f127.0.0.1&sig={SIGNATURE}&se=9999999999&skn=listen"
    address = right.split("SharedAccessKeyName=")[0]
    refused = {
        "a key that the hub refuses": right.replace(HUB_KEY, WRONG_HUB_KEY),
        "a token that the hub refuses": (
            f"{address}SharedAccessSignature={token};UseDevelopmentEmulator=true"
        ),
    }
    for state, connection_string in refused.items():
        with lived.having(EVENT_HUB_CONNECTION_STRING=connection_string):
            for arguments in (["run", "--until-idle"], ["status"]):
                assert lived.call(*arguments, state=state) == 1
    pasted = (
        f"Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=x;SharedAccessKey={PASTED_KEY}"
    )
    for name in ("EVENT_HUB_NAMESPACE", "EVENT_HUB_NAME", "LAKE_URI", "KEY_PEPPER_VERSION", "CONSUMER_GROUP"):
        with lived.having(**{name: pasted}):
            assert lived.call("status", state=f"a connection string in {name}") == 1
    with lived.broken_lake():
        for arguments in COMMANDS_THAT_FAIL:
            lived.call(*arguments, state="a lake that fails")
    fail_at_the_store(lived)
    fail_within_capture(lived)


def fail_at_the_store(lived: Scene) -> None:
    """Nobody listens there, and the client says what it asked for."""
    address = {"azure_storage_account_name": "contoso", "allow_http": "true", "retry_timeout": "0s"}
    address["azure_storage_endpoint"] = f"http://127.0.0.1:{free_port()}"
    signed = f"sv=2024-01-01&sp=r&sig={STORE_SIGNATURE.replace('=', '%3D')}"
    for state, secret in (
        ("a signature", {"azure_storage_sas_key": signed}),
        ("a key", {"azure_storage_account_key": STORE_KEY}),
    ):
        lake = Lake("abfss://lake@contoso.dfs.core.windows.net/tables", address | secret)
        with pytest.raises(LakeUnavailable) as failed:
            lake.existing(OPENAI_EVENTS)
        logging.getLogger("store").error("failed", exc_info=failed.value)
        lived.said[f"the store with {state}"] = "".join(traceback.format_exception(failed.value)).encode()


class BrokenSource(EventHubSource):
    """Has a bug that shows while it reads, with secrets at hand."""

    def read(self, partition_id: str, after: int | None, deliver: Deliver) -> None:
        key, settings = KEY, self._settings
        raise RuntimeError(f"unexpected canary in {partition_id} of {settings!r}") from ValueError(len(key))


class BrokenPipeline(Pipeline):
    """The pipeline with that bug."""

    @contextmanager
    def source(self) -> Iterator[Source]:
        source = BrokenSource(self.settings())
        try:
            yield source
        finally:
            source.close()


def fail_within_capture(lived: Scene) -> None:
    send(lived.broker, [EVENTS["in its own field"]], hub=HUB, partition_id="1")
    with dagster_instance() as instance, pytest.raises(PassFailed) as failed:
        run_until_idle(instance, BrokenPipeline())
    with dagster_instance() as instance, lived.broken_lake():
        live = build_definitions().resolve_job_def("live")
        assert not live.execute_in_process(instance=instance, raise_on_error=False).success
    lived.said["a bug in capture"] = "".join(traceback.format_exception(failed.value)).encode()


def crash(lived: Scene) -> None:
    """A segmentation fault, with keys and peppers in the process."""
    command = [sys.executable, "-X", "faulthandler", "-c", CRASH]
    with (lived.folder / "crash.txt").open("wb") as said:
        subprocess.run(command, input=KEY.encode(), stdout=said, stderr=said, cwd=lived.folder, check=False)


def run_dagster(lived: Scene) -> None:
    """Dagster's own processes: a run that works, asked for by a sensor, and runs that fail."""
    dagster_home()
    (lived.folder / "consoles").mkdir()
    with DagsterProcesses(lived.folder / "consoles") as dagster:
        dagster.start_daemon()
        server = dagster.server
        [found] = server.wait_for(LOADED, lambda data: bool(nodes(data)))["repositoriesOrError"]["nodes"]

        def launch() -> str:
            launched = server.ask(
                LAUNCH, job="live", repository=found["name"], location=found["location"]["name"]
            )["launchRun"]
            return end_of(server, launched["run"]["runId"])

        send(lived.broker, list(EVENTS.values()), hub=HUB, partition_id="1")
        expected = 2 * len(EVENTS) + 1
        server.wait_for(LOADED, lambda _: events_in_bronze() == expected)
        lived.broker.stop()
        lived.broker.options = ("--sas-key", f"listen={WRONG_HUB_KEY}")
        lived.broker.start()
        for _ in range(3):
            # On a machine that is very busy a run may be ended for its silence before it comes to the hub.
            assert launch() == "FAILURE"
            if b"refused the credentials" in b"".join(contents(lived.stack.folder / "dagster").values()):
                break


def events_in_bronze() -> int:
    return Pipeline().lake().existing(OPENAI_EVENTS).row_count()


@pytest.mark.timeout(900)
def test_no_byte_that_was_written_or_shown_holds_a_secret(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """One test: processes that share the work would each do all of it again."""
    found = written(tmp_path)
    for name, secrets in SECRETS.items():
        with subtests.test(name):
            assert leaks(secrets, found) == []
    with subtests.test("everything that writes has written"):
        assert_all_has_written(found)
    with subtests.test("fingerprints stand where the keys stood"):
        bronze = b"".join(each for name, each in found.items() if "openai_events" in name)
        assert bronze.count(b"v3-") >= len(EVENTS)


def assert_all_has_written(found: dict[str, bytes]) -> None:
    names = " ".join(found)
    for part in ("_delta_log/", ".checkpoint.parquet", "dagster/history/runs/", ".err", "key_rotations/"):
        assert part in names
    shown = {name: each.decode("utf-8", "replace") for name, each in found.items()}
    events = "".join(each for name, each in shown.items() if name.endswith(".db"))
    for said in ("refused the credentials", "unexpected canary", "LakeUnavailable", "in execute"):
        assert said in events
    assert "Segmentation fault" in shown["crash.txt"]
    assert "in crash" in shown["crash.txt"]
    assert "refused the credentials" in shown["`status`, a token that the hub refuses"]
    assert "holds a connection string" in shown["`status`, a connection string in LAKE_URI"]
    assert "was not told" in shown["`alerts --test`, a lake that fails"]
    assert "canaries" in shown[f"`month show {MONTH}`, as it should be"]


def test_every_command_that_meets_secrets_is_called() -> None:
    called = {arguments[0] for arguments in COMMANDS_THAT_WORK + COMMANDS_THAT_FAIL}
    assert set(COMMANDS) - LONGER_LIVED <= called
