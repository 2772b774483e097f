"""The group of all streams that are open, in this process and others, and what is sent to it."""

from __future__ import annotations

import json
import logging

from django.conf import settings
from django.db import transaction

from market.models import Trade
from rocket_wsgi import BusError, Group

HISTORY = 1000
"""The number of trades that are kept in memory, for pages that come back."""

_log = logging.getLogger("django.market")


def make_group() -> Group:
    """Return the group of this machine's processes or, over Redis, of those of all machines."""
    if settings.REDIS is None:
        return Group(name="prices", history=HISTORY, shared=True)
    from rocket_wsgi.redis_bus import RedisBus  # noqa: PLC0415 - an extra of rocket-wsgi

    return Group(name="prices", history=HISTORY, bus=RedisBus(settings.REDIS))


prices = make_group()


def announce() -> None:
    """Send the trades that were not sent yet, in order, to all pages.

    The transaction keeps other processes from doing the same, so that trades are sent in the order
    of their numbers. What cannot be sent now is sent with the next trade. A page may get a trade
    twice, if it is not known whether Redis has got it, and so looks at the number.
    """
    with transaction.atomic():
        for trade in Trade.objects.filter(announced=False).order_by("id"):
            try:
                prices.send(json.dumps(trade.as_dict()), event="trade", id=trade.id)
            except BusError as error:
                _log.warning("trades from %s on are announced later: %s", trade.id, error)
                break
            trade.announced = True
            trade.save(update_fields=["announced"])
