"""Settings for a local run. Environment variables replace the values that a deployment changes."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PRICES_DATA") or BASE_DIR / "data").resolve()
DATA.mkdir(mode=0o700, parents=True, exist_ok=True)


def secret_key() -> str:
    """Return the key that signs cookies: `SECRET_KEY`, or a key generated at the first start."""
    if key := os.environ.get("SECRET_KEY"):
        return key
    path = DATA / "secret-key"
    if not path.exists():
        # Several processes may start at once. The key of the one that is first is that of all, and
        # none of them sees a part of it.
        with tempfile.NamedTemporaryFile("w", dir=DATA) as file, suppress(FileExistsError):
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.link(file.name, path)
    return path.read_text()


SECRET_KEY = secret_key()
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = ["market"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "prices.db",
        # Several threads write: each waits for the others instead of failing as locked.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL",
        },
    }
}
# Where the processes of several machines meet, such as redis://example:6379/0.
REDIS = os.environ.get("PRICES_REDIS")

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CSRF_COOKIE_NAME = "prices_csrf"

USE_TZ = True
TIME_ZONE = "UTC"

# Without DEBUG, Django's default sends errors by mail and logs nothing to the console.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "WARNING"}},
}
