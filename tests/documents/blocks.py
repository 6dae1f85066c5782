"""Reads the code blocks of a Markdown document, with the markers in front of them."""

import re
from dataclasses import dataclass
from pathlib import Path

SHELL = ("sh", "bash", "shell", "console")
OPENING = re.compile(r"^( *)(`{3,}|~{3,})\s*(.*)$")
MARKER = re.compile(r"^ *<!-- (not run|runs until it is interrupted|stays running|runs twice)(?::\s*(.*?))? *-->$")


@dataclass
class Block:
    """A fenced block. `line` is the line of its fence, counted from 1; `text` has no indentation of the list around it."""

    line: int
    language: str
    info: str
    text: str
    marker: str = ""
    reason: str = ""

    @property
    def is_shell(self) -> bool:
        return self.language in SHELL

    @property
    def is_output(self) -> bool:
        """Whether it shows what the shell block in front of it prints: its fence has the word `output`."""
        return "output" in self.info.split()[1:]


class DocumentError(Exception):
    """A document that does not follow the conventions that main.py describes."""


def read_blocks(file: Path) -> list[Block]:
    """Returns the blocks in order. A marker belongs to the block in the next line."""
    blocks: list[Block] = []
    lines = file.read_text().split("\n")
    marker, at = None, 0
    while at < len(lines):
        found = MARKER.match(lines[at])
        opening = OPENING.match(lines[at])
        if opening is None:
            if marker and lines[at].strip():
                raise DocumentError(f"{file}:{at + 1}: a marker must be in the line in front of a block")
            marker = found or marker if lines[at].strip() or found else marker
            at += 1
            continue
        block, at = read_block(lines, at, opening)
        if marker:
            block.marker, block.reason = marker[1], marker[2] or ""
            check_marker(file, block)
        marker = None
        blocks.append(block)
    return blocks


def read_block(lines: list[str], start: int, opening: re.Match) -> tuple[Block, int]:
    """Returns the block whose fence is in this line, and the number of the line after it."""
    indentation, fence, info = opening[1], opening[2], opening[3].strip()
    end = start + 1
    while end < len(lines) and lines[end].strip() != fence:
        end += 1
    if end == len(lines):
        raise DocumentError(f"line {start + 1}: the block does not end")
    text = "\n".join(line.removeprefix(indentation) for line in lines[start + 1 : end])
    language = info.split()[0].lower() if info else ""
    return Block(start + 1, language, info, text + "\n"), end + 1


def check_marker(file: Path, block: Block) -> None:
    if not block.is_shell and block.language != "toml":
        raise DocumentError(f"{file}:{block.line}: only blocks of shell commands and of settings have a marker")
    if block.marker == "not run" and len(block.reason.split()) < 2:
        raise DocumentError(f"{file}:{block.line}: the marker `not run` needs the reason: <!-- not run: REASON -->")
