"""Benchmarks of Rocket beside other servers; `python -m bench --help` says how to run them."""
