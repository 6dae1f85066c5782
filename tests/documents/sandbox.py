"""A machine of its own for each document: files, processes and network, without a change of the real one.

Linux namespaces are enough for that. Root has them, and other users where the kernel allows it. In the sandbox, all ports are
free, the home folder is empty, and these programs are replaced:

- `rollcall`, also as `target/release/rollcall`, is the program that the tests have compiled.
- `sudo` runs the command: the sandbox belongs to its user, who is root in it.
- `systemctl` starts and stops the server as the service of the package does.
- `cargo build --release` does nothing, because the program is compiled, and `cargo run --release -- …` runs it.

`scim.example.com` is the sandbox itself, with a certificate of an authority that the sandbox trusts.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = "/home/reader/rollcall"
# Files of the machine that programs need to start, to know users and hosts, and to verify certificates.
ETC = "alternatives ca-certificates group ld.so.cache ld.so.conf localtime nsswitch.conf passwd ssl".split()
FOLDERS = "tmp var/lib/rollcall var/lib/rollcall-backups srv mnt run backups root opt/bin opt/certificate etc/rollcall tmp/blocks".split()
SCRIPTS = {
    "sudo": '#!/bin/sh\nexec "$@"\n',
    "cargo": '#!/bin/sh\ncase "$*" in\n"build --release") ;;\n"run --release -- "*) shift 3; exec rollcall "$@" ;;\n'
    '*) echo "not in the sandbox: cargo $*" >&2; exit 1 ;;\nesac\n',
    "systemctl": """#!/bin/sh
stop() {
    [ -f /run/rollcall.pid ] || return 0
    kill "$(cat /run/rollcall.pid)"
    # A process whose parent has ended stays as a zombie here.
    while grep -qs '^State:[^Z]*$' "/proc/$(cat /run/rollcall.pid)/status"; do sleep 0.05; done
    rm /run/rollcall.pid
}
start() {
    rollcall serve >/run/rollcall.out 2>/run/rollcall.err & echo $! >/run/rollcall.pid
    for _ in $(seq 200); do
        grep -qs 'listening on' /run/rollcall.out && return
        kill -0 "$(cat /run/rollcall.pid)" 2>/dev/null || break
        sleep 0.05
    done
    cat /run/rollcall.out /run/rollcall.err >&2; exit 1
}
case "$*" in
"stop rollcall") stop ;;
"start rollcall") start ;;
"restart rollcall") stop; start ;;
*) echo "not in the sandbox: systemctl $*" >&2; exit 1 ;;
esac
""",
}
END = "\x1e"
CURL = "fail-with-body\n"


def enter_namespaces(arguments: list[str]) -> int:
    """Runs this program again in namespaces of its own, and returns its exit code."""
    options = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        options.append("--map-root-user")
    return subprocess.run(["unshare", *options, sys.executable, "-B", *arguments], timeout=120).returncode


def can_enter_namespaces() -> bool:
    options = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *options, "--mount", "--net", "--pid", "--fork", "true"]
    return subprocess.run(command, capture_output=True, timeout=20).returncode == 0


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=20)


def bind(source: Path, target: Path, options: str = "remount,bind,ro") -> None:
    """Makes a file or folder of the machine visible in the sandbox, read-only."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    run("mount", "--rbind", str(source.resolve()), str(target))
    if options:
        run("mount", "-o", options, str(target))


def build_root(root: Path, program: Path) -> None:
    """Creates the files of the sandbox in a file system in memory."""
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "documents", str(root))
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(source.readlink())
        elif source.exists():
            bind(source, root / name)
    bind(Path("/usr"), root / "usr")
    bind(Path("/dev"), root / "dev", "")
    bind(Path("/proc"), root / "proc", "")
    for folder in [*FOLDERS, HOME.lstrip("/") + "/target/release"]:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("var/lib/rollcall", "var/lib/rollcall-backups", "backups"):
        (root / folder).chmod(0o700)
    (root / "tmp").chmod(0o1777)
    build_etc(root)
    bind(program, root / "opt/bin/rollcall")
    (root / HOME.lstrip("/") / "target/release/rollcall").symlink_to("/opt/bin/rollcall")
    for name in ("docs", "packaging"):
        (root / HOME.lstrip("/") / name).symlink_to(f"/repository/{name}")
    bind(REPOSITORY / "tests/documents/before", root / "opt/before")
    bind(REPOSITORY / "docs", root / "repository/docs")
    bind(REPOSITORY / "packaging", root / "repository/packaging")
    for name, text in SCRIPTS.items():
        script = root / "opt/bin" / name
        script.write_text(text)
        script.chmod(0o755)
    (root / HOME.lstrip("/")).parent.joinpath(".curlrc").write_text(CURL)


def build_etc(root: Path) -> None:
    """Creates /etc, with the files that programs need, and a certificate of scim.example.com."""
    for name in ETC:
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(source, root / "etc" / name, symlinks=True, ignore=shutil.ignore_patterns("private"))
        elif source.exists():
            shutil.copy(source, root / "etc" / name)
    with (root / "etc/group").open("a") as groups:
        groups.write("rollcall:x:0:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost scim.example.com app.example.com\n")
    create_certificate(root / "opt/certificate")
    trusted = root / "etc/ssl/certs/ca-certificates.crt"
    trusted.parent.mkdir(parents=True, exist_ok=True)
    with trusted.open("a") as roots:
        roots.write((root / "opt/certificate/root.pem").read_text())


def create_certificate(folder: Path) -> None:
    """Creates fullchain.pem and privkey.pem for scim.example.com, and root.pem of the authority."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=20)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Sandbox", "-days", "30")
    openssl("req", *key, "-keyout", "privkey.pem", "-out", "request.pem", "-subj", "/CN=scim.example.com")
    (folder / "names").write_text("subjectAltName=DNS:scim.example.com\n")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
            "-days", "20", "-extfile", "names", "-out", "fullchain.pem")  # fmt: skip
    for name in ("root.key", "request.pem", "names", "root.srl"):
        (folder / name).unlink(missing_ok=True)
    (folder / "privkey.pem").chmod(0o600)


class Shell:
    """The terminal of a reader: one bash, so that variables and functions of a block are there in the next one."""

    def __init__(self, root: Path):
        environment = {"PATH": "/opt/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/home/reader"}
        environment |= {"LANG": "C.UTF-8", "TERM": "dumb"}
        self.root = root
        command = ["chroot", str(root), "bash", "--noprofile", "--norc"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
        )
        self.printed: list[str] = []
        self.arrived = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.send(f"cd {HOME}; shopt -s inherit_errexit; umask 022\n")

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self.arrived:
                self.printed.append(line)
                self.arrived.notify_all()
        with self.arrived:
            self.printed.append(f"{END}ended\n")
            self.arrived.notify_all()

    def send(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def run(self, text: str, number: int, seconds: float = 40) -> tuple[int, str]:
        """Runs a block as it is pasted, until its first failed command; returns the exit code and the output."""
        (self.root / f"tmp/blocks/{number}.sh").write_text(text)
        # After a failure the variables are of no use: the document ends there.
        self.send(f"set -eo pipefail; trap 'printf \"{END}%s\\n\" $?' EXIT; . /tmp/blocks/{number}.sh </dev/null; set +eo pipefail; printf '{END}0\\n'\n")
        return self.wait_for(END, seconds)

    def wait_for(self, mark: str, seconds: float) -> tuple[int, str]:
        """Returns the exit code after the mark and what was printed in front of it; removes both."""
        end = time.monotonic() + seconds
        with self.arrived:
            while not any(mark in line for line in self.printed):
                if not self.arrived.wait(end - time.monotonic()):
                    return 124, "".join(self.printed) + "\n(no end within the time limit)"
            at = next(number for number, line in enumerate(self.printed) if mark in line)
            before, code = self.printed[at].split(mark)
            text = "".join(self.printed[:at]) + before
            del self.printed[: at + 1]
        return int(code) if code.strip().isdigit() else 1, text

    def start(self, text: str, number: int, ready: str, seconds: float = 20) -> tuple[int, str]:
        """Runs a block in a second terminal, with the variables of this one, until it prints what `ready` matches."""
        log = f"/tmp/blocks/{number}.out"
        (self.root / f"tmp/blocks/{number}.sh").write_text(text)
        check = f"grep -Eqs '{ready}' {log} || ! kill -0 $BLOCK_{number} 2>/dev/null"
        # Documents show alternatives. Only one server can use a folder and a port, so earlier ones are stopped.
        if re.search(r"\b(serve|demo)\b", text):
            self.send("for process in ${STARTED-} ${SERVER_PROCESS-}; do pkill -INT -P $process || kill $process || true; "
                      "wait $process || true; done 2>/dev/null; systemctl stop rollcall; STARTED=; SERVER_PROCESS=\n")  # fmt: skip
        self.send(
            f"( trap - EXIT; set -eo pipefail; . /tmp/blocks/{number}.sh ) >{log} 2>&1 & BLOCK_{number}=$! STARTED=$!\n"
            f"for _ in $(seq {int(seconds * 10)}); do if {check}; then break; fi; sleep 0.1; done\n"
            f"cat {log}; if grep -Eqs '{ready}' {log}; then printf '{END}0\\n'; else printf '{END}1\\n'; fi\n"
        )
        return self.wait_for(END, seconds + 10)

    def interrupt(self, number: int, seconds: float = 20) -> tuple[int, str]:
        """Ends such a block as Ctrl-C does, and returns its exit code."""
        self.send(
            f"pkill -INT -P $BLOCK_{number}; wait $BLOCK_{number}; printf '{END}%s\\n' $?\n",
        )
        return self.wait_for(END, seconds)

    def close(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
