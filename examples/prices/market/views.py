"""The page, the stream of events behind it, and the trades that move the prices."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from market import feed
from market.models import GOODS, make_trade, snapshot

RETRY = 1.0
"""Seconds until a page that has lost its stream comes back."""

LAST_TRADES = 12
"""The number of trades that a page shows."""


@require_GET
def show_prices(request: HttpRequest) -> HttpResponse:
    values = {"goods": GOODS, "last_trades": LAST_TRADES}
    return render(request, "market/prices.html", values)


@require_GET
def open_stream(request: HttpRequest) -> HttpResponse:
    """Begin an event stream with the present state, and go on with each trade.

    A page that comes back tells the last trade that it has got (Last-Event-ID), and gets all that
    it has missed. No trade is lost in between:

    1. The stream joins the group, which sends what was missed, and each trade from now on. All of
       that waits until the response has begun.
    2. The state is read. It has all trades of before 1, and perhaps some of after 1, which then
       arrive twice; they have numbers.
    """
    stream = request.META["rocket.events"].open(retry=RETRY)
    feed.prices.add(stream, since=request.headers.get("Last-Event-ID"))
    state = json.dumps(snapshot(LAST_TRADES))
    response = HttpResponse(f"event: snapshot\ndata: {state}\n\n", content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"  # nginx passes events on at once
    return response


@require_POST
def trade(request: HttpRequest) -> HttpResponse:
    good, side = request.POST.get("good"), request.POST.get("side")
    if good not in GOODS or side not in {"buy", "sell"}:
        return JsonResponse({"error": "give a good, and buy or sell as the side"}, status=422)
    made = make_trade(good, purchase=side == "buy")
    feed.announce()
    return JsonResponse(made.as_dict(), status=201)
