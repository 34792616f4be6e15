"""Vestibule's backend-for-frontend: OpenID Connect sign-in with tokens kept on the server."""
