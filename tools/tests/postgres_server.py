"""A PostgreSQL server of its own on the loopback, for tests."""
import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile


def binaries():
    """The folder with initdb and pg_ctl, or None."""
    found = shutil.which("pg_ctl")
    folders = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
               *([str(pathlib.Path(found).parent)] if found else [])]
    return next((f for f in folders if os.path.exists(f"{f}/initdb") and os.path.exists(f"{f}/pg_ctl")), None)


def as_user():
    """PostgreSQL does not run as root: the words to put before, or None where there is no way."""
    if os.getuid() != 0:
        return []
    with contextlib.suppress(KeyError):
        pwd.getpwnam("postgres")
        if shutil.which("runuser"):
            return ["runuser", "-u", "postgres", "--"]
    return None


def rejection_reason():
    if binaries() is None:
        return "no PostgreSQL server is installed"
    return "this is root, and there is no user postgres" if as_user() is None else ""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def server():
    """Its URL; `restart` starts it again after a kill."""
    folder = tempfile.mkdtemp(prefix="attnfuzz-pg-")
    os.chmod(folder, 0o777)
    data, port = f"{folder}/data", free_port()

    def call(program, *words):
        subprocess.run([*as_user(), f"{binaries()}/{program}", *words], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)

    def start():
        call("pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o",
             f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off", "start")

    call("initdb", "-D", data, "-U", "attnfuzz", "-A", "trust", "-E", "UTF8", "--no-sync")
    start()
    try:
        yield f"postgresql://attnfuzz@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
