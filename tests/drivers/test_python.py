"""psycopg 3 (with pipeline mode), psycopg 2 and asyncpg."""

import asyncio
import threading

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest

from conftest import PASSWORD, USER


def parallel(count, work):
    """Runs work(n) in `count` threads; the first failure is raised."""
    failures = []

    def guarded(number):
        try:
            work(number)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# psycopg 3.


def connect3(pw, **kwargs):
    return psycopg.connect(host=pw.host, port=pw.port, dbname="test", user=USER, password=PASSWORD, **kwargs)


def test_psycopg3_transactions(pw):
    with connect3(pw, autocommit=True) as conn:
        conn.execute("CREATE TABLE work(who int, i int, what text)")

    def work(who):
        with connect3(pw) as conn:
            for i in range(30):
                with conn.transaction():
                    conn.execute("INSERT INTO work VALUES (%s, %s, %s)", (who, i, "w%d" % i))
                    assert conn.execute("SELECT count(*) FROM work WHERE who = %s", (who,)).fetchone() == (i + 1,)

    parallel(8, work)
    with connect3(pw) as conn:
        assert conn.execute("SELECT count(*), count(DISTINCT who) FROM work").fetchone() == (240, 8)


def test_psycopg3_prepares_by_itself(pw):
    """After five uses psycopg prepares; the names of all connections are alike, the statements are not."""

    def work(who):
        with connect3(pw, autocommit=True, prepare_threshold=1) as conn:
            for i in range(60):
                text = "SELECT %%s::int + %d, '%d'" % (i % 7, who)
                assert conn.execute(text, (i,)).fetchone() == (i + i % 7, str(who))

    parallel(8, work)


def test_psycopg3_evicts_what_it_prepared(pw):
    """Over prepared_max it sends DEALLOCATE name, in and out of transactions and pipelines."""

    def work(who):
        with connect3(pw, autocommit=True, prepare_threshold=0) as conn:
            conn.prepared_max = 4
            for i in range(80):
                text = "SELECT %%s::int + %d, '%d'" % (i % 11, who % 2)
                assert conn.execute(text, (i,)).fetchone() == (i + i % 11, str(who % 2))
            for i in range(10):
                with conn.transaction():
                    for j in range(7):
                        assert conn.execute("SELECT %%s::int * %d" % j, (i,)).fetchone() == (i * j,)
            for i in range(10):
                with conn.pipeline():
                    cursors = [conn.execute("SELECT %%s::int - %d" % j, (i,)) for j in range(7)]
                    assert [cursor.fetchone() for cursor in cursors] == [(i - j,) for j in range(7)]

    parallel(6, work)


def test_psycopg3_deallocates_in_a_failed_transaction(pw):
    with connect3(pw, prepare_threshold=0) as conn:
        conn.prepared_max = 1
        for i in range(5):
            assert conn.execute("SELECT %%s::int, %d" % i, (i,)).fetchone() == (i, i)
            with pytest.raises(psycopg.errors.DivisionByZero):
                conn.execute("SELECT 1 / %s::int", (0,))
            conn.rollback()


def test_psycopg3_sees_schema_changes(pw):
    with connect3(pw, autocommit=True) as ddl, connect3(pw, autocommit=True, prepare_threshold=0) as conn:
        ddl.execute("CREATE TABLE grown3(a int); INSERT INTO grown3 VALUES (1)")
        assert conn.execute("SELECT * FROM grown3").fetchone() == (1,)
        ddl.execute("ALTER TABLE grown3 ADD COLUMN b text DEFAULT 'x'")
        for _ in range(3):
            assert conn.execute("SELECT * FROM grown3").fetchone() == (1, "x")


def test_psycopg3_pipeline(pw):
    with connect3(pw, autocommit=True) as conn:
        conn.execute("CREATE TABLE piped(who int, i int)")

    def work(who):
        with connect3(pw, autocommit=True) as conn:
            for _ in range(5):
                with conn.pipeline() as pipe:
                    cursors = [conn.execute("INSERT INTO piped VALUES (%s, %s) RETURNING who, i", (who, i)) for i in range(20)]
                    pipe.sync()
                    cursors += [conn.execute("SELECT %s::int, %s::int", (who, i)) for i in range(20)]
                    got = [cur.fetchone() for cur in cursors]
                assert got == [(who, i) for i in range(20)] * 2

    parallel(6, work)


def test_psycopg3_pipeline_errors(pw):
    with connect3(pw, autocommit=True) as conn:
        for _ in range(5):
            with pytest.raises(psycopg.errors.DivisionByZero):
                with conn.pipeline():
                    first = conn.execute("SELECT 1")
                    conn.execute("SELECT 1/0")
                    conn.execute("SELECT 3")
                    first.fetchone()
            assert conn.execute("SELECT 4").fetchone() == (4,)


def test_psycopg3_copy(pw):
    def work(who):
        with connect3(pw) as conn:
            conn.execute("CREATE TABLE copied%d(i int, t text)" % who)
            with conn.cursor().copy("COPY copied%d FROM STDIN" % who) as copy:
                for i in range(5000):
                    copy.write_row((i, "text %d" % i))
            conn.commit()
            with conn.cursor().copy("COPY (SELECT * FROM copied%d ORDER BY i) TO STDOUT" % who) as copy:
                assert sum(1 for _ in copy.rows()) == 5000

    parallel(4, work)


def test_psycopg3_server_side_cursor(pw):
    with connect3(pw) as conn:
        with conn.cursor(name="c") as cursor:
            cursor.execute("SELECT generate_series(1, 1000)")
            assert sum(row[0] for row in cursor) == 500500


def test_psycopg3_cancel(pw):
    with connect3(pw, autocommit=True) as conn:
        timer = threading.Timer(0.5, conn.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(60)")
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_psycopg3_types_and_parameters(pw):
    import datetime
    import decimal

    with connect3(pw, autocommit=True, options="-c search_path=public", application_name="three") as conn:
        row = (1, "ünïcödé", None, decimal.Decimal("1.50"), datetime.date(2024, 2, 29), [1, 2, 3], b"\x00\xff")
        got = conn.execute("SELECT %s::int, %s::text, %s::text, %s::numeric, %s::date, %s::int[], %s::bytea", row).fetchone()
        assert got == row
        assert conn.info.parameter_status("application_name") == "three"


def test_psycopg3_async(pw):
    async def work(who):
        conn = await psycopg.AsyncConnection.connect(host=pw.host, port=pw.port, dbname="test", user=USER, password=PASSWORD,
                                                     autocommit=True)
        async with conn:
            for i in range(40):
                cursor = await conn.execute("SELECT %s::int, %s::int", (who, i))
                assert await cursor.fetchone() == (who, i)

    async def everyone():
        await asyncio.gather(*[work(n) for n in range(10)])

    asyncio.run(everyone())


# psycopg 2.


def connect2(pw, **kwargs):
    return psycopg2.connect(host=pw.host, port=pw.port, dbname="test", user=USER, password=PASSWORD, **kwargs)


def test_psycopg2(pw):
    with connect2(pw) as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE work(who int, i int)")

    def work(who):
        conn = connect2(pw)
        for i in range(30):
            with conn, conn.cursor() as cursor:
                cursor.execute("INSERT INTO work VALUES (%s, %s)", (who, i))
                cursor.execute("SELECT max(i) FROM work WHERE who = %s", (who,))
                assert cursor.fetchone() == (i,)
        try:
            with conn, conn.cursor() as cursor:
                cursor.execute("INSERT INTO work VALUES (%s, 1000)", (who,))
                cursor.execute("SELECT 1/0")
        except psycopg2.errors.DivisionByZero:
            pass
        conn.close()

    parallel(8, work)
    conn = connect2(pw)
    with conn.cursor() as cursor:
        cursor.execute("SELECT count(*), max(i) FROM work")
        assert cursor.fetchone() == (240, 29)
        psycopg2.extras.execute_values(cursor, "INSERT INTO work VALUES %s", [(99, i) for i in range(500)])
        import io

        cursor.copy_expert("COPY work FROM STDIN", io.StringIO("".join("98\t%d\n" % i for i in range(1000))))
        cursor.execute("SELECT count(*) FROM work WHERE who >= 98")
        assert cursor.fetchone() == (1500,)
    conn.commit()
    conn.close()


def test_psycopg2_named_cursor(pw):
    conn = connect2(pw)
    with conn.cursor("named") as cursor:
        cursor.execute("SELECT generate_series(1, 5000)")
        assert sum(r[0] for r in cursor) == 12502500
    conn.close()


# asyncpg: prepares everything, and speaks binary.


def connect_async(pw, **kwargs):
    return asyncpg.connect(host=pw.host, port=pw.port, database="test", user=USER, password=PASSWORD, ssl=False, **kwargs)


def test_asyncpg(pw):
    async def work(who):
        conn = await connect_async(pw)
        try:
            for i in range(30):
                assert await conn.fetchval("SELECT $1::int + $2::int", who, i) == who + i
                async with conn.transaction():
                    await conn.execute("INSERT INTO work VALUES ($1, $2)", who, i)
                    assert await conn.fetchval("SELECT max(i) FROM work WHERE who = $1", who) == i
            with pytest.raises(asyncpg.DivisionByZeroError):
                await conn.fetchval("SELECT 1 / $1::int", 0)
            assert await conn.fetchval("SELECT $1::text", "still fine") == "still fine"
        finally:
            await conn.close()

    async def everyone():
        conn = await connect_async(pw)
        await conn.execute("CREATE TABLE work(who int, i int)")
        await asyncio.gather(*[work(n) for n in range(8)])
        assert await conn.fetchval("SELECT count(*) FROM work") == 240
        await conn.close()

    asyncio.run(everyone())


def test_asyncpg_pool_and_prepared_statements(pw):
    async def everyone():
        pool = await asyncpg.create_pool(host=pw.host, port=pw.port, database="test", user=USER, password=PASSWORD, ssl=False,
                                         min_size=2, max_size=6, statement_cache_size=10)

        async def work(who):
            for i in range(40):
                async with pool.acquire() as conn:
                    assert await conn.fetchval("SELECT $1::int * %d" % (i % 25), who) == who * (i % 25)

        await asyncio.gather(*[work(n) for n in range(12)])
        async with pool.acquire() as conn:
            statement = await conn.prepare("SELECT $1::int AS a, $2::text AS b")
            for i in range(10):
                assert tuple(await statement.fetchrow(i, "x%d" % i)) == (i, "x%d" % i)
        await pool.close()

    asyncio.run(everyone())


def test_asyncpg_cursor_copy_and_executemany(pw):
    async def everyone():
        conn = await connect_async(pw)
        await conn.execute("CREATE TABLE many(i int, t text)")
        await conn.executemany("INSERT INTO many VALUES ($1, $2)", [(i, str(i)) for i in range(500)])
        await conn.copy_records_to_table("many", records=[(i, "c") for i in range(500, 1500)])
        async with conn.transaction():
            total = 0
            async for row in conn.cursor("SELECT i FROM many ORDER BY i", prefetch=50):
                total += row["i"]
        assert total == sum(range(1500))
        await conn.close()

    asyncio.run(everyone())


def test_asyncpg_timeout_cancels(pw):
    async def everyone():
        conn = await connect_async(pw)
        with pytest.raises(asyncio.TimeoutError):
            await conn.fetchval("SELECT pg_sleep(60)", timeout=0.5)
        assert await conn.fetchval("SELECT 1") == 1
        await conn.close()

    asyncio.run(everyone())


def test_asyncpg_sees_schema_changes(pw):
    """It keeps the columns of the first Describe. After PostgreSQL's error it prepares the same text anew, once: that must
    reach the server, on whichever server it comes to run."""

    async def everyone():
        ddl = await connect_async(pw)
        clients = [await connect_async(pw) for _ in range(4)]
        await ddl.execute("CREATE TABLE grown(a int4, b int4); INSERT INTO grown VALUES (1, 2)")

        async def read(conn, who, expected):
            got = await conn.fetchrow("SELECT *, %d AS who FROM grown" % (who % 2))
            assert tuple(got) == (*expected, who % 2), tuple(got)

        row = (1, 2)
        for change, row in ((None, row), ("ADD COLUMN c int4 DEFAULT 3", (1, 2, 3)),
                            ("ALTER COLUMN a TYPE float4", (1.0, 2, 3)),  # as wide as before: decoded as int4 if wrong
                            ("DROP COLUMN b", (1.0, 3)), ("ADD COLUMN d text DEFAULT 'x'", (1.0, 3, "x"))):
            if change:
                await ddl.execute("ALTER TABLE grown " + change)
            for _ in range(4):
                await asyncio.gather(*[read(conn, who, row) for who, conn in enumerate(clients)])
        for conn in (ddl, *clients):
            await conn.close()

    asyncio.run(everyone())
