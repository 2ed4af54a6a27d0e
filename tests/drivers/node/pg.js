// node `pg` doing real work. Connection by PG* variables; prints OK at the end.
const assert = require("assert");
const { Client, Pool } = require("pg");

async function work(pool, who) {
  for (let i = 0; i < 40; i++) {
    const { rows } = await pool.query({ name: `n${i % 7}`, text: `SELECT $1::int + ${i % 7} AS sum`, values: [who] });
    assert.strictEqual(rows[0].sum, who + (i % 7));
  }
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    for (let i = 0; i < 20; i++) await client.query("INSERT INTO work VALUES ($1, $2)", [who, i]);
    await client.query("COMMIT");
    await assert.rejects(client.query("SELECT 1/$1::int", [0]), { code: "22012" });
    const { rows } = await client.query("SELECT count(*)::int AS n FROM work WHERE who = $1", [who]);
    assert.strictEqual(rows[0].n, 20);
    const many = await Promise.all([...Array(30).keys()].map((i) => client.query("SELECT $1::int AS i", [i])));
    many.forEach((result, i) => assert.strictEqual(result.rows[0].i, i));
  } finally {
    client.release();
  }
}

async function main() {
  const pool = new Pool({ max: 8 });
  await pool.query("CREATE TABLE work(who int, i int)");
  await Promise.all([...Array(12).keys()].map((who) => work(pool, who)));
  const { rows } = await pool.query("SELECT count(*)::int AS n FROM work");
  assert.strictEqual(rows[0].n, 240);
  await pool.end();
  const single = new Client({ application_name: "node", options: "-c statement_timeout=12345" });
  await single.connect();
  assert.strictEqual((await single.query("SHOW statement_timeout")).rows[0].statement_timeout, "12345ms");
  assert.strictEqual((await single.query("SHOW application_name")).rows[0].application_name, "node");
  await single.end();
  console.log("OK");
}

main().catch((error) => { console.error(error); process.exit(1); });
