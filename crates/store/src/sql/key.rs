//! The root secret, signing keys, where audit logs end.

use super::{Backend, Statements, args, operation, statements};
use crate::{Answer, AuditHead, AuditHeads, ErrorKind, Keys, StoreError, StoredKey};
use hallpass_core::{secret::SecretBytes, time::Timestamp};

statements! {
    ROOT_PUT = "INSERT INTO root (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    ROOT_READ = "SELECT secret FROM root WHERE id = 1";
    KEYS = "SELECT kid, algorithm, sealed, created_at, signs_from, retired_at FROM signing_key
        ORDER BY signs_from, created_at, kid";
    // Two nodes that start at once take turns: an empty table locks nobody out.
    TURN = "UPDATE feed SET n = n WHERE id = 1";
    KEY_PUT_FIRST = "INSERT INTO signing_key (kid, algorithm, sealed, created_at, signs_from, retired_at)
        SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM signing_key)";
    // Only as the successor of the newest that the caller has seen: of nodes that rotate at once one does.
    KEY_PUT_AFTER = "INSERT INTO signing_key (kid, algorithm, sealed, created_at, signs_from, retired_at)
        SELECT $1, $2, $3, $4, $5, $6
        WHERE NOT EXISTS (SELECT 1 FROM signing_key WHERE created_at > (
            SELECT created_at FROM signing_key WHERE kid = $7))
        AND EXISTS (SELECT 1 FROM signing_key WHERE kid = $7)
        ON CONFLICT (kid) DO NOTHING";
    KEY_READ = "SELECT kid FROM signing_key WHERE kid = $1";
    // Never the one that signs: an older one would have to sign again, which nobody may have any more.
    KEY_RETIRE = "UPDATE signing_key SET retired_at = $1 WHERE kid = $2 AND retired_at IS NULL
        AND EXISTS (SELECT 1 FROM signing_key other
            WHERE other.kid <> $2 AND other.retired_at IS NULL AND other.signs_from <= $1
                AND (other.signs_from >= signing_key.signs_from OR signing_key.signs_from > $1))
        RETURNING kid";
    // Only what was read: of nodes that do it at once one does, and whoever comes late changes nothing.
    KEY_RESEAL = "UPDATE signing_key SET sealed = $1 WHERE kid = $2 AND sealed = $3";
    KEY_SEALED = "SELECT kid FROM signing_key WHERE kid = $1 AND sealed = $2";
    KEY_REMOVE = "DELETE FROM signing_key WHERE kid = $1";
    AUDIT_HEADS = "SELECT node, sequence, mac FROM audit_head ORDER BY node";
    AUDIT_HEAD_PUT = "INSERT INTO audit_head (node, sequence, mac) VALUES ($1, $2, $3)
        ON CONFLICT (node) DO UPDATE SET sequence = excluded.sequence, mac = excluded.mac";
}

operation! {
    RootSecret { candidate: SecretBytes<32> } -> SecretBytes<32>, Write, |on, this| {
        on.change(ROOT_PUT, args![this.candidate.expose()]).await?;
        let kept = on.first(ROOT_READ, args![], |row| row.array(0)).await?;
        kept.map(SecretBytes::new).ok_or_else(|| StoreError::new(ErrorKind::Corrupt))
    }
}

operation! {
    KeysRead {} -> Vec<StoredKey>, Read, |on, _this| keys(on).await
}

operation! {
    KeyPutFirst { key: StoredKey } -> Vec<StoredKey>, Several, |on, this| {
        let StoredKey { kid, algorithm, sealed, created_at, signs_from, retired_at } = &this.key;
        on.change(TURN, args![]).await?;
        let args = args![kid, algorithm, sealed, *created_at, *signs_from, *retired_at];
        on.change(KEY_PUT_FIRST, args).await?;
        keys(on).await
    }
}

operation! {
    KeyPutAfter { key: StoredKey, newest: String } -> bool, Several, |on, this| {
        let StoredKey { kid, algorithm, sealed, created_at, signs_from, retired_at } = &this.key;
        on.change(TURN, args![]).await?;
        let args = args![kid, algorithm, sealed, *created_at, *signs_from, *retired_at, &this.newest];
        // A key of this name can only be ours: this very write was run before.
        Ok(on.change(KEY_PUT_AFTER, args).await? > 0 || on.any(KEY_READ, args![kid]).await?)
    }
}

operation! {
    KeyRetire { kid: String, now: Timestamp } -> bool, Ending, |on, this| {
        on.change(TURN, args![]).await?;
        on.any(KEY_RETIRE, args![this.now, &this.kid]).await
    }
}

operation! {
    KeyReseal { kid: String, before: Vec<u8>, after: Vec<u8> } -> bool, Several, |on, this| {
        let (kid, before, after) = (&this.kid, &this.before, &this.after);
        let changed = on.change(KEY_RESEAL, args![after, kid, before]).await? > 0;
        // Sealed twice, a key never has the same bytes: they can only be ours, from a run before.
        Ok(changed || on.any(KEY_SEALED, args![kid, after]).await?)
    }
}

operation! {
    KeyRemove { kid: String } -> (), Write, |on, this| on.change(KEY_REMOVE, args![&this.kid]).await.map(|_| ())
}

operation! {
    AuditHeadsRead {} -> Vec<AuditHead>, List, |on, _this| {
        on.all(AUDIT_HEADS, args![], |row| {
            Ok(AuditHead { node: row.text(0)?, sequence: row.int(1)?, mac: row.text(2)? })
        })
        .await
    }
}

operation! {
    AuditHeadPut { head: AuditHead } -> (), Write, |on, this| {
        let AuditHead { node, sequence, mac } = &this.head;
        on.change(AUDIT_HEAD_PUT, args![node, *sequence, mac]).await.map(|_| ())
    }
}

impl<B: Backend> AuditHeads for B {
    fn audit_heads(&self) -> Answer<'_, Vec<AuditHead>> {
        self.run(AuditHeadsRead {})
    }

    fn audit_head_put(&self, head: AuditHead) -> Answer<'_, ()> {
        self.run(AuditHeadPut { head })
    }
}

impl<B: Backend> Keys for B {
    fn root_secret(&self, candidate: SecretBytes<32>) -> Answer<'_, SecretBytes<32>> {
        self.run(RootSecret { candidate })
    }

    fn keys_read(&self) -> Answer<'_, Vec<StoredKey>> {
        self.run(KeysRead {})
    }

    fn key_put_first(&self, key: StoredKey) -> Answer<'_, Vec<StoredKey>> {
        self.run(KeyPutFirst { key })
    }

    fn key_put_after(&self, key: StoredKey, newest: String) -> Answer<'_, bool> {
        self.run(KeyPutAfter { key, newest })
    }

    fn key_retire(&self, kid: String, now: Timestamp) -> Answer<'_, bool> {
        self.run(KeyRetire { kid, now })
    }

    fn key_reseal(&self, kid: String, before: Vec<u8>, after: Vec<u8>) -> Answer<'_, bool> {
        self.run(KeyReseal { kid, before, after })
    }

    fn key_remove(&self, kid: String) -> Answer<'_, ()> {
        self.run(KeyRemove { kid })
    }
}

async fn keys(on: &mut impl Statements) -> Result<Vec<StoredKey>, StoreError> {
    on.all(KEYS, args![], |row| {
        Ok(StoredKey {
            kid: row.text(0)?,
            algorithm: row.text(1)?,
            sealed: row.bytes(2)?,
            created_at: row.time(3)?,
            signs_from: row.time(4)?,
            retired_at: row.maybe_time(5)?,
        })
    })
    .await
}
