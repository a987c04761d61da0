// What oidc-provider keeps: in SQLite as a careful user would keep it, or in a Map.

import { DatabaseSync } from 'node:sqlite';

const now = () => Math.floor(Date.now() / 1000);

// Durable as ours is: a write-ahead log, `synchronous=FULL`, the same cache, and checkpoints as rare as those of our floor.
// One table with a clustered key, statements prepared once, `consume` conditional.
//
// `shared` puts the writes of the requests that are under way at one moment into one transaction, committed before any of
// them goes on. Without it each write commits for itself, as the examples and the adapters that people publish do.
export function sqlite(path, shared) {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16384;
    PRAGMA cache_size = -16384;
    CREATE TABLE entity (
      model TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, grant_id TEXT, uid TEXT, user_code TEXT,
      expires_at INTEGER, consumed_at INTEGER, PRIMARY KEY (model, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX entity_grant ON entity (grant_id) WHERE grant_id IS NOT NULL;
    CREATE INDEX entity_uid ON entity (uid) WHERE uid IS NOT NULL;
    CREATE INDEX entity_user_code ON entity (user_code) WHERE user_code IS NOT NULL;
  `);
  const prepare = (sql) => database.prepare(sql);
  const upsert = prepare(`INSERT INTO entity (model, id, payload, grant_id, uid, user_code, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload,
    grant_id = excluded.grant_id, uid = excluded.uid, user_code = excluded.user_code, expires_at = excluded.expires_at`);
  const consume = prepare('UPDATE entity SET consumed_at = ? WHERE model = ? AND id = ? AND consumed_at IS NULL');
  const destroy = prepare('DELETE FROM entity WHERE model = ? AND id = ?');
  const revoke = prepare('DELETE FROM entity WHERE grant_id = ?');
  const columns = 'SELECT payload, expires_at, consumed_at FROM entity WHERE';
  const byId = prepare(`${columns} model = ? AND id = ?`);
  const byUid = prepare(`${columns} model = ? AND uid = ?`);
  const byUserCode = prepare(`${columns} model = ? AND user_code = ?`);
  const [begin, commit] = [prepare('BEGIN IMMEDIATE'), prepare('COMMIT')];

  let waiting = [];
  const flush = () => {
    const jobs = waiting;
    waiting = [];
    begin.run();
    const answers = jobs.map(({ statement, values }) => statement.run(...values).changes);
    commit.run();
    jobs.forEach(({ done }, at) => done(answers[at]));
  };
  const write = (statement, ...values) => {
    if (!shared) return Promise.resolve(statement.run(...values).changes);
    return new Promise((done) => {
      if (waiting.push({ statement, values, done }) === 1) setImmediate(flush);
    });
  };
  const read = (statement, ...values) => {
    const row = statement.get(...values);
    if (!row || (row.expires_at !== null && row.expires_at < now())) return undefined;
    const payload = JSON.parse(row.payload);
    return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at };
  };

  class Sqlite {
    constructor(model) { this.model = model; }

    async upsert(id, payload, expiresIn) {
      const { grantId = null, uid = null, userCode = null } = payload;
      const expiresAt = expiresIn ? now() + expiresIn : null;
      await write(upsert, this.model, id, JSON.stringify(payload), grantId, uid, userCode, expiresAt);
    }

    async find(id) { return read(byId, this.model, id); }

    async findByUid(uid) { return read(byUid, this.model, uid); }

    async findByUserCode(code) { return read(byUserCode, this.model, code); }

    async consume(id) {
      if (await write(consume, now(), this.model, id) !== 1) throw new Error('used before, or gone');
    }

    async destroy(id) { await write(destroy, this.model, id); }

    async revokeByGrantId(grantId) { await write(revoke, grantId); }
  }

  // All of the set-up in one transaction.
  const inOne = async (work) => {
    const was = shared;
    shared = false;
    begin.run();
    await work();
    commit.run();
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    shared = was;
  };
  return { Adapter: Sqlite, inOne };
}

// In a Map without a bound: the library's own forgets all but the last thousand.
export function memory() {
  const stored = new Map();

  class Memory {
    constructor(model) { this.model = model; }

    async upsert(id, payload) { stored.set(`${this.model}:${id}`, payload); }

    async find(id) { return stored.get(`${this.model}:${id}`); }

    async findByUid() { return undefined; }

    async findByUserCode() { return undefined; }

    async consume(id) { stored.get(`${this.model}:${id}`).consumed = now(); }

    async destroy(id) { stored.delete(`${this.model}:${id}`); }

    async revokeByGrantId() { throw new Error('not part of the benchmark'); }
  }

  return { Adapter: Memory, inOne: (work) => work() };
}
