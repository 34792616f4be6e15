"""How the pages of the demonstration look and how they ask the API."""
