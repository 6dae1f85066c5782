"""Runs the commands and the programs of docs/clients.md against the server given as argument: typed clients are generated from the
OpenAPI document, and used.

The environment has an API key of the operator (KEY) and the program (PROGRAM). A warning of a generator or a type error is a
failure, and so is a program that prints something else than the document shows. The commands that install packages are not run:
their packages and versions must be those of the tests.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
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
    environment = {**os.environ, **variables, "PATH": f"{folder / 'bin'}:{BIN}:{os.environ['PATH']}"}
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


def list_tested_packages() -> dict[str, set[str]]:
    """The packages of the tests with their versions, by the command that installs them."""
    pinned = (HERE.parent / "suites/requirements.txt").read_text().split()
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    return {
        "pip install": {line for line in pinned if line.startswith(("openapi-python-client==", "httpx=="))},
        "npm install": {f"{name}@{version}" for name, version in packages.items()},
    }


def run_commands(folder: Path, language: str) -> str:
    """Runs the commands in front of the program in this language as they are printed, and returns their output."""
    blocks = read_blocks(DOCUMENT)
    at = next(number for number, block in enumerate(blocks) if block.language == language)
    commands = blocks[at - 1]
    if not commands.is_shell:
        sys.exit(f"FAIL docs/clients.md:{commands.line}: the commands for {language} are not in front of its program")
    printed = ""
    for line in commands.text.splitlines():
        tested = next((names for begin, names in list_tested_packages().items() if line.startswith(begin)), None)
        if tested is None:
            printed += run(folder, "bash", "-ec", line)
        elif set(line.split()[2:]) != tested:
            sys.exit(f"FAIL docs/clients.md:{commands.line}: {line!r} does not install what is tested: {sorted(tested)}")
    return printed


def check_python(folder: Path, variables: dict[str, str]) -> None:
    program, output = find_program("python")
    printed = run_commands(folder, "python")
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
    (folder / "example.ts").write_text(program.text)
    printed = run_commands(folder, "ts")
    if "warning" in printed.lower() or "⚠" in printed:
        sys.exit(f"FAIL openapi-typescript warns:\n{printed}")
    run(folder, "node_modules/.bin/tsc", "--project", "tsconfig.json")
    compare("TypeScript", output, run(folder, "node", "example.js", **variables))


def main(address: str) -> None:
    variables = {"ROLLCALL_URL": address, "ROLLCALL_KEY": os.environ["KEY"]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        (folder / "bin/rollcall").symlink_to(Path(os.environ["PROGRAM"]).resolve())
        check_python(folder, variables)
        check_typescript(folder, variables)


if __name__ == "__main__":
    main(sys.argv[1])
