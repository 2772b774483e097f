"""Run a module as `python -m` does, with Rocket in the place of the package rocket3."""

import runpy
import sys

import rocket_wsgi.compat

sys.modules["rocket3"] = rocket_wsgi.compat
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
