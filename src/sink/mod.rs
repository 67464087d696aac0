//! Where secrets may go. The list is closed: only the modules below call
//! [`Secret::expose`](crate::secret::Secret::expose) to hand a value out.

pub mod text;
