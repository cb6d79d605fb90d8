//! What a net batch must be: the same as the plain order, for any schema and history.

mod events;
mod examples;
mod history;
mod proof;
mod schema;
mod speed;
mod store;
mod windows;
