"""The prices, by event streams as scripts have them, and by the page in Chromium."""

from __future__ import annotations

import json
import operator
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import pytest

from rocket_core.testing import eventually, unused_port
from systemtests.chromium import Chromium
from systemtests.processes import (
    EXAMPLES,
    PATIENCE,
    PLAIN,
    Server,
    assert_quiet,
    environment,
    serve,
)
from systemtests.redis_server import RedisServer
from systemtests.subscriber import Subscriber, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemtests.chromium import Page

CONNECTED = "find('status').textContent === 'Connected.'"
IDS = "trades.map(({ id }) => id)"


def serve_prices(data: Path, *options: str, **variables: str) -> Server:
    variables = {"PRICES_DATA": str(data), **variables}
    arguments = options or PLAIN
    return serve(*arguments, "--access-log", "-", cwd=EXAMPLES / "prices", variables=variables)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Server]:
    with serve_prices(tmp_path) as server:
        yield server
    assert_quiet(server.log)


class Trader:
    """A visitor who trades."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> Self:
        page = self._client.get("/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token is not None
        self._client.headers["X-CSRFToken"] = token[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, good: str, side: str) -> httpx.Response:
        return self._client.post("/trades", data={"good": good, "side": side})

    def trade(self, good: str = "Apples", side: str = "buy") -> int:
        """Return the number of the trade."""
        answer = self.ask(good, side)
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        return number


@pytest.fixture
def trader(site: Server) -> Iterator[Trader]:
    with Trader(site.address) as trader:
        yield trader


def subscribe(server: Server, last: int | str = "") -> Subscriber:
    return Subscriber(f"{server.address}/stream", "trade", str(last))


def wait_for(subscriber: Subscriber, numbers: list[int]) -> None:
    """Wait for the last of the trades, and fail unless all came before it, once and in order."""
    wanted = [str(each) for each in numbers]
    eventually(lambda: subscriber.ids[-1:] == wanted[-1:], f"for {wanted[-1:]}")
    assert subscriber.ids == wanted


def test_a_stream_begins_with_the_state(site: Server, trader: Trader) -> None:
    numbers = [trader.trade(), trader.trade("Honey", "sell")]
    with (
        httpx.Client(timeout=PATIENCE, trust_env=False) as client,
        client.stream("GET", f"{site.address}/stream") as response,
    ):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        first = next(events(response.iter_lines()))
    assert first.kind == "snapshot"
    state = json.loads(first.data)
    assert [each["id"] for each in state["trades"]] == numbers[::-1]
    assert {each["good"]: each["price"] for each in state["prices"]} == {
        "Apples": 326,
        "Bread": 410,
        "Cheese": 1890,
        "Honey": 735,
    }


def test_a_stream_that_comes_back_misses_nothing(site: Server, trader: Trader) -> None:
    with subscribe(site) as steady, subscribe(site) as other:
        eventually(lambda: steady.connections and other.connections)
        numbers = [trader.trade()]
        for round_ in range(1, 4):
            wait_for(other, numbers)
            other.disconnect()
            numbers += [trader.trade("Bread") for _ in range(5)]
            eventually(lambda: other.connections > round_)  # noqa: B023 - is called at once
        wait_for(steady, numbers)
        wait_for(other, numbers)
    with subscribe(site, numbers[4]) as late:
        wait_for(late, numbers[5:])


@pytest.mark.parametrize("processes", ["1", "2"])
def test_many_trade_at_once(tmp_path: Path, processes: str) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        site = stack.enter_context(serve_prices(tmp_path, *PLAIN, "--processes", processes))
        subscribers = [stack.enter_context(subscribe(site)) for _ in range(4)]
        eventually(lambda: all(each.connections for each in subscribers))
        traders = [stack.enter_context(Trader(site.address)) for _ in range(4)]
        made = [
            number
            for numbers in threads.map(lambda who: [who.trade() for _ in range(25)], traders)
            for number in numbers
        ]
        eventually(lambda: all(len(each.events) == 100 for each in subscribers))
        for each in subscribers:
            assert sorted(map(int, each.ids)) == sorted(made)
            assert each.events == subscribers[0].events


def test_a_reload_of_the_server_loses_nothing(tmp_path: Path) -> None:
    """The supervisor keeps what new processes send to clients that come back."""
    with (
        serve_prices(tmp_path, *PLAIN, "--processes", "2") as site,
        Trader(site.address) as trader,
        subscribe(site) as one,
        subscribe(site) as other,
    ):
        eventually(lambda: one.connections and other.connections)
        numbers = [trader.trade()]
        for round_ in range(1, 3):
            site.send(signal.SIGHUP)
            while min(one.connections, other.connections) <= round_:
                numbers.append(trader.trade())
            numbers.append(trader.trade())
            wait_for(one, numbers)
            wait_for(other, numbers)


def test_trades_that_are_none(site: Server, trader: Trader) -> None:
    for good, side in (("Gold", "buy"), ("Apples", "keep")):
        answer = trader.ask(good, side)
        assert answer.status_code == 422
        assert "give a good" in answer.json()["error"]
    assert httpx.post(f"{site.address}/trades", trust_env=False).status_code == 403


def test_migrations_are_complete(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=EXAMPLES / "prices",
        env=environment(PRICES_DATA=str(tmp_path)),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- two machines ----------------------------------------------------------------------------------


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def machines(tmp_path: Path, redis_server: RedisServer) -> Iterator[list[Server]]:
    """Two servers that have the same database and the same Redis, and nothing else in common."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                serve_prices(tmp_path, *PLAIN, "--processes", "2", PRICES_REDIS=redis_server.url)
            )
            for _ in range(2)
        ]


def workers(server: Server) -> list[int]:
    path = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(each) for each in path.read_text().split()]


@contextmanager
def subscribe_everywhere(machines: list[Server]) -> Iterator[list[Subscriber]]:
    """Have a subscriber in each process of each machine."""
    with ExitStack() as stack:
        subscribers = []
        for server in machines:
            for worker in workers(server):
                others = set(workers(server)) - {worker}
                for each in others:
                    os.kill(each, signal.SIGSTOP)
                subscriber = stack.enter_context(subscribe(server))
                eventually(lambda: subscriber.connections)  # noqa: B023 - is called at once
                for each in others:
                    os.kill(each, signal.SIGCONT)
                subscribers.append(subscriber)
        yield subscribers


def trade_at_once(machines: list[Server], count: int) -> list[int]:
    """Have two visitors of each machine trade; return the numbers in order."""
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        traders = [stack.enter_context(Trader(each.address)) for each in machines * 2]
        made = threads.map(lambda who: [who.trade() for _ in range(count)], traders)
        return sorted(number for numbers in made for number in numbers)


def trade_until_announced(server: Server, subscriber: Subscriber) -> list[int]:
    """Trade until it is announced, which takes a second after Redis is back."""
    made = []
    with Trader(server.address) as trader:
        while True:
            made.append(trader.trade())
            with suppress(AssertionError):
                within_a_second(lambda: subscriber.ids[-1:] == [str(made[-1])])
                return made


def within_a_second(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 1
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_every_price_on_two_machines(machines: list[Server], redis_server: RedisServer) -> None:
    with subscribe_everywhere(machines) as subscribers:
        assert len(subscribers) == 4
        numbers = trade_at_once(machines, 25)
        for each in subscribers:
            wait_for(each, numbers)
        for round_ in range(2):
            redis_server.kill()
            subscribers[round_].disconnect()  # and comes back while there is no Redis
            with Trader(machines[0].address) as one, Trader(machines[1].address) as other:
                numbers += [one.trade(), other.trade(), one.trade()]
            redis_server.start()
            numbers += trade_until_announced(machines[round_], subscribers[3])
            numbers += trade_at_once(machines, 10)
            for each in subscribers:
                wait_for(each, numbers)
            assert all(each.events == subscribers[0].events for each in subscribers)
        before = [each.connections for each in subscribers]
        for server in machines:
            server.send(signal.SIGHUP)
        while any(map(operator.eq, before, (each.connections for each in subscribers))):
            numbers += trade_at_once(machines, 1)
        for each in subscribers:
            wait_for(each, numbers)
    for server in machines:
        with subscribe(server, numbers[50]) as late:
            wait_for(late, numbers[51:])


# -- Chromium --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@contextmanager
def visit(chromium: Chromium, server: Server) -> Iterator[Page]:
    page = chromium.visit(server.address)
    page.wait_for(CONNECTED)
    yield page
    assert page.troubles == []
    page.close()


def price(good: str) -> str:
    return f"""document.querySelector('[data-good="{good}"]').textContent"""


def test_two_pages_have_the_prices(chromium: Chromium, site: Server) -> None:
    with visit(chromium, site) as one, visit(chromium, site) as other:
        one.wait_for(price("Apples"), "3.20")
        for shown in ("3.26", "3.32"):
            one.evaluate("""document.querySelector('[aria-label="Buy Apples"]').click()""")
            for page in (one, other):
                page.wait_for(price("Apples"), shown)
        late = {"id": 1, "good": "Apples", "price": 1, "made": "2026-01-01T00:00:00Z"}
        one.evaluate(f"take_trade({json.dumps(late)})")
        assert one.evaluate(price("Apples")) == "3.32"
        assert one.evaluate(f"{IDS}.join()") == "2,1"
        assert ("button", "Sell Cheese") in one.accessible_names()
        other.evaluate("""document.querySelector('[aria-label="Sell Cheese"]').click()""")
        for page in (one, other):
            page.wait_for(price("Cheese"), "18.53")
            page.wait_for(f"{IDS}.join()", "3,2,1")


@pytest.mark.parametrize("by", ["reload", "restart"])
def test_pages_come_back(chromium: Chromium, tmp_path: Path, by: str) -> None:
    with ExitStack() as stack:
        bind = ["--bind", f"127.0.0.1:{unused_port()}"]
        server = stack.enter_context(serve_prices(tmp_path, *bind))
        pages = [stack.enter_context(visit(chromium, server)) for _ in range(2)]
        for number in range(1, 3):
            for page in pages:
                page.evaluate("find('status').textContent = 'before'; undefined")
            if by == "reload":
                server.send(signal.SIGHUP)
            else:
                server.stop()
                server = stack.enter_context(serve_prices(tmp_path, *bind))
            with Trader(server.address) as trader:
                assert trader.trade() == number
            for page in pages:
                page.wait_for(CONNECTED)
                page.wait_for(f"{IDS}[0]", number)
                page.wait_for(f"{IDS}.length", number)


def test_pages_on_two_machines(
    chromium: Chromium, machines: list[Server], redis_server: RedisServer
) -> None:
    with visit(chromium, machines[0]) as one, visit(chromium, machines[1]) as other:
        numbers: list[int] = []
        for machine in (0, 1):
            with Trader(machines[machine].address) as trader:
                numbers.append(trader.trade())
            for page in (one, other):
                page.wait_for(f"{IDS}.join()", ",".join(map(str, numbers[::-1])))
        redis_server.lose()  # and with it all that clients that come back would get
        with Trader(machines[0].address) as trader:
            numbers.append(trader.trade())
        redis_server.start()
        with subscribe(machines[1]) as subscriber:
            eventually(lambda: subscriber.connections)
            numbers += trade_until_announced(machines[0], subscriber)
        for page in (one, other):
            page.wait_for(f"{IDS}.join()", ",".join(map(str, numbers[:-13:-1])))
