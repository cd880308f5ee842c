"""Which log the rows of a store are filled from: positions and watermarks of one mean nothing in another."""

from modules.spec import InputError
from pipeline.stores.store import OnlineStore


def keep_to_log(store: OnlineStore, source: str, log: str, *, history: bool = False) -> None:
    """Notes which log a source is read from, the first time; refuses another, of which events would be left out.

    Args:
      store: The rows.
      source: The source's name in the declaration.
      log: What it reads, in words.
      history: Whether it is the source's history, which is another log than its stream.

    Raises:
      InputError: The rows are filled from another.
    """
    name = f"{'history' if history else 'log'}/{source}"
    noted = store.marks().get(name)
    if noted is None:
        store.mark(name, log)
    elif noted != log:
        raise InputError(
            f"{source}: the rows in this store are filled from {noted}, and {log} is another log, of which events "
            "would be left out. Go on with the former, or drop the rows with `twinbeam store drop` and fill them anew."
        )
