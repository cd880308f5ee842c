"""The batch job and the stream read the same from a file of JSON lines, whatever stands beside a line."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.spec import Typed
from pipeline.ingest import readers
from pipeline.ingest.conform import conform
from pipeline.ingest.files import InputFile
from pipeline.ingest.readers import read_batches
from pipeline.sources import event_files
from pipeline.sources.event_files import read_events

COLUMNS = {
    "at": Typed(type="timestamp", unit="s"),
    "key": Typed(type="int"),
    "paid": Typed(type="float"),
    "kind": Typed(type="string"),
    "good": Typed(type="bool"),
}
FULL = '{"at": 900, "key": 1, "paid": 0.5, "kind": "a", "good": true}'
LINES = st.sampled_from(
    [
        FULL,
        '{"at": 901, "key": 9223372036854775807}',
        '{"at": 902, "key": 1800000000000000001, "paid": 9007199254740993}',
        '{"at": 903, "key": 1.0, "paid": 1, "kind": 1.50}',
        '{"at": "1970-01-01T00:15:04Z", "key": "7", "kind": "2016-03-01 09:30:00"}',
        '{"at": 905, "key": 2, "paid": 1e400, "good": "true"}',
        '{"at": 906, "key": 2, "other": 1}',
        '{"at": 907, "key": 2, "other": "one"}',
        '{"at": 908, "key": 2, "key": 3}',
        '{"at": 909, "key": 2} {"at": 909, "key": 2}',
        '{"at": 910, "key": [2]}',
        '{"at": 911, "paid": NaN}',
        '{"at": 912, "key": 2.5, "kind": null}',
        "[1]",
        "{",
        "",
    ]
)


@given(st.lists(LINES, max_size=12), st.sampled_from([40, 150, 1 << 20]), st.sampled_from([40, 150, 1 << 20]))
def test_whatever_stands_beside_a_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], batch_block: int, stream_block: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "f.jsonl"
    path.write_text("\n".join([FULL, *lines]))
    file = InputFile(str(path), "jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_BLOCK_BYTES", batch_block)
        patch.setattr(event_files, "_BLOCK_BYTES", stream_block)
        unsplit: list[tuple[int, str]] = []
        batches = [rows for _, rows in read_batches(file, None, COLUMNS, [], unsplit)]
        recording = read_events([file], COLUMNS, "at", None, more_follow=False)
    assert [text for _, text in unsplit] == [payload.decode() for payload, _ in recording.broken]
    for name, typed in COLUMNS.items():
        read = [conform(rows[name], typed, name) for rows in batches]
        streamed, unfit = conform(recording.rows[name], typed, name)
        assert pa.chunked_array([values for values, _ in read]).combine_chunks().equals(streamed), name
        assert [bad for _, some in read for bad in some] == unfit.tolist(), name
