"""What is measured, one module per part."""
