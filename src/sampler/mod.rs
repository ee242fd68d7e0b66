//! Samples the target, and gander itself, while a run goes on.
