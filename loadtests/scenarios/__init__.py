"""How people use the application, one behaviour a file."""
