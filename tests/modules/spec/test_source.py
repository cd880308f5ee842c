from pathlib import Path

import pytest

from tests.modules.spec.shop import LIVE, load, refusal


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "live.sources.orders=now",
            '--set: live.sources.orders: read "now"; accepted: {time: VALUE, lateness: VALUE}.',
        ),
        (
            "live.sources.orders.late=1h",
            "--set: live.sources.orders.late: unknown field; accepted: columns, time, ingest_time, id, lateness, "
            "ahead, slack, batch, stream.",
        ),
        (
            "live.sources.orders={time: at}",  # how late events may be is a decision
            "--set: live.sources.orders: the field lateness is missing; accepted: lateness: VALUE.",
        ),
        (
            "live.sources.orders.time=price",
            '--set: live.sources.orders.time: read "price"; accepted: a column of type timestamp: at.',
        ),
        (
            "live.sources.orders.time=when",
            '--set: live.sources.orders.time: read "when"; accepted: a column of type timestamp: at.',
        ),
        (
            "live.sources.visits.time=at",  # the dataset's, not the source's
            '--set: live.sources.visits.time: read "at"; accepted: a column of type timestamp: seen, logged.',
        ),
        (
            "live.sources.visits.ingest_time=page",
            '--set: live.sources.visits.ingest_time: read "page"; accepted: a column of type timestamp: seen, logged.',
        ),
        (
            "live.sources.orders.id=[]",  # nothing would tell events of one time apart
            "--set: live.sources.orders.id: read []; accepted: at least one entry.",
        ),
        (
            "live.sources.orders.id=shopper",
            '--set: live.sources.orders.id: read "shopper"; accepted: a list.',
        ),
        (
            "live.sources.orders.id=[gift, gift]",
            '--set: live.sources.orders.id: read ["gift", "gift"]; accepted: each column once.',
        ),
        (
            "live.sources.visits.id=[visit, gift]",
            '--set: live.sources.visits.id.1: read "gift"; accepted: a column of type int, float, string, bool or '
            "timestamp: seen, logged, visit, shopper, page, seconds, clicks, bot.",
        ),
        (
            "live.sources.orders.lateness=-1h",
            '--set: live.sources.orders.lateness: read "-1h"; accepted: a duration such as 500ms, 90s, 15m, 6h or '
            "7d, at most 36500d.",
        ),
        (
            "live.sources.orders.ahead=soon",
            '--set: live.sources.orders.ahead: read "soon"; accepted: a duration such as 500ms, 90s, 15m, 6h or 7d, '
            "at most 36500d.",
        ),
        (
            "live.sources.visits.columns={}",
            "--set: live.sources.visits.columns: read {}; accepted: at least one entry.",
        ),
        (
            "live.sources.visits.columns.bot=bool",
            '--set: live.sources.visits.columns.bot: read "bool"; accepted: {type: VALUE}.',
        ),
        (
            "live.sources.visits.columns.bot.role=key",  # the request has roles, events have not
            "--set: live.sources.visits.columns.bot.role: unknown field; accepted: type, unit, zone, ambiguous.",
        ),
        (
            "live.sources.visits.batch=null",  # the dataset's data has other columns
            "--set: live.sources.visits.batch: read null; accepted: where the history is, because the source has "
            "columns of its own.",
        ),
    ],
)
def test_what_a_source_refuses(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override, text=LIVE) == message


def test_what_is_accepted_on_purpose(tmp_path: Path) -> None:
    live = load(
        tmp_path,
        "live.sources.orders.ingest_time=at",  # each event is its own log
        "live.sources.orders.id=[at, price, note]",  # of any type, ignored columns too
        "live.sources.orders.batch=orders-*.csv",  # another place, the same columns
        "live.sources.visits.stream=null",  # history alone
        text=LIVE,
    ).live
    assert live
    assert live.sources["orders"].id == ("at", "price", "note")
