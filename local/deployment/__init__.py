"""Builds the template, deploys it locally and keeps its addresses."""
