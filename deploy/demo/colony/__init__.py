"""What the field desk knows: measurements, a model of body mass, an outbreak, cleaning. No sign-in in here."""
