"""Runs a program to its end, and says what that cost."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import threading
import time

LOG_TAIL_BYTES = 4000


class Failed(Exception):
    """A program did not end well; the text has the end of its log."""


@dataclasses.dataclass
class Cost:
    cpu_s: float
    """User and system time of the process and of those of its children that it waited for."""
    wall_s: float
    peak_bytes: int


def run(command, folder, environment, timeout_s):
    """Runs `command` in `folder`, where `log` has what it prints."""
    log = pathlib.Path(folder) / "log"
    with open(log, "wb") as output:
        started = time.monotonic()
        # A session of its own: when it hangs, or at Ctrl-C, its children go with it.
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timer = threading.Timer(timeout_s, kill, [process.pid])
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            kill(process.pid)
            os.waitpid(process.pid, 0)
            raise
        finally:
            timer.cancel()
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        why = f"more than {timeout_s} s" if wall_s >= timeout_s else f"exit code {process.returncode}"
        text = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        raise Failed(f"{command[0]}: {why}\n{text}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss * 1024)


def kill(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
