"""Run in the network of a box: clients that come and go, and some that stay, while something happens to the service.

load.py PORT PASSWORD: threads connect, run a query and leave, without a pause, until standard input ends. A number that is
read there is answered by "ok" when so many more clients have been served, or "late" after a minute. At the end it prints one JSON
object: how many were served, every failure of a new connection by its kind, the longest wait for a first answer, and what
became of the sessions that were held idle.
"""

import json
import sys
import threading
import time

import psycopg

PORT, PASSWORD = int(sys.argv[1]), sys.argv[2]
HELD, THREADS = 20, 4


def connect():
    """The connection, and a list that gets what the server says while nothing is asked: libpq takes that for a notice."""
    connection = psycopg.connect(host="127.0.0.1", port=PORT, user="app", password=PASSWORD, dbname="app", connect_timeout=60,
                                 prepare_threshold=None, autocommit=True)
    said = []
    connection.add_notice_handler(lambda diagnostic: said.append(diagnostic.sqlstate))
    return connection, said


def kind_of(error, said):
    """57P01 and the like, however libpq has told it; else the error's first line."""
    text = str(error).strip().splitlines()[0]
    if "terminating connection due to administrator command" in text:
        return "57P01"
    return error.sqlstate or (said[-1] if said else text)


class Load:
    def __init__(self):
        self.lock = threading.Condition()
        self.stop = threading.Event()
        self.served, self.failures, self.longest = 0, {}, 0.0

    def failed(self, kind):
        with self.lock:
            self.failures[kind] = self.failures.get(kind, 0) + 1

    def come_and_go(self):
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                connection, said = connect()
            except psycopg.OperationalError as error:
                self.failed("connect: " + str(error).strip().splitlines()[-1])
                continue
            try:
                assert connection.execute("SELECT 1").fetchone() == (1,)
                with self.lock:
                    self.served += 1
                    self.longest = max(self.longest, time.monotonic() - begun)
                    self.lock.notify_all()
            except psycopg.Error as error:
                # It was connected, and the restart came before or with its query. That must be said, not just cut.
                self.failed("query: " + kind_of(error, said))
            finally:
                connection.close()


def main():
    load = Load()
    held = [connect() for _ in range(HELD)]
    threads = [threading.Thread(target=load.come_and_go) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for line in sys.stdin:
        with load.lock:
            goal = load.served + int(line)
            print("ok" if load.lock.wait_for(lambda: load.served >= goal, 60) else "late", flush=True)
    load.stop.set()
    for thread in threads:
        thread.join()
    ends = {}
    for connection, said in held:
        try:
            connection.execute("SELECT 1")
            end = "alive"
        except psycopg.Error as error:
            end = kind_of(error, said)
        ends[end] = ends.get(end, 0) + 1
    print(json.dumps({"served": load.served, "failures": load.failures, "longest": round(load.longest, 3), "held": ends}))


main()
