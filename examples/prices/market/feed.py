"""The group of all pages that are open, in this process and others."""

from __future__ import annotations

import json

from market.models import Trade
from rocket_wsgi import Group

HISTORY = 1000
"""The number of trades that are kept in memory, for pages that come back."""

prices = Group(name="prices", history=HISTORY, shared=True)


def announce(trade: Trade) -> None:
    """Send a trade to all pages."""
    prices.send(json.dumps(trade.as_dict()), event="trade", id=trade.id)
