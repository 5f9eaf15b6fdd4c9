"""Opening and running a model file somewhere."""
