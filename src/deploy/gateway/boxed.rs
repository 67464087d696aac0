//! What the methods of a trait object return that have to wait: they cannot be `async fn`.

use futures_util::future::LocalBoxFuture;

use crate::deploy::error::Result;

/// A future with our error.
pub(crate) type Boxed<'a, T> = LocalBoxFuture<'a, Result<T>>;
