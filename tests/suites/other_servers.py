"""Runs `rollcall simulate` against other SCIM servers and checks that it finds their known faults.

Arguments: the program, and a folder for the packages of Node.js. The servers are scim2-server, which is in the Python
environment, and scimmy, if npm is installed. A server that cannot be installed is skipped with a message.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOKEN = "suites-token-1f0c"
SCIMMY = ["scimmy@1.3.5", "scimmy-routers@1.3.2", "express@5.3.0"]
# A run in which fewer checks pass shows nothing: the server does not work at all.
PASSED_MIN = {"okta": 40, "entra": 80, "onelogin": 5, "jumpcloud": 15, "ping": 15}
# Known faults: the checks that must not pass, for each provider.
FAULTS = {
    "scim2-server": {
        "okta": [],
        "entra": [
            "create manager: nulls for absent attributes",
            "replace on a phone type that is not there",
            "create group: vendor schema urn, no members",
            "test 5, manager: set",
            "test 12, remove a member",
        ],
        "onelogin": ["create user from the template"],
        "jumpcloud": ["sync: remove member by value array"],
        "ping": [],
    },
    "scimmy": {
        "okta": ["filter in upper case finds the user", "still the two"],
        "entra": [
            "mixed capture: address that does not exist yet, extension attribute added",
            "replace on a phone type that is not there",
            "disable: the string False",
            "disable a member",
        ],
        "onelogin": ["create user from the template"],
        "jumpcloud": [],
        "ping": [],
    },
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> bool:
    for _ in range(100):
        if process.poll() is not None:
            return False
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


def simulate(program: str, provider: str, url: str, token: Path) -> dict:
    command = [program, "simulate", provider, url, "--token-file", str(token), "--format", "json", "--timeout", "10"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if output.returncode not in (0, 1):
        raise RuntimeError(f"{provider}: {output.stderr}")
    return json.loads(output.stdout)


def check_server(name: str, program: str, url: str, token: Path) -> list[str]:
    """Returns what is wrong with the reports about a server."""
    wrong = []
    for provider, faults in FAULTS[name].items():
        report = simulate(program, provider, url, token)
        checks = {check["name"]: check for one in report["conversations"] for check in one["checks"]}
        print(f"{name}: {provider}: {report['summary']}")
        if report["summary"]["ok"] < PASSED_MIN[provider]:
            wrong.append(f"{name}: {provider}: only {report['summary']['ok']} checks passed")
        for fault in faults:
            found = checks.get(fault, {"result": "absent"})
            if found["result"] != "failed":
                wrong.append(f"{name}: {provider}: {fault!r} is {found['result']}, not failed")
        if report["passed"] and faults:
            wrong.append(f"{name}: {provider}: the report passed")
    return wrong


def run_server(name: str, command: list[str], path: str, program: str, folder: Path) -> list[str]:
    port = int(command[-1])
    token = folder / "token"
    token.write_text(TOKEN)
    with open(folder / f"{name}.log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            if not wait_for(port, process):
                return [f"{name} did not start: {(folder / f'{name}.log').read_text()[-500:]}"]
            return check_server(name, program, f"http://127.0.0.1:{port}{path}", token)
        finally:
            process.terminate()


def install_scimmy(packages: Path) -> bool:
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("scimmy: skipped, because npm is not installed")
        return False
    packages.mkdir(parents=True, exist_ok=True)
    if not (packages / "node_modules" / "scimmy-routers").exists():
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(packages), *SCIMMY]
        if subprocess.run(command, timeout=300, check=False).returncode != 0:
            print("scimmy: skipped, because its packages cannot be installed")
            return False
    shutil.copy(Path(__file__).with_name("scimmy.mjs"), packages / "scimmy.mjs")
    return True


def main(program: str, packages: str) -> int:
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        scim2_server = Path(sys.executable).with_name("scim2-server")
        if scim2_server.exists():
            command = [str(scim2_server), "--bearer-token", TOKEN, "--port", str(free_port())]
            wrong += run_server("scim2-server", command, "", program, Path(folder))
        else:
            print("scim2-server: skipped, because it is not installed")
        if install_scimmy(Path(packages)):
            command = ["node", str(Path(packages) / "scimmy.mjs"), TOKEN, str(free_port())]
            wrong += run_server("scimmy", command, "/scim", program, Path(folder))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
