//! Assembly of events into transactions.
