"""The application that `VALIDATED` names (`module:name`), each call checked against PEP 3333."""

import os
from importlib import import_module
from wsgiref.validate import validator

module, _, name = os.environ["VALIDATED"].partition(":")
application = validator(getattr(import_module(module), name))
