"""The look of the demonstration's pages, and their calls to the API."""
