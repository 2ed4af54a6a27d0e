"""The thin slice: one query from end to end, and the console shows the pool."""


def test_one_query(start):
    pw = start()
    conn = pw.connect()
    assert conn.scalar("SELECT 40 + 2") == "42"
    pool = pw.pool()
    assert pool["cl_active"] == 1 and pool["sv_idle"] == 1


def test_two_clients_share_one_server(start):
    pw = start()
    pids = set()
    for _ in range(3):
        with pw.connect() as conn:
            pids.add(conn.scalar("SELECT pg_backend_pid()"))
    assert len(pids) == 1
