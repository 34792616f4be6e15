"""What the field desk knows: measurements, the body mass model, the outbreak simulation, cleaning. No sign-in in here."""
