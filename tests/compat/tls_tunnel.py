"""Speaks TLS on behalf of clients that do not.

    tls_tunnel.py SERVER_PORT [--version 1.2|1.3] [--ca FILE] [--cert FILE --key FILE] [--piece N]

Listens on a free port of this machine, prints it, and carries each connection over to the server in
TLS. With `--piece` the ciphertext leaves in pieces of so many bytes, each a packet of its own.
"""

import argparse
import select
import socket
import ssl
import sys
import threading

CHUNK = 65536


def context(args):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    if args.ca:
        made.load_verify_locations(args.ca)
    else:
        made.verify_mode = ssl.CERT_NONE
    if args.version:
        only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[args.version]
        made.minimum_version = made.maximum_version = only
    if args.cert:
        made.load_cert_chain(args.cert, args.key)
    return made


def carry(client, args, made):
    server = socket.create_connection(("127.0.0.1", args.port))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = made.wrap_bio(incoming, outgoing)

    def flush():
        wire = outgoing.read()
        step = args.piece or len(wire) or 1
        for at in range(0, len(wire), step):
            server.sendall(wire[at : at + step])

    def step(action):
        """Does something that may need more from the server; None if it does."""
        try:
            return action()
        except ssl.SSLWantReadError:
            return None
        finally:
            flush()

    done = False
    while not done:
        done = step(lambda: tls.do_handshake() is None)
        if not done:
            wire = server.recv(CHUNK)
            if not wire:
                raise ConnectionError("closed during the handshake")
            incoming.write(wire)
    while True:
        while True:
            data = step(lambda: tls.read(CHUNK))
            if data is None:
                break
            if not data:
                return
            client.sendall(data)
        ready, _, _ = select.select([client, server], [], [])
        if server in ready:
            wire = server.recv(CHUNK)
            if not wire:
                return
            incoming.write(wire)
        if client in ready:
            data = client.recv(CHUNK)
            if not data:
                return
            step(lambda: tls.write(data))


def serve(client, args, made):
    try:
        carry(client, args, made)
    except OSError as error:
        print(f"tunnel: {error}", file=sys.stderr, flush=True)
    client.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    for name in ["--version", "--ca", "--cert", "--key"]:
        parser.add_argument(name)
    parser.add_argument("--piece", type=int)
    args = parser.parse_args()
    made = context(args)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(client, args, made), daemon=True).start()


main()
