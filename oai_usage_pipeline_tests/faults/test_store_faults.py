"""A store that is silent, slow, gone, busy or refuses us: an error in time, and then recovery."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.capture.batch import Limits
from oai_usage_pipeline.capture.commit import Step, commit
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.errors import LakeUnavailable
from oai_usage_pipeline.lake.failures import explaining, meaning_of_any
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.store import DELTA, POLARS, delta_options, polars_options
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource, event
from oai_usage_pipeline_tests.capture.test_commit import HUB, batch
from oai_usage_pipeline_tests.faults.azurite import Azurite, lake_at, new_location, why_not
from oai_usage_pipeline_tests.faults.conftest import Store
from oai_usage_pipeline_tests.faults.proxy import Drop, Honest, Mode, ResetAfter, Stall, Throttle
from oai_usage_pipeline_tests.faults.store_proxy import Fault, running_store_proxy

NO_ANSWER: dict[str, Mode] = {"silent": Stall(), "a byte a second": Throttle(1), "gone": Drop()}


def append(table: LakeTable) -> None:
    table.append(batch({"0": range(5, 8)}), {HUB.app_id("0"): 7})


CALLS: dict[str, Callable[[LakeTable], object]] = {
    "rows": lambda table: table.scan().collect(),
    "changes": lambda table: table.changes(0, 1, "true").read_all(),
    "append": append,
    "replace a day": lambda table: table.replace_day("2026-01-05", batch({"0": range(1)}), {}),
    "checkpoint": lambda table: table.checkpoint(),
    "damaged files": lambda table: table.damaged_files(),
}


def capture(lake: Lake, numbers: range, at_step: Callable[[Step], None] = lambda _: None) -> None:
    commit(lambda: lake.table(OPENAI_EVENTS), HUB, batch({"0": numbers}), at_step, lambda _: None)


def assert_whole(lake: Lake, event_count: int) -> None:
    for invariant in (nothing_lost, nothing_doubled, positions_match):
        assert invariant(lake).holds, invariant(lake).sentence
    assert lake.existing(OPENAI_EVENTS).row_count() == event_count


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mode", NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_every_call_of_a_store_that_does_not_answer_ends_in_time(mode: Mode, store: Store) -> None:
    capture(store.lake, range(5))
    table = store.lake.existing(OPENAI_EVENTS)
    store.proxy.behave(mode)
    with pytest.raises(LakeUnavailable, match=r"openai_events.*GET http"):
        store.lake.existing(OPENAI_EVENTS)
    for call in CALLS.values():
        with pytest.raises(Exception, match=r"MicrosoftAzure|object.store") as failed:
            call(table)
        assert isinstance(failed.value, LakeUnavailable) or meaning_of_any(failed.value)
    store.proxy.behave(Honest())
    capture(store.lake, range(10))
    assert_whole(store.lake, 10)


@pytest.mark.parametrize("mode", [Stall(), ResetAfter(100), Drop()], ids=["silent", "reset", "gone"])
def test_a_store_that_fails_in_the_middle_of_a_commit_is_waited_out(mode: Mode, store: Store) -> None:
    capture(store.lake, range(5))
    modes = iter([mode])

    def fail_once(step: Step) -> None:
        if step == "checked" and (fault := next(modes, None)):
            store.proxy.behave(fault)

    def recover(_: float) -> None:
        store.proxy.behave(Honest())

    commit(lambda: store.lake.table(OPENAI_EVENTS), HUB, batch({"0": range(12)}), fail_once, recover)
    assert_whole(store.direct, 12)


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_store_that_refuses_us_is_an_error_and_the_position_stays(status: int, store: Store) -> None:
    capture(store.lake, range(5))
    store.proxy.inject(Fault("PUT", ".", status, times=10**6))
    with pytest.raises(LakeUnavailable, match="the next run reads them again"):
        capture(store.lake, range(10))
    assert_whole(store.direct, 5)
    store.proxy.inject()
    capture(store.lake, range(10))
    assert_whole(store.direct, 10)


def test_a_whole_run_survives_a_store_that_is_restarted_under_it(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with Azurite(tmp_path) as azurite, running_store_proxy(azurite.port) as (port, proxy):
        location = new_location()
        restarts: list[threading.Thread] = []

        def start_again() -> None:
            azurite.start()
            proxy.aim(azurite.port)

        def restart(step: Step) -> None:
            if step == "checked" and not restarts:
                azurite.stop()
                restarts.append(threading.Thread(target=start_again))
                restarts[0].start()

        source = ListSource({each: [event(number) for number in range(40)] for each in ("0", "1")})
        lake = lake_at(port, location, timeout="1s", retry_timeout="1s")
        run = CaptureRun(
            source, lake, KeyFingerprint(b"pepper of the tests", 1), limits=Limits(rows=25), at_step=restart
        )
        assert run.execute().errors == []
        restarts[0].join()
        assert_whole(lake, 80)


def test_a_store_that_hangs_is_given_up_and_used_again(store: Store) -> None:
    capture(store.lake, range(5))
    store.azurite.pause()
    try:
        with pytest.raises(LakeUnavailable, match="operation timed out"):
            store.lake.table(OPENAI_EVENTS)
    finally:
        store.azurite.resume()
    capture(store.lake, range(9))
    assert_whole(store.lake, 9)


def test_no_signature_of_a_signed_address_is_in_an_error(store: Store) -> None:
    signed = {"sas_token": "sv=2024-11-04&sp=rl&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D"}
    options = {name: value for name, value in store.lake.storage_options.items() if name != "account_key"}
    capture(store.lake, range(2))
    lake = Lake(store.lake.location, {**options, **signed})
    for mode in (Honest(), Drop()):
        store.proxy.behave(mode)
        with pytest.raises(LakeUnavailable) as failed:
            lake.table(OPENAI_EVENTS)
        causes = [failed.value, failed.value.__cause__]
        assert all("c2VjcmV0" not in str(each) for each in causes)


def test_a_signature_that_a_reader_prints_is_cut_out_with_the_cause_that_holds_it(tmp_path: Path) -> None:
    table = Lake(str(tmp_path / "lake")).table(OPENAI_EVENTS)
    with (
        pytest.raises(LakeUnavailable, match=r"GET http://store/x\?sv=1&sig=\.\.\. in 1 s") as failed,
        explaining(table),
    ):
        raise OSError("GET http://store/x?sv=1&sig=c2VjcmV0%3D in 1 s")
    assert failed.value.__cause__ is None
    meaning = meaning_of_any(OSError("object-store error: GET http://store/x?sig=c2VjcmV0%3D"))
    assert "c2VjcmV0" not in str(meaning)


def test_a_remote_lake_has_deadlines_and_a_folder_needs_none() -> None:
    assert delta_options("abfss://a@b/c", {"use_azure_cli": "true"}) == {**DELTA, "use_azure_cli": "true"}
    assert delta_options("abfss://a@b/c", {"timeout": "1s"})["timeout"] == "1s"
    assert (polars_options("abfss://a@b/c", {}) or {}).items() >= POLARS.items()
    assert (polars_options("abfss://a@b/c", {"retry_timeout": "2s"}) or {})["retry_timeout_ms"] == 2000
    assert delta_options("/data/lake", {}) == {}
    assert polars_options("/data/lake", {}) is None


def test_the_deadlines_of_a_lake_are_taken_by_every_reader(store: Store) -> None:
    lake = Lake(store.direct.location, store.direct.storage_options)
    capture(lake, range(3))
    table = lake.existing(OPENAI_EVENTS)
    assert table.scan().collect().height == table.changes(0, table.version, "true").read_all().num_rows == 3
