//! Clients that an operator made, and the block list.

use super::{Backend, Row, args, feed, operation, statements};
use crate::{Answer, Block, BlockKind, Blocks, Clients, ErrorKind, Revoked, StoreError, StoredClient};
use hallpass_core::time::Timestamp;

statements! {
    CREATE = "INSERT INTO client (id, version, created_at, body) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO NOTHING RETURNING id";
    // A second run finds its own body under the next version.
    CHANGE = "UPDATE client SET version = $1 + 1, body = $2
        WHERE id = $3 AND (version = $1 OR (version = $1 + 1 AND body = $2)) RETURNING id";
    REMOVE = "DELETE FROM client WHERE id = $1 RETURNING id";
    READ = "SELECT id, version, created_at, body FROM client WHERE id = $1";
    LIST = "SELECT id, version, created_at, body FROM client WHERE id > $1 ORDER BY id LIMIT $2";
    BLOCK = "INSERT INTO block (kind, key, created_at, note) VALUES ($1, $2, $3, $4)
        ON CONFLICT (kind, key) DO NOTHING RETURNING key";
    UNBLOCK = "DELETE FROM block WHERE kind = $1 AND key = $2 RETURNING key";
    BLOCKS = "SELECT kind, key, created_at, note FROM block ORDER BY kind, key";
}

operation! {
    Create { client: StoredClient, until: Timestamp } -> bool, Several, |on, this| {
        let StoredClient { id, version, created_at, body } = &this.client;
        if on.any(CREATE, args![id, *version, *created_at, body]).await? {
            // An earlier client of this id may have been removed a moment ago.
            feed::append(on, &Revoked::ClientAgain(id.clone()), this.until).await?;
            return Ok(true);
        }
        Ok(on.first(READ, args![id], client).await?.as_ref() == Some(&this.client))
    }
}

operation! {
    Change { client: StoredClient } -> bool, Write, |on, this| {
        let StoredClient { id, version, body, .. } = &this.client;
        on.any(CHANGE, args![*version, body, id]).await
    }
}

operation! {
    Remove { id: String, until: Timestamp } -> bool, Ending, |on, this| {
        let removed = on.any(REMOVE, args![&this.id]).await?;
        if removed {
            feed::append(on, &Revoked::Client(this.id.clone()), this.until).await?;
        }
        Ok(removed)
    }
}

operation! {
    ReadOne { id: String } -> Option<StoredClient>, Read, |on, this| on.first(READ, args![&this.id], client).await
}

operation! {
    List { after: String, limit: u32 } -> Vec<StoredClient>, List,
    |on, this| on.all(LIST, args![&this.after, this.limit], client).await
}

operation! {
    Put { block: Block, until: Timestamp } -> bool, Ending, |on, this| {
        let Block { kind, key, created_at, note } = &this.block;
        let put = on.any(BLOCK, args![kind.number(), key, *created_at, note]).await?;
        if put {
            let what = match kind {
                BlockKind::Client => Revoked::Client(key.clone()),
                BlockKind::Host | BlockKind::Redirect => Revoked::Receiver(key.clone()),
            };
            feed::append(on, &what, this.until).await?;
        }
        Ok(put)
    }
}

operation! {
    Lift { kind: BlockKind, key: String, until: Timestamp } -> bool, Several, |on, this| {
        let lifted = on.any(UNBLOCK, args![this.kind.number(), &this.key]).await?;
        if lifted {
            let what = match this.kind {
                BlockKind::Client => Revoked::ClientAgain(this.key.clone()),
                BlockKind::Host | BlockKind::Redirect => Revoked::Receiver(this.key.clone()),
            };
            feed::append(on, &what, this.until).await?;
        }
        Ok(lifted)
    }
}

operation! {
    All {} -> Vec<Block>, Read, |on, _this| on.all(BLOCKS, args![], block).await
}

impl<B: Backend> Clients for B {
    fn client_create(&self, client: StoredClient, until: Timestamp) -> Answer<'_, bool> {
        self.run(Create { client, until })
    }

    fn client_change(&self, client: StoredClient) -> Answer<'_, bool> {
        self.run(Change { client })
    }

    fn client_remove(&self, id: String, until: Timestamp) -> Answer<'_, bool> {
        self.run(Remove { id, until })
    }

    fn client_read(&self, id: String) -> Answer<'_, Option<StoredClient>> {
        self.run(ReadOne { id })
    }

    fn clients_list(&self, after: Option<String>, limit: u32) -> Answer<'_, Vec<StoredClient>> {
        self.run(List { after: after.unwrap_or_default(), limit })
    }
}

impl<B: Backend> Blocks for B {
    fn block_put(&self, block: Block, until: Timestamp) -> Answer<'_, bool> {
        self.run(Put { block, until })
    }

    fn block_remove(&self, kind: BlockKind, key: String, until: Timestamp) -> Answer<'_, bool> {
        self.run(Lift { kind, key, until })
    }

    fn blocks_read(&self) -> Answer<'_, Vec<Block>> {
        self.run(All {})
    }
}

fn client(row: &Row<'_>) -> Result<StoredClient, StoreError> {
    Ok(StoredClient {
        id: row.text(0)?,
        version: row.unsigned(1)?,
        created_at: row.time(2)?,
        body: row.text(3)?,
    })
}

fn block(row: &Row<'_>) -> Result<Block, StoreError> {
    let number = row.int(0)?;
    let kind = BlockKind::ALL.into_iter().find(|kind| kind.number() == number);
    let kind = kind.ok_or_else(|| StoreError::caused_by(ErrorKind::Corrupt, "a block of an unknown kind"))?;
    Ok(Block { kind, key: row.text(1)?, created_at: row.time(2)?, note: row.text(3)? })
}
