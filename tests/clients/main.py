"""Generates typed clients from the OpenAPI document of the server given as argument, and runs the programs of docs/clients.md.

The environment has an API key of the operator (KEY). A warning of a generator or a type error is a failure, and so is a program
that prints something else than the document shows.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/documents"))

from blocks import Block, read_blocks  # noqa: E402
from compare import find_difference  # noqa: E402

HERE = Path(__file__).resolve().parent
DOCUMENT = REPOSITORY / "docs/clients.md"
BIN = Path(sys.executable).parent


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """Returns what a command prints; a failure ends the run."""
    environment = {**os.environ, **variables, "PATH": f"{BIN}:{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    if ended.returncode != 0:
        sys.exit(f"FAIL {' '.join(map(str, command))}\n{ended.stdout}{ended.stderr}")
    return ended.stdout + ended.stderr


def find_program(language: str) -> tuple[Block, Block]:
    """Returns the program in a language, and the block with its output."""
    blocks = read_blocks(DOCUMENT)
    at = next(number for number, block in enumerate(blocks) if block.language == language)
    output = next(block for block in blocks[at:] if block.is_output)
    return blocks[at], output


def compare(language: str, output: Block, printed: str) -> None:
    difference = find_difference(output.text, printed)
    if difference:
        sys.exit(f"FAIL docs/clients.md:{output.line}: the {language} program prints something else\n{difference}")
    print(f"ok   the {language} client is generated without a warning, has the right types, and works")


def check_versions() -> None:
    """The document must install the versions that are tested."""
    text = DOCUMENT.read_text()
    pinned = (HERE.parent / "suites/requirements.txt").read_text().split()
    wanted = [line for line in pinned if line.startswith(("openapi-python-client==", "httpx=="))]
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    wanted += [f"{name}@{version}" for name, version in packages.items()]
    absent = [version for version in wanted if version not in text]
    if absent:
        sys.exit(f"FAIL docs/clients.md does not name the tested versions {absent}")


def check_python(folder: Path, variables: dict[str, str]) -> None:
    program, output = find_program("python")
    generate = ["openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "rollcall_client"]
    printed = run(folder, *generate, "--meta", "none", "--fail-on-warning")
    if "warning" in printed.lower():
        sys.exit(f"FAIL openapi-python-client warns:\n{printed}")
    (folder / "example.py").write_text(program.text)
    shutil.copy(HERE / "mypy.ini", folder)
    run(folder, "mypy", "--no-incremental", "example.py", "rollcall_client")
    compare("Python", output, run(folder, sys.executable, "-B", "example.py", **variables))


def check_typescript(folder: Path, variables: dict[str, str]) -> None:
    program, output = find_program("ts")
    for name in ("package.json", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    printed = run(folder, "node_modules/.bin/openapi-typescript", "openapi.json", "--output", "rollcall.d.ts")
    if "warning" in printed.lower() or "⚠" in printed:
        sys.exit(f"FAIL openapi-typescript warns:\n{printed}")
    (folder / "example.ts").write_text(program.text)
    run(folder, "node_modules/.bin/tsc", "--project", "tsconfig.json")
    compare("TypeScript", output, run(folder, "node", "example.js", **variables))


def main(address: str) -> None:
    check_versions()
    variables = {"ROLLCALL_URL": address, "ROLLCALL_KEY": os.environ["KEY"]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with urllib.request.urlopen(f"{address}/openapi.json", timeout=20) as answer:
            (folder / "openapi.json").write_bytes(answer.read())
        check_python(folder, variables)
        check_typescript(folder, variables)


if __name__ == "__main__":
    main(sys.argv[1])
