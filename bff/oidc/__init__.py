"""Pure protocol of an OpenID Connect relying party: messages built, parsed and validated, no I/O and no clock."""
