//! Reference services with a ground-truth ledger.
