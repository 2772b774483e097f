"""The WSGI application for the server to load."""

import fcntl
import os
from importlib import import_module

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()

# This makes one command enough to try the example. A deployment instead runs `manage.py migrate`
# once before it starts its servers. Several processes begin at once: one migrates, others wait.
with (settings.DATA / "migration-lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    call_command("migrate", verbosity=0)

# Otherwise the first request imports the views, and has to wait for that.
import_module(settings.ROOT_URLCONF)
