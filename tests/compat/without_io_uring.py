"""Runs a program in which the kernel refuses io_uring, as container runtimes do.

    without_io_uring.py PROGRAM ARG...

A seccomp filter answers EPERM to io_uring_setup; the program inherits it.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
# The same number on every architecture, so the filter need not look at that.
IO_URING_SETUP = 425


def instruction(code, if_true, if_false, value):
    return struct.pack("HBBI", code, if_true, if_false, value)


def refuse_io_uring():
    load_number, equal, answer = 0x20, 0x15, 0x06
    program = b"".join(
        [
            instruction(load_number, 0, 0, 0),
            instruction(equal, 0, 1, IO_URING_SETUP),
            instruction(answer, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
            instruction(answer, 0, 0, SECCOMP_RET_ALLOW),
        ]
    )
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, their address.
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    filter_ = ctypes.create_string_buffer(header, len(header))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0),
    ):
        if libc.prctl(*call) != 0:
            sys.exit(f"without_io_uring: prctl: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    refuse_io_uring()
    os.execv(sys.argv[1], sys.argv[1:])
