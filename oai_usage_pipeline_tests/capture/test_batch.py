"""The intake between readers and committer: batches by rows, bytes and age; memory by bytes."""

import threading

from oai_usage_pipeline.capture.batch import Intake, Limits
from oai_usage_pipeline.capture.landing import LandedRow, land
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import event

FINGERPRINT = KeyFingerprint(b"pepper of the tests", 1)


def rows(count: int) -> list[LandedRow]:
    return [land("0", event(number), FINGERPRINT) for number in range(count)]


def sizes(intake: Intake) -> list[int]:
    return [len(batch.rows) for batch in iter(intake.next_batch, None)]


def test_a_batch_is_full_at_its_row_limit_and_the_rest_follows_when_readers_left() -> None:
    intake = Intake(["0"], Limits(rows=4))
    for _ in range(5):
        intake.put(rows(2), 10)
    intake.reader_left("0")
    assert sizes(intake) == [4, 4, 2]


def test_a_batch_is_full_at_its_byte_limit() -> None:
    intake = Intake(["0"], Limits(bytes=25))
    for _ in range(4):
        intake.put(rows(1), 10)
    intake.reader_left("0")
    assert sizes(intake) == [3, 1]


def test_an_old_batch_is_given_out_although_it_is_small() -> None:
    now = iter([0.0, 6.0, 6.0])
    intake = Intake(["0"], Limits(seconds=5.0), clock=lambda: next(now))
    intake.put(rows(1), 10)
    batch = intake.next_batch()
    assert batch is not None
    assert len(batch.rows) == 1


def test_without_events_and_readers_there_is_no_batch() -> None:
    intake = Intake(["0"], Limits())
    intake.reader_left("0")
    intake.reader_left("0")
    assert intake.next_batch() is None


def test_a_reader_waits_while_memory_is_full_and_goes_on_when_a_batch_is_written() -> None:
    intake = Intake(["0"], Limits(rows=1, memory_bytes=10))
    assert intake.put(rows(1), 10)
    second_is_in = threading.Event()

    def put_second() -> None:
        if intake.put(rows(1), 10):
            second_is_in.set()

    reader = threading.Thread(target=put_second)
    reader.start()
    batch = intake.next_batch()
    assert batch is not None
    assert not second_is_in.is_set()
    intake.release(batch)
    reader.join()
    assert second_is_in.is_set()


def test_one_event_larger_than_all_memory_still_passes() -> None:
    intake = Intake(["0"], Limits(memory_bytes=10))
    assert intake.put(rows(1), 11)


def test_readers_are_sent_away_when_the_committer_gives_up() -> None:
    intake = Intake(["0"], Limits(memory_bytes=10))
    assert intake.put(rows(1), 10)
    answers: list[bool] = []
    reader = threading.Thread(target=lambda: answers.append(intake.put(rows(1), 10)))
    reader.start()
    intake.close()
    reader.join()
    assert answers == [False]
