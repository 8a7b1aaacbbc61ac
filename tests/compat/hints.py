"""redis-cli in a terminal: hints, completion and help, from what COMMAND DOCS says. Usage: hints.py PORT."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = 20


def screen(text):
    """What a terminal shows at the end: each write of the line starts at its begin."""
    text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", text)
    return text.decode("utf-8", "replace")


class Terminal:
    def __init__(self, port):
        self.prompt = f"127.0.0.1:{port}> "
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Otherwise redis-cli asks the terminal how wide it is.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            os.environ.update(TERM="xterm", REDISCLI_HISTFILE="/dev/null")
            os.execvp("redis-cli", ["redis-cli", "-p", port])
        self.seen = b""

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait_until(self, what, is_there):
        """Reads what is written until that is so."""
        end = time.monotonic() + PATIENCE
        while not is_there(screen(self.seen)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                sys.exit(f"not {what} in {screen(self.seen)!r}")
            self.seen += os.read(self.fd, 1 << 16)
        self.seen = b""

    def wait_for(self, *texts):
        """Waits until all of the texts have been written since the last call."""
        self.wait_until(f"all of {texts!r}", lambda seen: all(text in seen for text in texts))

    def wait_for_answer(self, *texts):
        """The same, and until the next line can be typed: what is typed before is thrown away."""
        self.wait_until(
            f"all of {texts!r} and a prompt",
            lambda seen: all(text in seen for text in texts)
            and seen.rstrip("\r").endswith("\n" + self.prompt),
        )


def main(port):
    terminal = Terminal(port)
    terminal.wait_for(terminal.prompt)
    # Names and arguments, behind what has been typed.
    for typed, hint in [
        ("hset", "key field value [field value ...]"),
        ("config set", "parameter value [parameter value ...]"),
        ("zadd", "key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]"),
    ]:
        terminal.type(typed + " ")
        terminal.wait_for(hint)
        terminal.type("\x15")
    # A name is completed, with its subcommand.
    terminal.type("GETRA\t")
    terminal.wait_for("GETRANGE")
    terminal.type("\x15")
    terminal.type("CLIENT TRACKINGI\t")
    terminal.wait_for("CLIENT TRACKINGINFO")
    terminal.type("\x15")
    # Help of a command and of a group.
    terminal.type("help xack\r")
    terminal.wait_for_answer("XACK key group id [id ...]", "summary: ", "group: stream")
    terminal.type("help @hyperloglog\r")
    terminal.wait_for_answer("PFCOUNT key [key ...]")
    terminal.type("quit\r")
    os.waitpid(terminal.pid, 0)


main(sys.argv[1])
