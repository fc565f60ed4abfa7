"""Runs a command on a terminal of its own, for tests of what it asks and whether it puts the terminal right again.

Arguments: what to wait for, what then to send (Python escapes; SIGNAME sends that signal to the command instead), and
the command. Prints one JSON object: the exit status, all output, and whether the terminal echoes before, during and
after.
"""

import json
import os
import pty
import select
import signal
import sys
import termios

LIMIT_SECONDS = 20


def echoes(fd):
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


def main(question, answer, command):
    # The other end is kept open here, so that the terminal outlives the command and can be looked at.
    here, there = pty.openpty()
    before = echoes(there)
    pid = os.fork()
    if pid == 0:
        os.close(here)
        os.login_tty(there)
        os.execvp(command[0], command)
    output = b""
    during = None
    status = None
    signal.alarm(LIMIT_SECONDS)
    while status is None:
        if select.select([here], [], [], 0.05)[0]:
            output += os.read(here, 65536)
        if during is None and question.encode() in output:
            during = echoes(there)
            if answer.startswith("SIG"):
                os.kill(pid, getattr(signal, answer))
            else:
                os.write(here, answer.encode().decode("unicode_escape").encode())
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            status = os.waitstatus_to_exitcode(code)
    while select.select([here], [], [], 0)[0]:
        output += os.read(here, 65536)
    after = echoes(there)
    print(json.dumps({"status": status, "output": output.decode(), "echo": [before, during, after]}))


main(sys.argv[1], sys.argv[2], sys.argv[3:])
