"""ClickHouse inside a process (chdb), behind a socket. Arguments: port, folder.

A request is its length as 4 bytes, big endian, and a statement as text; the answer is a length and a byte, "+" with what the
statement gave or "-" with why it failed. Statements run one after the other.
"""

import socketserver
import struct
import sys
import threading

from chdb import session

port, folder = int(sys.argv[1]), sys.argv[2]
clickhouse = session.Session(folder)
one_at_a_time = threading.Lock()


class Statements(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(4):
            statement = self.rfile.read(struct.unpack(">I", head)[0]).decode()
            try:
                with one_at_a_time:
                    answer = b"+" + str(clickhouse.query(statement, "JSONCompact")).encode()
            except Exception as error:
                answer = b"-" + str(error).encode()
            self.wfile.write(struct.pack(">I", len(answer)) + answer)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", port), Statements).serve_forever()
