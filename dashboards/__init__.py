"""Streamlit pages and lessons: they read runs and call the toolkit."""
