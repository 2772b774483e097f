from __future__ import annotations

import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
import redis

from systemtests.processes import EXAMPLES, PATIENCE, Server, assert_quiet, find_tool, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BENCHMARK_REQUESTS = 3000


@pytest.fixture(scope="module", params=["server.py", "blocking.py"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with run_python(EXAMPLES / "keyvalue" / request.param, "127.0.0.1:0") as server:
        yield server
    assert_quiet(server.log)


@pytest.fixture
def store(server: Server) -> Iterator[redis.Redis]:
    """A client of the server, whose keys are deleted before and after."""
    host, port = server.address.split(":")
    with redis.Redis(host, int(port), socket_timeout=PATIENCE) as client:
        clear(client)
        yield client
        clear(client)


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[[], socket.socket]]:
    """Make clients that send exactly the bytes they are given."""
    host, port = server.address.split(":")
    with ExitStack() as clients:
        yield lambda: clients.enter_context(socket.create_connection((host, int(port)), PATIENCE))


def clear(client: redis.Redis) -> None:
    if keys := client.keys("*"):
        client.delete(*keys)


def execute(client: redis.Redis, *words: str) -> object:
    """Send a command as it stands."""
    run: Callable[..., object] = client.execute_command
    return run(*words)


def test_ping_and_echo(store: redis.Redis) -> None:
    assert store.ping() is True
    assert store.echo("Grüße") == "Grüße".encode()


def test_set_get_and_delete(store: redis.Redis) -> None:
    assert store.get("name") is None
    assert store.set("name", "Rocket") is True
    assert store.get("name") == b"Rocket"
    assert store.set("name", "other") is True
    assert store.get("name") == b"other"
    assert store.set("second", "2") is True
    assert store.delete("name", "second", "missing") == 2
    assert store.get("name") is None


@pytest.mark.parametrize(
    "value",
    [b"", b"\r\n", b"$-1\r\n*2\r\n", bytes(range(256)), bytes(2_000_000)],
    ids=["empty", "line end", "protocol", "every byte", "large"],
)
def test_values_are_bytes(store: redis.Redis, value: bytes) -> None:
    key = b"key \r\n\x00\xff"
    store.set(key, value)
    assert store.get(key) == value
    assert store.keys("*") == [key]


def test_increment(store: redis.Redis) -> None:
    assert [store.incr("counter") for _ in range(3)] == [1, 2, 3]
    assert store.get("counter") == b"3"
    store.set("counter", "-10")
    assert store.incr("counter") == -9


def test_increment_by_many_clients_at_once(store: redis.Redis) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: store.incr("counter"), range(400)))
    assert sorted(results) == list(range(1, 401))


def test_increment_of_what_is_no_integer(store: redis.Redis) -> None:
    store.set("name", "Rocket")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        store.incr("name")
    assert store.get("name") == b"Rocket"


def test_expiry(store: redis.Redis) -> None:
    store.set("brief", "x", ex=100)
    store.set("lasting", "x")
    assert 0 < store.ttl("brief") <= 100
    assert store.ttl("lasting") == -1
    assert store.ttl("missing") == -2
    assert store.expire("lasting", 200) is True
    assert store.expire("missing", 200) is False
    assert 100 < store.ttl("lasting") <= 200
    store.set("brief", "y")
    assert store.ttl("brief") == -1


def test_expired_key_is_gone(store: redis.Redis) -> None:
    store.set("name", "x")
    assert store.expire("name", 0) is True
    assert store.get("name") is None
    assert store.keys("*") == []


def test_keys_by_pattern(store: redis.Redis) -> None:
    for key in ["one", "two", "three"]:
        store.set(key, "x")
    assert sorted(store.keys("*")) == [b"one", b"three", b"two"]
    assert sorted(store.keys("t*")) == [b"three", b"two"]
    assert store.keys("t?o") == [b"two"]
    assert store.keys("four*") == []


def test_pipeline_answers_in_order(store: redis.Redis) -> None:
    pipeline = store.pipeline(transaction=False)
    for number in range(500):
        pipeline.set(f"key {number}", number)
        pipeline.get(f"key {number}")
        pipeline.incr("counter")
    expected = [answer for n in range(500) for answer in (True, b"%d" % n, n + 1)]
    assert pipeline.execute() == expected


def test_error_in_a_pipeline_leaves_the_rest(store: redis.Redis) -> None:
    pipeline = store.pipeline(transaction=False)
    pipeline.set("name", "x")
    pipeline.incr("name")
    pipeline.get("name")
    done, error, value = pipeline.execute(raise_on_error=False)
    assert (done, type(error), value) == (True, redis.ResponseError, b"x")


def test_unknown_command(store: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match=r"(?i)unknown command.*frobnicate"):
        execute(store, "FROBNICATE", "x")
    assert store.ping() is True


@pytest.mark.parametrize("words", [["GET"], ["GET", "a", "b"], ["SET", "a"], ["ECHO"], ["DEL"]])
def test_wrong_number_of_arguments(store: redis.Redis, words: list[str]) -> None:
    with pytest.raises(redis.ResponseError, match=f"(?i)wrong number of arguments.*{words[0]}"):
        execute(store, *words)
    assert store.ping() is True


def test_version_3(server: Server, store: redis.Redis) -> None:
    host, port = server.address.split(":")
    with redis.Redis(host, int(port), socket_timeout=PATIENCE, protocol=3) as client:
        hello = execute(client, "HELLO", "3")
        assert isinstance(hello, dict)
        assert hello[b"proto"] == 3
        assert client.get("missing") is None
        assert client.set("name", "x") is True
        assert client.keys("*") == [b"name"]
    with pytest.raises(redis.ResponseError, match="unsupported protocol version"):
        execute(store, "HELLO", "4")


def test_inline_commands_and_arrays_in_one_piece(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    client.sendall(
        b"PING\r\n\r\nSET inline 1\r\n*2\r\n$3\r\nGET\r\n$6\r\ninline\r\n*0\r\nDEL inline\r\n"
    )
    expected = b"+PONG\r\n+OK\r\n$1\r\n1\r\n:1\r\n"
    with client.makefile("rb") as answers:
        assert answers.read(len(expected)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"*x\r\n",
        b"*1025\r\n",
        b"*1\r\n+4\r\nPING\r\n",
        b"*1\r\n$99999999\r\n",
        b"*1\r\n$4\r\nPINGPONG\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$67108864\r\n",
        b"x" * 70_000,
    ],
    ids=["array", "many", "kind", "large", "longer", "together", "line"],
)
def test_errors_of_the_protocol(connect: Callable[[], socket.socket], data: bytes) -> None:
    client = connect()
    client.sendall(b"PING\r\n" + data)
    client.shutdown(socket.SHUT_WR)
    with client.makefile("rb") as answers:
        assert answers.readline() == b"+PONG\r\n"
        assert answers.readline().startswith(b"-ERR ")
        assert answers.read() == b""


def test_half_a_command_keeps_nobody_else_waiting(
    connect: Callable[[], socket.socket], store: redis.Redis
) -> None:
    half = [connect() for _ in range(20)]
    for number, client in enumerate(half):
        client.sendall(b"INCR counter\r\n*2\r\n$4\r\nINCR\r\n$7\r\ncou")
        assert client.recv(100) == b":%d\r\n" % (number + 1)
        assert store.ping() is True
    for number, client in enumerate(half):
        client.sendall(b"nter\r\n")
        assert client.recv(100) == b":%d\r\n" % (number + 21)


# -- channels, which server.py has --------------------------------------------------------------


@pytest.fixture(scope="module")
def channels() -> Iterator[Server]:
    with run_python(EXAMPLES / "keyvalue" / "server.py", "127.0.0.1:0") as server:
        yield server
    assert_quiet(server.log)


@pytest.fixture(params=[2, 3])
def publisher(request: pytest.FixtureRequest, channels: Server) -> Iterator[redis.Redis]:
    host, port = channels.address.split(":")
    with redis.Redis(host, int(port), socket_timeout=PATIENCE, protocol=request.param) as publisher:
        yield publisher


def subscription_of(client: redis.Redis) -> redis.client.PubSub:
    make: Callable[[], redis.client.PubSub] = client.pubsub
    return make()


def unsubscribe(subscription: redis.client.PubSub, *channels: str) -> None:
    run: Callable[..., object] = subscription.unsubscribe
    run(*channels)


def received(subscription: redis.client.PubSub) -> tuple[object, object, object]:
    """Return the kind, the channel and the data of the next message."""
    message = subscription.get_message(timeout=PATIENCE)
    assert message is not None
    return message["type"], message["channel"], message["data"]


def test_subscribers_get_what_is_published(publisher: redis.Redis) -> None:
    assert publisher.publish("news", "unheard") == 0
    with subscription_of(publisher) as first, subscription_of(publisher) as second:
        first.subscribe("news", "prices")
        assert received(first) == ("subscribe", b"news", 1)
        assert received(first) == ("subscribe", b"prices", 2)
        second.subscribe("news")
        assert received(second) == ("subscribe", b"news", 1)
        value = bytes(range(256)) * 4000
        assert publisher.publish("news", value[:200_000]) == 2
        assert publisher.publish("prices", "1.25") == 1
        assert received(first) == ("message", b"news", value[:200_000])
        assert received(first) == ("message", b"prices", b"1.25")
        assert received(second) == ("message", b"news", value[:200_000])
        unsubscribe(first, "news")
        assert received(first) == ("unsubscribe", b"news", 1)
        assert publisher.publish("news", "x") == 1
        unsubscribe(first)
        assert received(first) == ("unsubscribe", b"prices", 0)
        assert publisher.publish("prices", "x") == 0
    deadline = threading.Event()
    while publisher.publish("news", "after all have left"):
        deadline.wait(0.01)


def test_ping_of_a_subscriber(publisher: redis.Redis) -> None:
    with subscription_of(publisher) as subscription:
        subscription.subscribe("news")
        assert received(subscription) == ("subscribe", b"news", 1)
        subscription.ping()
        assert subscription.get_message(timeout=PATIENCE) is not None


def test_many_publishers_and_subscribers(publisher: redis.Redis) -> None:
    """A subscriber gets all messages of a publisher in their order."""
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        subscriptions = [stack.enter_context(subscription_of(publisher)) for _ in range(20)]
        for subscription in subscriptions:
            subscription.subscribe("numbers")
            received(subscription)

        def publish(thread: int) -> None:
            for number in range(50):
                assert publisher.publish("numbers", f"{thread} {number}") == 20

        list(threads.map(publish, range(4)))
        for subscription in subscriptions:
            texts = [bytes(received(subscription)[2]).split() for _ in range(200)]  # type: ignore[call-overload]
            for thread in range(4):
                numbers = [int(number) for who, number in texts if int(who) == thread]
                assert numbers == list(range(50))


def test_commands_of_a_subscriber(channels: Server) -> None:
    host, port = channels.address.split(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE) as client,
        client.makefile("rb") as answers,
    ):
        client.sendall(b"SET a 1\r\nSUBSCRIBE c\r\nPING\r\nGET a\r\nUNSUBSCRIBE\r\nGET a\r\n")
        expected = (
            b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"
            b"-ERR only SUBSCRIBE, UNSUBSCRIBE and PING while subscribed\r\n"
            b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n$1\r\n1\r\n"
        )
        assert answers.read(len(expected)) == expected
        client.sendall(b"*x\r\n")
        assert answers.readline().startswith(b"-ERR ")
        assert answers.read() == b""


def test_subscriber_that_does_not_read_is_disconnected(
    channels: Server, publisher: redis.Redis
) -> None:
    host, port = channels.address.split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as client:
        client.sendall(b"SUBSCRIBE slow\r\n")
        assert client.recv(100)
        while publisher.publish("slow", bytes(100_000)):
            pass
        with suppress(ConnectionResetError):
            while client.recv(1 << 20):
                pass
    assert publisher.ping() is True


@pytest.mark.parametrize("pipeline", [1, 16])
def test_benchmark(server: Server, store: redis.Redis, pipeline: int) -> None:
    benchmark = find_tool("redis-benchmark")
    host, port = server.address.split(":")
    done = subprocess.run(
        [
            *(benchmark, "-h", host, "-p", port, "-t", "ping,set,get,incr", "--csv"),
            *("-n", str(BENCHMARK_REQUESTS), "-c", "20", "-P", str(pipeline)),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = [line.split(",")[0].strip('"') for line in done.stdout.splitlines()]
    for name in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"]:
        assert name in measured, done.stdout + done.stderr
    assert store.get("key:__rand_int__") is not None
    count = store.get("counter:__rand_int__")
    assert count is not None
    assert int(count) >= BENCHMARK_REQUESTS
