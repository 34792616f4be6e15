"""Keep the code of a managed page away from the secrets of the front door and from other pages."""
