"""Generates lists of fields: name, value, and whether it is secret."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "x-long-" + "n" * 60, ":path", "cookie", "accept"])
VALUES = st.one_of(
    st.sampled_from(["", "1", "v", "/", "gzip, deflate", "é\xff", "w" * 900]),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=40),
)
LISTS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=25)
