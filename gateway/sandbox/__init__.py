"""What keeps the code of a managed page away from the secrets of the front door, and from its neighbours."""
