//! The reference services on their own: `cargo run -p mock-server -- inference --port 8000`.

fn main() {}
