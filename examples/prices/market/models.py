"""The trades. The price of a good is that of its last trade."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction

GOODS = {"Apples": 320, "Bread": 410, "Cheese": 1890, "Honey": 750}
"""What is traded, and the price before the first trade, in cents."""

PART = 50
"""A purchase adds this part of the price to it, and a sale takes it away."""


class Trade(models.Model):
    good = models.CharField(max_length=20)
    price = models.IntegerField()
    made = models.DateTimeField(auto_now_add=True)
    announced = models.BooleanField(default=False)

    def as_dict(self) -> dict[str, Any]:
        made = self.made.isoformat(timespec="seconds")
        return {"id": self.id, "good": self.good, "price": self.price, "made": made}

    def __str__(self) -> str:
        return f"{self.good} at {self.price / 100:.2f}"


def latest(good: str) -> dict[str, Any]:
    """Return the price of a good, and the number of the trade that made it; 0 without one."""
    last = Trade.objects.filter(good=good).order_by("-id").first()
    price, number = (GOODS[good], 0) if last is None else (last.price, last.id)
    return {"good": good, "price": price, "id": number}


def make_trade(good: str, *, purchase: bool) -> Trade:
    """Trade at the next price. Two trades at once are one after the other."""
    with transaction.atomic():
        price = latest(good)["price"]
        change = max(price // PART, 1)
        price = max(price + (change if purchase else -change), 1)
        trade: Trade = Trade.objects.create(good=good, price=price)
    return trade


def snapshot(trades: int) -> dict[str, Any]:
    """Return all prices, and the last trades, the latest first. Trades may be newer than prices."""
    return {
        "prices": [latest(good) for good in GOODS],
        "trades": [trade.as_dict() for trade in Trade.objects.order_by("-id")[:trades]],
    }
