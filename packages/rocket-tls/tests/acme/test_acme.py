"""From the first certificate to its renewal, at a real ACME server."""

from __future__ import annotations

import base64
import json
import queue
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from helpers import exchange
from lines import Lines
from pebble import KEY_ID, MAC_KEY, Answer, Authority, problem, running_authority
from rocket_core import Connection, Listener, Server, State, Worker
from rocket_core.testing import PATIENCE, eventually
from rocket_tls import ACME, CertificateStore, TLSListener
from rocket_tls._acme.clock import Clock
from rocket_tls._acme.manager import ACMEManager
from rocket_tls._acme.settings import Challenge

DAY = timedelta(days=1)


class ManualClock(Clock):
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = super().now()

    def now(self) -> datetime:
        return self.time


class Tokens(Worker):
    """Answers challenges http-01, and no other request."""

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self._answer = answer

    def serve(self, connection: Connection) -> State:
        token = connection.readline().split()[1].decode().rpartition("/")[2]
        text = self._answer(token)
        status = "404 Not Found" if text is None else "200 OK"
        connection.write(f"HTTP/1.0 {status}\r\n\r\n{text or ''}".encode())
        return State.LINGER


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with running_authority(tmp_path_factory.mktemp("pebble")) as authority:
        yield authority


@pytest.fixture
def authority(pebble: Authority) -> Iterator[Authority]:
    pebble.forget()
    yield pebble
    pebble.intervene = lambda _path, _content: None
    pebble.extra.clear()


class Site:
    """A manager with a manual clock, and a server for its certificate."""

    def __init__(self, authority: Authority, directory: Path) -> None:
        self.authority = authority
        self.directory = directory
        self.names = ["localhost"]
        self.challenge = Challenge.TLS_ALPN_01
        self.clock = ManualClock()
        self.stopping = threading.Event()
        self.due: datetime | None = None

    def acme(self, **options: object) -> ACME:
        return ACME(
            self.directory,
            self.names,
            server=self.authority.url,
            server_ca=self.authority.ca,
            challenge=self.challenge,
            **options,  # type: ignore[arg-type]
        )

    def turn(self, *, at: datetime | None = None, **options: object) -> datetime:
        """Let a process that has just started do what is due; return the next time."""
        if at is not None:
            self.clock.time = at
        acme = self.acme(**options)
        manager = ACMEManager(acme._manager.settings, self.directory, self.clock, lambda: 0.5)
        return manager.work(self.stopping)

    @contextmanager
    def served(self) -> Iterator[TLSListener]:
        """Serve lines over TLS where the authority validates, with an `ACME` of its own."""
        listener = TLSListener(self.authority.tls.dup(), CertificateStore([self.acme()]))
        with Server(lambda: Lines(queue.SimpleQueue()), [listener], min_threads=1, max_threads=1):
            yield listener

    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.directory / "certificate.pem").read_bytes())

    def shake_hands(self, trust: ssl.SSLContext) -> ssl.SSLSocket:
        sock = socket.create_connection(self.authority.tls.getsockname(), PATIENCE)
        try:
            return trust.wrap_socket(sock, server_hostname="localhost")
        except BaseException:
            sock.close()
            raise


@pytest.fixture
def site(authority: Authority, tmp_path: Path) -> Site:
    return Site(authority, tmp_path / "acme")


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.root())


# -- the first certificate -----------------------------------------------------------------------


def test_a_site_without_a_certificate_starts_and_obtains_one(
    site: Site, trust: ssl.SSLContext
) -> None:
    with site.served() as listener:
        with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
            site.shake_hands(trust)
        eventually(lambda: listener.tls_errors == {"no certificate yet": 1})

        with site.acme(email="me@example.org") as acme:
            eventually(lambda: acme.status.expires is not None)

            def served() -> bool:
                try:
                    with site.shake_hands(trust) as client:
                        return exchange(client, "shout hello") == b"HELLO\n"
                except ssl.SSLError:
                    return False

            eventually(served)
        assert acme.status.failures == 0
        assert acme.status.expires == site.certificate().not_valid_after_utc


def test_only_the_owner_can_read_the_stored_files(site: Site) -> None:
    with site.served():
        site.turn()
    assert stat.S_IMODE(site.directory.stat().st_mode) == 0o700
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in site.directory.iterdir()} == {
        "account.json": 0o600,
        "certificate.pem": 0o600,
        "lock": 0o600,
        "progress.json": 0o600,
    }


def test_names_and_addresses_are_validated_over_http(site: Site, authority: Authority) -> None:
    site.names = ["LOCALHOST", "127.0.0.1"]
    site.challenge = Challenge.HTTP_01
    listener = Listener(authority.http.dup())
    with Server(lambda: Tokens(site.acme().challenge), [listener], min_threads=1, max_threads=1):
        site.turn()
    names = site.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert list(map(str, names.value.get_values_for_type(x509.IPAddress))) == ["127.0.0.1"]


def test_an_address_is_validated_in_a_handshake(site: Site) -> None:
    site.names = ["127.0.0.1"]
    with site.served():
        site.turn()
    assert site.acme().status.expires is not None


def test_an_account_that_was_created_elsewhere_is_found(tmp_path: Path) -> None:
    with running_authority(tmp_path, binding=True, refused_nonces=30) as authority:
        site = Site(authority, tmp_path / "acme")
        with site.served():
            site.turn()
            assert "externalaccountbinding" in site.acme().status.error.lower()
            (site.directory / "progress.json").unlink()
            site.turn(external_account=(KEY_ID, MAC_KEY))
        assert site.acme().status.error == ""


# -- renewal -------------------------------------------------------------------------------------


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(
    site: Site, trust: ssl.SSLContext
) -> None:
    with site.served():
        due = site.turn()
        first = site.certificate()
        life = first.not_valid_after_utc - first.not_valid_before_utc
        # The jitter of this manager is 0.5: half of a thirtieth earlier.
        exactly = first.not_valid_after_utc - life / 3 - life / 60
        assert abs(due - exactly) < timedelta(seconds=1)
        with site.shake_hands(trust) as client:
            site.authority.forget()
            assert site.turn(at=due - timedelta(minutes=1)) == due
            assert site.authority.asked == []

            site.turn(at=due + timedelta(minutes=1))
            assert site.certificate().serial_number != first.serial_number
            assert exchange(client, "shout still here") == b"STILL HERE\n"

        def serial() -> int:
            with site.shake_hands(trust) as client:
                der = client.getpeercert(binary_form=True)
            assert der is not None
            return x509.load_der_x509_certificate(der).serial_number

        eventually(lambda: serial() == site.certificate().serial_number)


def test_the_account_is_reused(site: Site, authority: Authority) -> None:
    with site.served():
        due = site.turn()
        account = (site.directory / "account.json").read_bytes()
        site.turn(at=due)
    assert authority.asked.count("sign-me-up") == 1
    assert (site.directory / "account.json").read_bytes() == account


def test_an_account_that_the_authority_has_lost_is_created_again(
    site: Site, authority: Authority
) -> None:
    with site.served():
        due = site.turn()
        path = site.directory / "account.json"
        account = json.loads(path.read_text())
        known, account["uri"] = account["uri"], account["uri"] + "0"
        path.write_text(json.dumps(account))
        site.turn(at=due)
    assert site.acme().status.error == ""
    assert json.loads(path.read_text()) == {**account, "uri": known}


def test_another_email_address_is_sent_to_the_authority(site: Site, authority: Authority) -> None:
    with site.served():
        due = site.turn(email="me@example.org")
        authority.forget()
        site.turn(at=due, email="you@example.org")
    assert authority.asked[:4].count("my-account") == 1
    assert json.loads((site.directory / "account.json").read_text())["email"] == "you@example.org"


def test_other_names_are_due_at_once(site: Site) -> None:
    with site.served():
        site.turn()
        site.names = ["localhost", "127.0.0.1"]
        site.turn()
    assert site.acme().status.expires is not None


def suggesting(authority: Authority, start: timedelta, end: timedelta, **fields: str) -> list[str]:
    """Let the authority suggest when to renew; return the list of its requests."""
    now = datetime.now(UTC)
    window = {"start": (now + start).isoformat(), "end": (now + end).isoformat()}
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    authority.extra["renewalInfo"] = authority.url.replace("/dir", "/renewal-info")

    def intervene(kind: str, _: object) -> Answer | None:
        if kind != "renewal-info":
            return None
        return Answer(200, json.dumps({"suggestedWindow": window}), fields)

    authority.intervene = intervene
    return authority.asked


def test_the_authority_suggests_when_to_renew(site: Site, authority: Authority) -> None:
    suggesting(authority, 100 * DAY, 102 * DAY, Retry_After="7200")
    with site.served():
        due = site.turn()
    renews = site.acme().status.renews
    assert renews is not None
    assert timedelta(hours=-1) < renews - (datetime.now(UTC) + 101 * DAY) < timedelta(hours=1)
    # Until then the authority is asked again, as often as it wants.
    assert abs(due - site.clock.now() - timedelta(hours=2)) < timedelta(minutes=1)


def test_a_certificate_about_to_be_revoked_is_replaced_at_once(
    site: Site, authority: Authority
) -> None:
    suggesting(authority, 100 * DAY, 102 * DAY)
    with site.served():
        due = site.turn()
        first = site.certificate()
        suggesting(authority, -2 * DAY, -1 * DAY)
        authority.forget()
        site.turn(at=due)
    assert site.certificate().serial_number != first.serial_number
    issuer = first.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier is not None
    [order] = authority.orders
    key, _, serial = order["replaces"].partition(".")
    assert decoded(key) == issuer.key_identifier
    assert int.from_bytes(decoded(serial), "big", signed=True) == first.serial_number


def test_a_certificate_that_was_replaced_already_is_replaced_again(
    site: Site, authority: Authority
) -> None:
    with site.served():
        due = site.turn()
        suggesting(authority, -2 * DAY, -1 * DAY)
        suggest = authority.intervene

        def refuse(kind: str, content: dict[str, object]) -> Answer | None:
            if "replaces" in content:
                return problem(409, "alreadyReplaced", "it was replaced already")
            return suggest(kind, content)

        authority.intervene = refuse
        first = site.certificate()
        site.turn(at=due)
    assert site.certificate().serial_number != first.serial_number


def test_an_invalid_suggestion_does_no_harm(
    site: Site, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    suggesting(authority, DAY, DAY)
    with site.served():
        due = site.turn()
    assert "the CA did not say when to renew the certificate for localhost" in caplog.text
    assert due - site.clock.now() < timedelta(hours=7)
    assert site.acme().status.renews is not None
    assert site.acme().status.failures == 0


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# -- failures ------------------------------------------------------------------------------------


def test_after_a_failure_the_old_certificate_stays_until_a_later_attempt_succeeds(
    site: Site, trust: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    # The clock of the test stands still, and what the authority suggests by itself moves with the
    # real time: on a busy machine the renewal would not be due yet. By this it always is.
    suggesting(site.authority, -2 * DAY, -1 * DAY)
    with site.served():
        due = site.turn()
        first = site.certificate()
    # No server answers the authority.
    with ExitStack() as stack:
        stack.callback(silence(site.authority))
        again = site.turn(at=due)
        assert again - due == timedelta(minutes=3, seconds=9)
        status = site.acme().status
        assert (status.failures, status.retries) == (1, again)
        assert status.error.startswith("127.0.0.1 could not validate localhost (")
        assert status.error.endswith(
            "port 443 of localhost must lead to this server, which must end TLS itself"
        )
        assert status.error in caplog.text
        assert "the present one stays in service and expires on" in caplog.text
        assert site.certificate() == first
        assert not (site.directory / "tls-alpn-01").exists()

        site.authority.forget()
        assert site.turn(at=again - timedelta(seconds=1)) == again
        assert site.authority.asked == []
        third = site.turn(at=again)
        assert third - again == timedelta(minutes=6, seconds=18)
    with site.served():
        with site.shake_hands(trust) as client:
            assert client.getpeercert(binary_form=True) == first.public_bytes(encoding=Encoding.DER)
        site.turn(at=third)
    assert site.certificate() != first
    assert site.acme().status.failures == 0


def silence(authority: Authority) -> Callable[[], None]:
    """Close each connection of the authority; call the result to end that."""
    listener = authority.tls.dup()
    ended = threading.Event()

    def close_all() -> None:
        while True:
            client, _ = listener.accept()
            client.close()
            if ended.is_set():
                return

    thread = threading.Thread(target=close_all)
    thread.start()

    def end() -> None:
        ended.set()
        socket.create_connection(authority.tls.getsockname(), PATIENCE).close()
        thread.join()
        listener.close()

    return end


def test_a_rate_limit_is_kept(site: Site, authority: Authority) -> None:
    authority.intervene = lambda kind, _: (
        problem(429, "rateLimited", "too many certificates\nfor localhost", Retry_After="172800")
        if kind == "order-plz"
        else None
    )
    now = site.clock.now()
    due = site.turn()
    assert timedelta(hours=48) <= due - now < timedelta(hours=53)
    assert (
        site.acme().status.error
        == "127.0.0.1 refused the request: too many certificates for localhost"
    )
    authority.forget()
    site.turn(at=due - timedelta(hours=1))
    assert authority.asked == []


def test_an_authority_that_cannot_be_reached(site: Site, authority: Authority) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        authority_url = f"https://127.0.0.1:{nobody.getsockname()[1]}/dir"
        acme = ACME(site.directory, ["localhost"], server=authority_url)
        acme._manager.work(threading.Event())
    assert "127.0.0.1 cannot be reached (" in acme.status.error
    assert "Connection refused" in acme.status.error


def test_an_authority_that_does_not_speak_acme(site: Site, authority: Authority) -> None:
    authority.intervene = lambda _, __: Answer(200, "[]", {"Content-Type": "application/json"})
    site.turn()
    assert site.acme().status.error.startswith(
        "127.0.0.1 sent a response that is not valid in ACME ("
    )


def test_an_authority_that_does_not_offer_the_challenge(site: Site, authority: Authority) -> None:
    authority.intervene = lambda kind, _: (
        Answer(
            200,
            json.dumps(
                {
                    "status": "pending",
                    "identifier": {"type": "dns", "value": "localhost"},
                    "challenges": [{"type": "dns-01", "url": "", "token": ""}],
                }
            ),
            {"Content-Type": "application/json", "Replay-Nonce": "bm9uY2U"},
        )
        if kind == "authZ"
        else None
    )
    site.turn()
    assert site.acme().status.error == (
        "127.0.0.1 offers no tls-alpn-01 for localhost; it offers dns-01"
    )


# -- several processes ---------------------------------------------------------------------------


def test_one_process_works_while_the_others_wait(site: Site, authority: Authority) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(kind: str, _: object) -> None:
        if kind == "order-plz":
            asked.set()
            assert go_on.wait(PATIENCE)

    authority.intervene = hold
    with site.served(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(site.turn)
        assert asked.wait(PATIENCE)
        authority.forget()
        now = site.clock.now()
        try:
            assert timedelta(seconds=30) < site.turn() - now < timedelta(minutes=1)
            assert authority.asked == []
        finally:
            go_on.set()
        due = first.result()
        authority.forget()
        assert site.turn() == due
        assert authority.asked == []


def test_the_challenges_of_a_killed_process_are_cleared(site: Site) -> None:
    for kind in ("http-01", "tls-alpn-01"):
        (site.directory / kind).mkdir(parents=True)
        (site.directory / kind / "left").touch()
    assert site.acme().expects_validation()
    with site.served():
        site.turn()
    assert not site.acme().expects_validation()
    assert not (site.directory / "http-01").exists()


def test_stopping_during_an_order(site: Site, authority: Authority) -> None:
    asked = threading.Event()

    def wait(kind: str, _: object) -> None:
        if kind == "chalZ":
            asked.set()

    authority.intervene = wait
    acme = site.acme()
    with acme:  # and no server accepts the connection of the authority
        assert asked.wait(PATIENCE)
        thread = acme._thread
        assert thread is not None
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not acme.expects_validation()
    assert site.acme().status.failures == 0
