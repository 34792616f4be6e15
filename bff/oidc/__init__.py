"""The protocol of an OpenID Connect relying party: build, parse and validate messages, without I/O or clock."""
