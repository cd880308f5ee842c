"""An online store in Bigtable: for any number of machines, and for more rows than fit in memory.

One cluster decides each conditional change: the instance's default app profile has to route to a single cluster and
allow single-row transactions. Bigtable takes keys of up to 4 KB, the names of namespace and entity included, and cells
of up to 100 MB; it recommends 10 MB at most. From the emulator the client reads rows of up to 4 MB only.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar
from urllib.parse import quote, unquote

from google.api_core.exceptions import AlreadyExists, BadRequest, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigtable import Client
from google.cloud.bigtable.data import BigtableDataClient, DeleteAllFromRow, ReadRowsQuery, Row, RowRange, SetCell
from google.cloud.bigtable.data.mutations import Mutation
from google.cloud.bigtable.data.row_filters import (
    CellsRowLimitFilter,
    ColumnQualifierRegexFilter,
    ColumnRangeFilter,
    FamilyNameRegexFilter,
    RowFilter,
    RowFilterChain,
    StripValueTransformerFilter,
    ValueRangeFilter,
)

from modules.spec.errors import StoreUnavailable
from pipeline.stores import progress
from pipeline.stores.store import Change, OnlineStore, Register, RowKey, Snapshot, Stored, next_version

TIMEOUT = 5.0
"""Seconds that one request may take."""
ADMIN_TIMEOUT = 60.0
"""Seconds that making the table, or dropping a namespace, may take."""
IN_FLIGHT = 16
"""Requests at a time of one open store."""
KEYS = 100
"""Rows that one request asks for by their keys."""
PAGE = 1_000
"""Rows that one request of a scan reads, so that it ends in time."""

_FAMILIES = {family: {"gc_rule": {"max_num_versions": 1}} for family in ("row", "progress", "mark")}
_MEND = (
    "Look whether project and instance exist and are up, whether the machine's credentials may use them (`gcloud auth "
    "application-default login`), and whether BIGTABLE_EMULATOR_HOST, if set, is right; or repeat later."
)
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class BigtableStore(OnlineStore):
    """One namespace of a Bigtable table. The table and its families are made by the first method that writes.

    All keys of a namespace begin with its name. The key that is only its name holds registers, floors and marks; the
    others are rows. Each cell is written with the timestamp 0, so that a new value takes the place of the old one,
    whatever the clocks say.
    """

    def __init__(self, project: str, instance: str, table: str, namespace: str) -> None:
        """Looks for credentials, and sends nothing.

        Raises:
          StoreUnavailable: There are no credentials.
        """
        self._url = f"bigtable://{project}/{instance}/{table}"
        self._home = f"{quote(namespace, safe='')}/".encode()
        self._table_name = f"projects/{project}/instances/{instance}/tables/{table}"
        with self._server():
            self._client = BigtableDataClient(project=project)
            self._admin = Client(project=project, admin=True)
        self._table = self._client.get_table(instance, table)
        self._making = threading.Lock()
        self._pool = ThreadPoolExecutor(IN_FLIGHT, "bigtable")

    def read(self, rows: Sequence[RowKey]) -> list[Stored | None]:
        """See `OnlineStore`."""
        return [
            Stored(cells[b"recent"], cells[b"identities"], _integer(cells[b"version"])) if cells else None
            for cells in self._get(rows, b"recent|identities|version")
        ]

    def read_older(self, rows: Sequence[RowKey]) -> list[bytes]:
        """See `OnlineStore`."""
        return [cells.get(b"older", b"") for cells in self._get(rows, b"older")]

    def write(self, changes: Sequence[Change]) -> list[int]:
        """See `OnlineStore`. One conditional request a change, several at a time."""
        written = self._write_each(self._write, changes)
        return [index for index, done in enumerate(written) if not done]

    def fetch(self, rows: Sequence[RowKey]) -> Snapshot:
        """See `OnlineStore`. Three reads: registers, then rows, then floors.

        The rows may be of different moments; all of those lie between the registers' and the floors', and that is what
        a reader's answers rest on.
        """
        registers = self.registers()
        found = [
            (cells[b"recent"], cells.get(b"older", b"")) if cells else None
            for cells in self._get(rows, b"recent|older")
        ]
        return Snapshot(found, registers, progress.floors(self._at_home("progress")))

    def registers(self) -> list[Register]:
        """See `OnlineStore`."""
        return progress.registers(self._at_home("progress"))

    def advance(self, registers: Sequence[Register]) -> None:
        """See `OnlineStore`. A register's position moves before its watermark."""
        self._write_each(lambda register: self._forward(progress.of_registers([register])), registers)

    def raise_floor(self, source: str, slot: int) -> None:
        """See `OnlineStore`."""
        self._write_each(self._forward, [[progress.of_floor(source, slot)]])

    def sweep(self, entity: str, before: int) -> int:
        """See `OnlineStore`. It looks at each row of the entity."""
        expires = ColumnRangeFilter("row", b"expires", b"expires")
        expired = RowFilterChain([expires, ValueRangeFilter(None, _bytes(before), inclusive_end=False)])
        keys = [
            row.row_key
            for row in self._scan(self._key(RowKey(entity, b"")), expires)
            if _integer(row.cells[0].value) < before
        ]
        return sum(self._write_each(lambda key: self._if(key, expired, then=[DeleteAllFromRow()]), keys))

    def marks(self) -> dict[str, str]:
        """See `OnlineStore`."""
        return self._at_home("mark")

    def mark(self, name: str, value: str) -> None:
        """See `OnlineStore`."""
        cell = SetCell("mark", name, value, 0)
        self._write_each(
            lambda key: self._table.mutate_row(key, cell, operation_timeout=TIMEOUT, retryable_errors=()), [self._home]
        )

    def size(self) -> tuple[int, int]:
        """See `OnlineStore`. It reads each row."""
        count = size = 0
        content = ColumnQualifierRegexFilter(b"recent|identities|older")
        for row in self._scan(self._home, RowFilterChain([FamilyNameRegexFilter("row"), content])):
            count, size = count + 1, size + sum(len(cell.value) for cell in row)
        return count, size

    def namespaces(self) -> list[str]:
        """The names of all namespaces of the table, ascending."""
        names, start = [], b""
        one = RowFilterChain([CellsRowLimitFilter(1), StripValueTransformerFilter(True)])
        while found := self._read(ReadRowsQuery(row_ranges=RowRange(start or None), limit=1, row_filter=one)):
            name = found[0].row_key.partition(b"/")[0]
            names.append(unquote(name.decode()))
            start = name + b"0"  # which follows upon the slash
        return sorted(names)

    def drop(self) -> None:
        """Removes all of the namespace, its name too, in one request."""
        with self._server(), contextlib.suppress(NotFound):
            self._admin.table_admin_client.drop_row_range(
                request={"name": self._table_name, "row_key_prefix": self._home}, timeout=ADMIN_TIMEOUT, retry=None
            )

    def close(self) -> None:
        """See `OnlineStore`."""
        self._pool.shutdown()
        self._client.close()
        self._admin.close()

    def _key(self, row: RowKey) -> bytes:
        return self._home + f"{quote(row.entity, safe='')}/".encode() + row.key

    def _get(self, rows: Sequence[RowKey], names: bytes) -> list[dict[bytes, bytes]]:
        """The cells of those names of each row, in that order; none where there is no row."""
        row_filter = RowFilterChain([FamilyNameRegexFilter("row"), ColumnQualifierRegexFilter(names)])
        keys = [self._key(row) for row in rows]
        distinct: list[str | bytes] = sorted(set(keys))
        queries = [
            ReadRowsQuery(row_keys=distinct[first : first + KEYS], row_filter=row_filter)
            for first in range(0, len(distinct), KEYS)
        ]
        # One request, a reader's, needs no other thread.
        answers = self._each(self._read, queries) if len(queries) > 1 else map(self._read, queries)
        found = {row.row_key: {cell.qualifier: cell.value for cell in row} for answer in answers for row in answer}
        return [found.get(key, {}) for key in keys]

    def _at_home(self, family: str) -> dict[str, str]:
        query = ReadRowsQuery(row_keys=self._home, row_filter=FamilyNameRegexFilter(family))
        return {cell.qualifier.decode(): cell.value.decode() for row in self._read(query) for cell in row}

    def _scan(self, prefix: bytes, row_filter: RowFilter) -> Iterator[Row]:
        """The rows whose keys begin with the prefix, which ends in a slash."""
        end = prefix[:-1] + b"0"
        last = RowRange(prefix, end)
        while page := self._read(ReadRowsQuery(row_ranges=last, limit=PAGE, row_filter=row_filter)):
            yield from page
            last = RowRange(page[-1].row_key, end, start_is_inclusive=False)

    def _read(self, query: ReadRowsQuery) -> list[Row]:
        with self._server(), contextlib.suppress(NotFound):  # the table: nobody has written yet
            return self._table.read_rows(query, operation_timeout=TIMEOUT, retryable_errors=())
        return []

    def _write(self, change: Change) -> bool:
        cells = {
            "version": _bytes(next_version(change.expected)),
            "recent": change.recent,
            "identities": change.identities,
            "expires": _bytes(change.expires),
        }
        if change.older is not None:
            cells["older"] = change.older
        set_cells: list[Mutation] = [SetCell("row", name, value, 0) for name, value in cells.items()]
        version = ColumnRangeFilter("row", b"version", b"version")
        if change.expected == 0:
            return not self._if(self._key(change.row), version, otherwise=set_cells)
        same = RowFilterChain([version, ValueRangeFilter(_bytes(change.expected), _bytes(change.expected))])
        return self._if(self._key(change.row), same, then=set_cells)

    def _forward(self, numbers: list[tuple[str, str]]) -> None:
        for name, number in numbers:
            column = ColumnRangeFilter("progress", name.encode(), name.encode())
            reached = RowFilterChain([column, ValueRangeFilter(number.encode())])
            self._if(self._home, reached, otherwise=[SetCell("progress", name, number, 0)])

    def _if(
        self,
        key: bytes,
        condition: RowFilter,
        then: list[Mutation] | None = None,
        otherwise: list[Mutation] | None = None,
    ) -> bool:
        """Changes a row by whether a condition finds a cell in it, and says whether it does, all at once."""
        return self._table.check_and_mutate_row(
            key, condition, true_case_mutations=then, false_case_mutations=otherwise, operation_timeout=TIMEOUT
        )

    def _write_each(self, write: Callable[[_Item], _Answer], items: Iterable[_Item]) -> list[_Answer]:
        """Writes each item, and makes the table and its families if they are missing."""

        def write_one(item: _Item) -> _Answer:
            try:
                return write(item)
            except GoogleAPIError as error:
                if not isinstance(error, NotFound) and "family" not in str(error):
                    raise
            with self._making:
                self._make_table()
            return write(item)

        with self._server():
            return self._each(write_one, items)

    def _each(self, do: Callable[[_Item], _Answer], items: Iterable[_Item]) -> list[_Answer]:
        """Does something with each item, several at a time, and begins with no other after an error."""
        futures = [self._pool.submit(do, item) for item in items]
        _, others = wait(futures, return_when=FIRST_EXCEPTION)
        for future in others:
            future.cancel()
        ended, _ = wait(futures)
        for future in ended:
            if not future.cancelled():
                future.result()
        return [future.result() for future in futures]

    def _make_table(self) -> None:
        """Makes what is missing. Another process may be making it too."""
        admin = self._admin.table_admin_client
        parent, _, name = self._table_name.rpartition("/tables/")
        with contextlib.suppress(AlreadyExists):
            try:
                table = admin.get_table(request={"name": self._table_name}, timeout=ADMIN_TIMEOUT, retry=None)
            except NotFound:
                made = {"column_families": _FAMILIES}
                admin.create_table(
                    request={"parent": parent, "table_id": name, "table": made}, timeout=ADMIN_TIMEOUT, retry=None
                )
                return
            if missing := _FAMILIES.keys() - table.column_families:
                changes = [{"id": family, "create": _FAMILIES[family]} for family in missing]
                admin.modify_column_families(
                    request={"name": self._table_name, "modifications": changes}, timeout=ADMIN_TIMEOUT, retry=None
                )

    @contextlib.contextmanager
    def _server(self) -> Iterator[None]:
        try:
            yield
        except BadRequest:
            raise
        except (GoogleAPIError, GoogleAuthError) as error:
            raise StoreUnavailable(f"{self._url}: {str(error).rstrip('.')}. {_MEND}") from None


def _bytes(number: int) -> bytes:
    return progress.number(number).encode()


def _integer(value: bytes) -> int:
    return progress.integer(value.decode())
