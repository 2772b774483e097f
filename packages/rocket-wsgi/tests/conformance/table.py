"""All cases by subject and by name."""

from __future__ import annotations

from conformance import chunks, connections, fields, framing, limits, request_lines, targets

SUBJECTS = {
    "request lines": request_lines.CASES,
    "targets": targets.CASES,
    "fields": fields.CASES,
    "framing": framing.CASES,
    "chunks": chunks.CASES,
    "limits": limits.CASES,
    "connections": connections.CASES,
}
CASES = {f"{subject}: {case.name}": case for subject, cases in SUBJECTS.items() for case in cases}
