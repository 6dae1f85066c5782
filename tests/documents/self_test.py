"""Tests of the reading of blocks and of the comparison: a check that accepts everything would find nothing."""

import tempfile
from pathlib import Path

from blocks import DocumentError, read_blocks
from compare import find_difference

EQUAL = [
    ("a\nb\n", "a\n\nb\n"),
    ("…\nb\n…\n", "1\n2\nb\n3\n"),
    ("id 01890a5d-ac96-774b-bcce-b302099a8057 at 2026-07-14T09:30:00Z", "id 01a22e32-45a2-705e-bfe3-46b6765a8fd2 at 2026-11-30T20:42:56.300Z"),
    ('{"a": 1, "b": "x…"}', '{"b":"xyz","a":1}'),
    ('{"a": 1, …}', '{"b":"xyz","a":1}'),
    ('{"items": [{"id": "…"}, …]}', '{"items":[{"id":"1"},{"id":"2"}]}'),
    ('{"token": "eyJ…", "seq": 4711}', '{"token": "eyJabcdefgh.abcdefgh", "seq": 3}'),
]
DIFFERENT = [
    ("a\nb\n", "a\n"),
    ("a\n", "a\nb\n"),
    ("…\nb\n", "a\nb\nc\n"),
    ("at 2026-07-14T09:30:00Z", "at noon"),
    ('{"a": 1}', '{"a":1,"b":2}'),
    ('{"a": 1, "b": 2}', '{"a":1}'),
    ('{"a": 1, …}', '{"a":true}'),
    ('{"a": "x…"}', '{"a":"y"}'),
    ('{"items": []}', '{"items":[1]}'),
    ('{"a": 1}', "a: 1"),
]
REFUSED = ["<!-- not run -->\n```sh\na\n```\n", "<!-- not run: later -->\n```sh\na\n```\n",
           "<!-- stays running -->\n```json\n{}\n```\n", "<!-- stays running -->\ntext\n```sh\na\n```\n"]  # fmt: skip
LIST = "1. One\n\n   <!-- not run: no tenant here -->\n   ```sh\n   a\n     b\n   ```\n\n   ```text output\n   c\n   ```\n"


def check() -> None:
    for shown, printed in EQUAL:
        assert not find_difference(shown, printed), (shown, printed, find_difference(shown, printed))
    for shown, printed in DIFFERENT:
        assert find_difference(shown, printed), (shown, printed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "document.md")
        file.write_text(LIST)
        block, output = read_blocks(file)
        assert (block.text, block.marker, block.reason, block.line) == ("a\n  b\n", "not run", "no tenant here", 4), block
        assert block.is_shell and output.is_output and output.text == "c\n", output
        for text in REFUSED:
            file.write_text(text)
            try:
                read_blocks(file)
            except DocumentError:
                continue
            raise AssertionError(text)
