"""The science of the demo: measurements, a model of body mass, an outbreak, cleaning. It knows nothing of sign-ins."""
