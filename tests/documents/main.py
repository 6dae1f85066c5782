"""Runs the documents: each shell block of README.md, CONTRIBUTING.md and docs/, in order, as a reader pastes it.

Usage: main.py PROGRAM [DOCUMENT…]

Each document has a sandbox (sandbox.py) and one terminal. What its reader has in front of the first block (a server, an API
key) is in before/NAME.sh. A block must end with code 0, and no HTTP request in it may fail. If the next block has the word
`output` after its language, as in "```json output", it is compared with what was printed (compare.py). A marker in the line in
front of a block changes that:

- `<!-- not run: REASON -->`: it cannot run here.
- `<!-- runs until it is interrupted -->`: it is a server. It must start, and Ctrl-C must end it without an error.
- `<!-- stays running -->`: the same, and the next blocks use it, until another block with one of these two markers.
- `<!-- runs twice -->`: a reader may paste it again, so it must print the same a second time.

JSON and YAML blocks must be valid, and TOML blocks are checked as settings files.
"""

import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import self_test
from blocks import Block, DocumentError, read_blocks
from compare import find_difference
from sandbox import REPOSITORY, Shell, build_root, can_enter_namespaces, enter_namespaces

READY = "listening on|^Stop  *Ctrl-C|Press Ctrl-C"
# How many documents run at the same time: they mostly wait.
PARALLEL = 4
# Languages of programs whose output another part of the tests compares: tests/clients.
PROGRAMS = ("python", "ts")
# More would be a sign that documents are written that a reader cannot follow.
NOT_RUN_MAX = 13


def list_documents() -> list[Path]:
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def needs_sandbox(file: Path) -> bool:
    return any((block.is_shell and block.marker != "not run") or block.language == "toml" for block in read_blocks(file))


def check_data(file: Path, block: Block) -> str:
    """Checks a block of data; returns "" or what is wrong."""
    if block.language == "json" and not block.is_output:
        try:
            json.loads(block.text)
        except ValueError as error:
            return f"{file.name}:{block.line}: the JSON is not valid: {error}"
    if block.language == "yaml":
        try:
            import yaml
        except ImportError:
            return ""
        try:
            yaml.safe_load(block.text)
        except yaml.YAMLError as error:
            return f"{file.name}:{block.line}: the YAML is not valid: {error}"
    return ""


def run_block(shell: Shell, block: Block, number: int) -> tuple[int, str]:
    """Runs one shell block; returns the exit code and what it printed."""
    if block.marker == "runs twice":
        code, printed = shell.run(block.text, number)
        return shell.run(block.text, number) if code == 0 else (code, printed)
    if not block.marker:
        return shell.run(block.text, number)
    code, printed = shell.start(block.text, number, READY)
    if code == 0 and block.marker == "runs until it is interrupted":
        code, rest = shell.interrupt(number)
        printed += rest
    return code, printed


def run_document(file: Path, program: Path, root: Path) -> int:
    """Runs a document in this process, which has namespaces of its own; returns the number of failures.

    `root` is an empty folder: only this process sees what is mounted there, and the mounts end with it.
    """
    build_root(root, program)
    shell = Shell(root)
    try:
        return run_blocks(file, shell)
    finally:
        shell.close()


def run_in_sandbox(file: Path, program: Path) -> bool:
    """Runs a document in a process with namespaces of its own; returns whether it passed."""
    root = tempfile.mkdtemp(prefix="rollcall-documents.")
    try:
        return enter_namespaces([__file__, str(program), str(file), root]) == 0
    finally:
        # It is empty here. A removal of what is in it could only be a mistake.
        os.rmdir(root)


def run_blocks(file: Path, shell: Shell) -> int:
    blocks = read_blocks(file)
    before = Path(__file__).with_name("before") / f"{file.stem}.sh"
    if before.exists():
        code, printed = shell.run(before.read_text(), 0)
        if code != 0:
            print(f"FAIL {before.name}: exit code {code}\n{printed}")
            return 1
    for number, block in enumerate(blocks, 1):
        position = f"{file.relative_to(REPOSITORY)}:{block.line}"
        if block.language == "toml" and block.marker != "not run":
            text = "rollcall config check --config /tmp/block.toml\n"
            (shell.root / "tmp/block.toml").write_text(block.text)
            (shell.root / "tmp/block.toml").chmod(0o600)
            code, printed = shell.run(text, number)
        elif block.is_shell and block.marker != "not run":
            code, printed = run_block(shell, block, number)
        else:
            continue
        if code != 0:
            print(f"FAIL {position}: exit code {code}\n{block.text}--- printed:\n{printed}")
            return 1
        shown = blocks[number] if number < len(blocks) and blocks[number].is_output else None
        difference = find_difference(shown.text, printed) if shown else ""
        if difference:
            print(f"FAIL {position}: it prints something else than the document shows\n{difference}")
            return 1
        if os.environ.get("VERBOSE"):
            print(f"--- {position}\n{block.text}--- printed:\n{printed}")
        print(f"ok {position}")
    return 0


def check_sources(text: str) -> list[str]:
    """What is wrong with the sources of docs/comparison.md: each statement about another product has the number of a source."""
    body, _, sources = text.partition("## Sources")
    listed = set(re.findall(r"^(\d+)\. ", sources, re.MULTILINE))
    used = set(re.findall(r"\[(\d+)\]", body))
    problems = [f"the source [{number}] is not both listed and used" for number in sorted(listed ^ used)]
    for line in body.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("| ") and cells[0] not in ("", "---") and len(cells) == 6:
            problems += [f"{cells[0]}: {cell!r} has no source" for cell in cells[2:5] if not re.search(r"\[\d+\]|^not stated$", cell)]
    for product in ("WorkOS Directory Sync", "Ory Polis", "Frontegg"):
        section = body.split(f"## {product}\n")[1].split("\n## ")[0]
        for item in re.split(r"\n\n|\n- ", section.strip()):
            if not re.search(r"\[\d+\]|^\*\*Moving from it", item):
                problems.append(f"{product}: {item[:60]!r} has no source")
    return problems


def check_documents(files: list[Path]) -> int:
    """Checks what needs no sandbox; returns the number of failures."""
    failures, not_run = 0, []
    for problem in check_sources((REPOSITORY / "docs/comparison.md").read_text()):
        failures += 1
        print(f"FAIL docs/comparison.md: {problem}")
    for file in files:
        blocks = read_blocks(file)
        for at, block in enumerate(blocks):
            problem = check_data(file, block)
            before = blocks[at - 1] if at else None
            if block.is_output and not (before and (before.is_shell or before.language in PROGRAMS)):
                problem = f"{file.name}:{block.line}: there is no block in front of this output that prints it"
            if not block.language:
                problem = f"{file.name}:{block.line}: the block has no language; that of plain text is `text`"
            if problem:
                failures += 1
                print(f"FAIL {problem}")
            if block.marker == "not run":
                not_run.append(f"not run: {file.relative_to(REPOSITORY)}:{block.line}: {block.reason}")
    print("\n".join(not_run))
    if len(not_run) > NOT_RUN_MAX:
        failures += 1
        print(f"FAIL {len(not_run)} blocks are marked as not run, more than {NOT_RUN_MAX}")
    return failures


def main(program: str, *names: str) -> int:
    if os.environ.get("IN_SANDBOX"):
        return run_document(Path(names[0]), Path(program), Path(names[1]))
    if not can_enter_namespaces():
        print("FAIL the documents need Linux namespaces: run this as root, or allow unprivileged user namespaces")
        return 1
    begun = time.monotonic()
    self_test.check()
    try:
        failures = check_documents(list_documents())
        files = [file for file in list_documents() if needs_sandbox(file) and (not names or file.stem in names)]
    except DocumentError as error:
        print(f"FAIL {error}")
        return 1
    os.environ["IN_SANDBOX"] = "1"
    with ThreadPoolExecutor(PARALLEL) as pool:
        passed = list(pool.map(lambda file: run_in_sandbox(file, Path(program).resolve()), files))
    failures += passed.count(False)
    print(f"{len(files)} documents, {failures} failures, {time.monotonic() - begun:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
