"""The stages of a run; `pipeline.py` shows them in order."""
