"""Work is handed to threads and back: results and errors, more at once than threads, and what comes too late."""

import asyncio
import threading

import pytest

from pipeline.gateway.threads import Threads


def test_results_and_errors_come_back() -> None:
    async def asked() -> list[int | BaseException]:
        threads = Threads(2, "few")
        works = [lambda: 1, lambda: 1 // 0, threading.get_ident]
        found = await asyncio.gather(*map(threads.run, works), return_exceptions=True)
        threads.close()
        return found

    one, error, where = asyncio.run(asked())
    assert one == 1
    assert isinstance(error, ZeroDivisionError)
    assert where != threading.get_ident()


def test_one_that_hangs_holds_up_nobody() -> None:
    async def asked() -> int:
        threads, hangs = Threads(2, "few"), threading.Event()
        waiting = threads.run(hangs.wait)
        found = [await threads.run(lambda: 7) for _ in range(3)]
        assert not waiting.done()
        hangs.set()
        assert await waiting
        threads.close()
        return sum(found)

    assert asyncio.run(asked()) == 21


def test_no_more_threads_than_are_needed_nor_allowed() -> None:
    async def asked() -> tuple[int, int]:
        threads = Threads(2, "few")
        for _ in range(3):
            await threads.run(int)
        alone = threads._started
        everybody = threading.Barrier(2)
        await asyncio.gather(*(threads.run(everybody.wait) for _ in range(6)))
        threads.close()
        return alone, threads._started

    assert asyncio.run(asked()) == (1, 2)


def test_what_comes_after_the_deadline_is_dropped() -> None:
    async def asked() -> None:
        threads, late = Threads(1, "few"), threading.Event()
        working = threads.run(late.wait)
        working.set_exception(TimeoutError())
        late.set()
        assert await threads.run(lambda: 1) == 1
        with pytest.raises(TimeoutError):
            await working
        threads.close()

    asyncio.run(asked())
