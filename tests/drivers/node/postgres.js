// node `postgres` (postgres.js): prepares everything and pipelines. Connection by PG* variables; prints OK at the end.
const assert = require("assert");
const postgres = require("postgres");

async function work(sql, who) {
  for (let i = 0; i < 40; i++) {
    const [row] = await sql`SELECT ${who}::int AS who, ${i}::int AS i`;
    assert.deepStrictEqual({ ...row }, { who, i });
  }
  const many = await Promise.all([...Array(50).keys()].map((i) => sql`SELECT ${i}::int AS i, ${who}::int AS who`));
  many.forEach(([row], i) => assert.deepStrictEqual({ ...row }, { i, who }));
  await sql.begin(async (tx) => {
    for (let i = 0; i < 20; i++) await tx`INSERT INTO work VALUES (${who}, ${i})`;
    const [row] = await tx`SELECT count(*)::int AS n FROM work WHERE who = ${who}`;
    assert.strictEqual(row.n, 20);
  });
  await assert.rejects(sql`SELECT 1 / ${0}::int`, { code: "22012" });
  await assert.rejects(sql.begin(async (tx) => {
    await tx`INSERT INTO work VALUES (${who}, 1000)`;
    await tx`SELECT 1 / ${0}::int`;
  }), { code: "22012" });
}

async function main() {
  // A BEGIN that fills a connection's pipeline is refused by postgres.js itself (UNSAFE_TRANSACTION: execute() returns
  // before it calls onexecute), so the pipeline is deeper than all there is to send.
  const sql = postgres({ max: 8, max_pipeline: 1000, onnotice: () => {} });
  await sql`CREATE TABLE work(who int, i int)`;
  await Promise.all([...Array(12).keys()].map((who) => work(sql, who)));
  const [row] = await sql`SELECT count(*)::int AS n, max(i) AS top FROM work`;
  assert.deepStrictEqual({ ...row }, { n: 240, top: 19 });
  let rows = 0;
  await sql`SELECT generate_series(1, 1000) AS i`.cursor(100, (chunk) => { rows += chunk.length; });
  assert.strictEqual(rows, 1000);
  const slow = sql`SELECT pg_sleep(60)`;
  const ended = assert.rejects(slow, { code: "57014" });
  const running = () => sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                            AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()`;
  while ((await running()).length === 0);
  slow.cancel();
  await ended;
  await sql.end();
  console.log("OK");
}

main().catch((error) => { console.error(error); process.exit(1); });
