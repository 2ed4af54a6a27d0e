"""A DNS server on a loopback address of its own, port 53, UDP and TCP: what a resolv.conf can name. Needs root.

    with NameServer() as dns:
        dns.set("db.test.example", "127.0.0.1")

It answers A, AAAA and SOA; `serials` has the zones. `silent` holds answers back for good, `short` makes every UDP answer a
truncated one, so that TCP must be used. `asked` counts the questions by (name, type)."""

import collections
import os
import random
import socket
import socketserver
import struct
import threading

from . import system

A, SOA, AAAA = 1, 6, 28
OK, NXDOMAIN = 0, 3


def pack_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def unpack_name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


class NameServer:
    def __init__(self):
        self.names = {}
        self.serials = {}
        self.asked = collections.Counter()
        self.tcp = 0
        self.silent = False
        self.short = False
        self._changed = threading.Condition()
        self._servers = []
        for _ in range(50):
            self.host = "127.%d.%d.%d" % (random.randrange(40, 250), os.getpid() % 250, random.randrange(1, 250))
            try:
                self._servers = [self._listen(socketserver.ThreadingUDPServer, self._udp_class()),
                                 self._listen(socketserver.ThreadingTCPServer, self._tcp_class())]
                break
            except OSError as error:
                if isinstance(error, PermissionError):
                    raise
        assert len(self._servers) == 2, "no loopback address has port 53 free"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _listen(self, kind, handler):
        class Server(kind):
            allow_reuse_address = True
            daemon_threads = True

        return Server((self.host, 53), handler)

    def _udp_class(self):
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                packet, sock = self.request
                answer = outer.answer(packet, udp=True)
                if answer:
                    sock.sendto(answer, self.client_address)

        return Handler

    def _tcp_class(self):
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    size = self.rfile.read(2)
                    if len(size) < 2:
                        return
                    answer = outer.answer(self.rfile.read(struct.unpack("!H", size)[0]), udp=False)
                    if answer:
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        return Handler

    def set(self, name, *addresses):
        """The name's addresses; none: there is no such name."""
        self.names[name.lower()] = list(addresses)

    def records(self, name, kind):
        """Code and resource records, each as (type, data)."""
        if kind == SOA:
            if name not in self.serials:
                return NXDOMAIN, []
            times = struct.pack("!5I", self.serials[name], 3600, 600, 86400, 60)
            return OK, [(SOA, pack_name("ns." + name) + pack_name("admin." + name) + times)]
        found = self.names.get(name)
        if not found:
            return NXDOMAIN, []
        family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
        wanted = [one for one in found if (":" in one) == (kind == AAAA)]
        return OK, [(kind, socket.inet_pton(family, one)) for one in wanted]

    def answer(self, packet, udp):
        if len(packet) < 13:
            return None
        name, end = unpack_name(packet, 12)
        kind = struct.unpack_from("!H", packet, end)[0]
        with self._changed:
            self.asked[name, kind] += 1
            self.tcp += not udp
            self._changed.notify_all()
        if self.silent:
            return None
        question = packet[12 : end + 4]
        code, records = self.records(name, kind)
        cut = self.short and udp
        body = b"" if cut else b"".join(
            struct.pack("!HHHIH", 0xC00C, one, 1, 1, len(data)) + data for one, data in records)
        flags = 0x8580 | (0x0200 if cut else 0) | code
        return packet[:2] + struct.pack("!HHHHH", flags, 1, 0 if cut else len(records), 0, 0) + question + body

    def wait_asked(self, name, kind=A, more_than=0, timeout=20.0):
        """Until that question has come more than so many times."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.asked[name, kind] > more_than, timeout)
        assert came, "nobody asked for %s; asked: %r" % (name, self.asked)

    def resolv_conf(self, directory=None):
        """Writes a file that names this server; returns its path."""
        path = os.path.join(directory or system.make_directory("dns"), "resolv.conf")
        system.write_file(path, "nameserver %s\n" % self.host)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for server in self._servers:
            server.shutdown()
            server.server_close()
