"""A guard against regressions: what each request takes, in instructions and in system calls.

`python -m bench.budget` compares with what is recorded, `python -m bench.budget --record` records.
"""
