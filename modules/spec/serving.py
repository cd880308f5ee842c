"""The serving section: what the gateway does when the live features are old, or cannot be looked up."""

from typing import Literal

from modules.spec.duration import Duration
from modules.spec.frozen import Frozen


class Serving(Frozen):
    """The gateway's policy. It changes no model, and no row in the store."""

    stale_after: Duration = "1h"
    """How far a source's watermark may be behind the time of a request, before its answer is stale. A source of which
    nothing is known yet is stale."""
    when_stale: Literal["serve", "defaults", "refuse"] = "serve"
    """What becomes of a stale request. serve: it is answered from what is there, and says so; defaults: its live
    features have the values of an unknown key, and it says so; refuse: 503."""
    when_down: Literal["refuse", "defaults"] = "refuse"
    """What becomes of a request while the store is down or too slow. refuse: 503 (504 if too slow); defaults: as
    above."""
