"""Streamlit pages and lessons: they read runs and compute nothing that a command can't."""
