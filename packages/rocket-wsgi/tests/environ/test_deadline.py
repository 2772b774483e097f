from __future__ import annotations

import pytest

from rocket_core.http1 import HeadError
from rocket_wsgi import Site
from rocket_wsgi._environ.deadline import DeadlineField


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("X-Request-Timeout", "2", 2.0),
        ("X-Request-Timeout", "0.25", 0.25),
        ("X-Request-Timeout", "0", 0.0),
        ("X-Envoy-Expected-Rq-Timeout-Ms", "15000", 15.0),
        ("x-envoy-expected-rq-timeout-ms", "1, 250", 0.25),
        ("grpc-timeout", "1H", 3600.0),
        ("grpc-timeout", "2M", 120.0),
        ("grpc-timeout", "3S", 3.0),
        ("grpc-timeout", "100m", 0.1),
        ("grpc-timeout", "100u", 0.0001),
        ("grpc-timeout", "1000n", 0.000001),
    ],
)
def test_values(name: str, value: str, seconds: float) -> None:
    assert DeadlineField(name).read(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "-1", "soon", "1s", "1 S", "1e3", "inf", "1" * 13, "1."])
def test_malformed_values(value: str) -> None:
    with pytest.raises(HeadError) as caught:
        DeadlineField("grpc-timeout").read(value)
    assert caught.value.status == 400


@pytest.mark.parametrize("name", ["", "a b", "X_Timeout", "X-Timeout:"])
def test_malformed_names(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a header field"):
        Site(lambda _, __: [], trusted_proxies=[], deadline_field=name)


def test_proxies_must_be_known() -> None:
    with pytest.raises(ValueError, match="deadline_field needs trusted_proxies"):
        Site(lambda _, __: [], deadline_field="grpc-timeout")
