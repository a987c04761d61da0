//! From columns to values. Every column has its type and its length by us: another value was not written by us.

use crate::{ErrorKind, StoreError};
use hallpass_core::{
    id::{AttemptId, ConnectionId, FactorId, GrantId, LinkId, PersonId, SessionId},
    time::Timestamp,
};
use std::net::IpAddr;
use tokio_postgres::types::Type;

/// A row of a backend.
pub(crate) enum Row<'a> {
    /// Of SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// Of PostgreSQL.
    Postgres(&'a tokio_postgres::Row),
}

/// A column that is not what was written.
pub(super) fn damaged(column: usize) -> StoreError {
    StoreError::caused_by(ErrorKind::Corrupt, format!("column {column} of a row is damaged"))
}

impl Row<'_> {
    /// An integer.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| damaged(column))
    }

    /// An integer, or NULL.
    pub fn maybe_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            // A literal of a statement is a shorter integer than a column.
            Self::Postgres(row) => match row.columns().get(column).map(tokio_postgres::Column::type_) {
                Some(&Type::INT4) => row.try_get::<_, Option<i32>>(column).map(|value| value.map(i64::from)),
                _ => row.try_get(column),
            }
            .map_err(|_| damaged(column)),
        }
    }

    /// An integer from 0 to 4294967295.
    pub fn unsigned(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| damaged(column))
    }

    /// The same, or NULL.
    pub fn maybe_unsigned(&self, column: usize) -> Result<Option<u32>, StoreError> {
        self.maybe_int(column)?.map(|value| u32::try_from(value).map_err(|_| damaged(column))).transpose()
    }

    /// 0 or 1. Conditions are written as `CASE`, because not every backend has integers for them.
    pub fn yes(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    /// Text.
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column)),
        }
    }

    /// Text, or NULL.
    pub fn maybe_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column)),
        }
    }

    /// Bytes of any length.
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column)),
        }
    }

    /// A network address, of 4 or 16 bytes, or NULL.
    pub fn maybe_address(&self, column: usize) -> Result<Option<IpAddr>, StoreError> {
        self.maybe_bytes(column)?.map(|bytes| address(&bytes).ok_or_else(|| damaged(column))).transpose()
    }

    /// Bytes of any length, or NULL.
    pub fn maybe_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column)),
        }
    }

    /// Bytes of this length, or NULL.
    pub fn maybe_array<const N: usize>(&self, column: usize) -> Result<Option<[u8; N]>, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => {
                let bytes: Option<&[u8]> = row.try_get(column).map_err(|_| damaged(column))?;
                bytes.map(|bytes| bytes.try_into().map_err(|_| damaged(column))).transpose()
            }
        }
    }

    /// Bytes of this length.
    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => {
                let bytes: Result<&[u8], _> = row.try_get(column);
                bytes.ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged(column))
            }
        }
    }

    /// A point in time.
    pub fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    /// A point in time, or NULL.
    pub fn maybe_time(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_int(column)?.map(Timestamp::from_millis))
    }
}

/// As it is kept.
pub(super) fn octets(address: Option<IpAddr>) -> Option<Vec<u8>> {
    address.map(|address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four: Option<[u8; 4]> = bytes.try_into().ok();
    let sixteen: Option<[u8; 16]> = bytes.try_into().ok();
    four.map(IpAddr::from).or(sixteen.map(IpAddr::from))
}

macro_rules! id_column {
    ($($name:ident $id:ident)+) => {
        impl Row<'_> {$(
            /// An id.
            pub fn $name(&self, column: usize) -> Result<$id, StoreError> {
                self.array(column).map($id::from_bytes)
            }
        )+}
    };
}

id_column! {
    attempt_id AttemptId
    connection_id ConnectionId
    factor_id FactorId
    grant_id GrantId
    link_id LinkId
    person_id PersonId
    session_id SessionId
}
