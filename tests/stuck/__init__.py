"""Never stuck: each fault under a session, and what its caller sees (docs/protocol.md, N)."""
