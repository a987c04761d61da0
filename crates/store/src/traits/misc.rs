//! Signing keys, metadata documents, the root secret, the sweep.

use crate::{Answer, AuditHead, EndedBefore, StoreTrouble, StoredDocument, StoredKey, Swept};
use hallpass_core::{secret::SecretBytes, time::Timestamp};

/// Signing keys.
pub trait Keys: Send + Sync + 'static {
    /// The root secret: inserts `candidate` if there is none yet, and answers the one that is kept.
    fn root_secret(&self, candidate: SecretBytes<32>) -> Answer<'_, SecretBytes<32>>;

    /// All signing keys, oldest first.
    fn keys_read(&self) -> Answer<'_, Vec<StoredKey>>;

    /// Inserts the first key, if there is none yet; answers all that are kept.
    fn key_put_first(&self, key: StoredKey) -> Answer<'_, Vec<StoredKey>>;

    /// Adds the next key, if `newest` still is the newest: of nodes that rotate at the same time one does. Running it
    /// again with the same key is success.
    fn key_put_after(&self, key: StoredKey, newest: String) -> Answer<'_, bool>;

    /// Takes a key out of use at once, unless it is the last one that signs; `false` then, and for one that is out of use
    /// or not there.
    fn key_retire(&self, kid: String, now: Timestamp) -> Answer<'_, bool>;

    /// Puts the same key, sealed under another master key, in the place of what was read; `false` when it is not that any
    /// more. Running it again with the same value is success.
    fn key_reseal(&self, kid: String, before: Vec<u8>, after: Vec<u8>) -> Answer<'_, bool>;

    /// Removes a key that has been out of use for so long that nothing of it can be alive.
    fn key_remove(&self, kid: String) -> Answer<'_, ()>;
}

/// Client ID metadata documents some person has said yes to.
pub trait Documents: Send + Sync + 'static {
    /// The copy kept for this URL.
    fn document_read(&self, url: String) -> Answer<'_, Option<StoredDocument>>;

    /// Keeps a good copy, replacing an older one; whatever was said against the document before is forgotten.
    fn document_put(&self, document: StoredDocument) -> Answer<'_, ()>;

    /// Remembers that the document is gone or broken, by its owner's word at `now`. Seen first before `before`, its
    /// client is suspended from now on. Answers the row as it is then; nothing where no copy is kept.
    fn document_gone(
        &self,
        url: String,
        before: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<StoredDocument>>;
}

/// Where the audit logs of the nodes end.
pub trait AuditHeads: Send + Sync + 'static {
    /// All that are known, by node.
    fn audit_heads(&self) -> Answer<'_, Vec<AuditHead>>;

    /// Puts one in the place of the one before it. A node writes its own only.
    fn audit_head_put(&self, head: AuditHead) -> Answer<'_, ()>;
}

/// What keeps the store small.
pub trait Maintenance: Send + Sync + 'static {
    /// Removes one slice (at most `limit` rows) of what can never matter again: sessions expired, feed entries past
    /// their `until`, grants that ended long ago, in the slow lane of the writer.
    fn sweep(&self, grants: EndedBefore, now: Timestamp, limit: u32) -> Answer<'_, Swept>;

    /// Writes that wait in this process.
    fn waiting(&self) -> usize;

    /// What is wrong with the place where things are kept, as far as this process knows.
    fn trouble(&self) -> Option<StoreTrouble>;

    /// The clock of the database server, where there is one: several nodes share it, and a node whose own is far off
    /// must not decide what has expired. `None` for a file.
    fn clock_read(&self) -> Answer<'_, Option<Timestamp>>;

    /// Stops taking work, drains, commits, checkpoints.
    fn close(&self) -> Answer<'_, ()>;
}
