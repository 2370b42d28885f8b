"""Recurrent networks: built, trained, kept and run."""
