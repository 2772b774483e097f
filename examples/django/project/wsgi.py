"""The WSGI application for the server to load."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()

# This makes one command enough to try the example. A deployment instead runs `manage.py migrate`
# once before it starts its servers.
call_command("migrate", verbosity=0)
