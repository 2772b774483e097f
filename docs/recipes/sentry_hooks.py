"""Send errors to Sentry.

    rocket-cli serve --hooks sentry_hooks mysite.wsgi:application

It takes sentry-sdk, and the variable SENTRY_DSN, which may be in the file of --env-file. The SDK
finds Django, Flask and other frameworks by itself, since it is there before the application. Any
other application is wrapped in sentry_sdk.integrations.wsgi.SentryWsgiMiddleware.
"""

import os

import sentry_sdk


def post_fork(server, worker):
    """Start the SDK in each process, which has threads of its own."""
    sentry_sdk.init(dsn=os.environ["SENTRY_DSN"])


def worker_exit(server, worker):
    """Send what the threads of the SDK have not sent yet, within five seconds."""
    sentry_sdk.flush(timeout=5)
