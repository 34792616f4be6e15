"""Vestibule's gateway: lets signed-in requests through to Streamlit apps and APIs."""
